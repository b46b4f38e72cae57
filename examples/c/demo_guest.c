/* Starts the demo's other processes, listens to them, and holds what they do. */
#include "demo_guest.h"

#include "demo_say.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TTL_MS 10000
#define WAIT_MS 10000
/* A guest that has no event after this long has been refused at least once, and waits. */
#define STILL_WAITING_AFTER_MS 100

/* The guest that runs, which must not outlive the demo; 0 when there is none. */
static pid_t running = 0;

static void end_running(void) {
  if (running > 0) kill(running, SIGKILL);
}

static void become(const char *program, const char *role, int words) {
  char number[16];
  snprintf(number, sizeof number, "%d", words);
  execlp(program, program, role, number, (char *)NULL);
  perror(program);
  _exit(127);
}

struct guest guest_start(const char *program, const char *role) {
  static int registered = 0;
  int ends[2];
  if (!registered++) atexit(end_running);
  if (pipe(ends) != 0) say_failed("no pipe");
  const pid_t pid = fork();
  if (pid < 0) say_failed("no process");
  if (pid == 0) {
    close(ends[0]);
    become(program, role, ends[1]);
  }
  close(ends[1]);
  running = pid;
  return (struct guest){.pid = pid, .words = ends[0]};
}

/* Reads one number; 0 bytes mean that the guest has ended. */
static ssize_t hear(const struct guest *guest, int64_t *word, int deadline_ms) {
  struct pollfd words = {.fd = guest->words, .events = POLLIN};
  if (poll(&words, 1, deadline_ms) <= 0)
    say_failed("process %d has said nothing for %d ms", (int)guest->pid, deadline_ms);
  return read(guest->words, word, sizeof *word);
}

int64_t guest_listen(const struct guest *guest, int deadline_ms) {
  int64_t word = 0;
  if (hear(guest, &word, deadline_ms) != (ssize_t)sizeof word)
    say_failed("process %d has ended too early", (int)guest->pid);
  return word;
}

void guest_finish(const struct guest *guest, int deadline_ms) {
  int64_t word = 0;
  int status = 0;
  if (hear(guest, &word, deadline_ms) != 0) say_failed("process %d says too much", (int)guest->pid);
  /* Its end of the pipe is closed, so it has ended, or is about to. */
  waitpid(guest->pid, &status, 0);
  running = 0;
  close(guest->words);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
    say_failed("process %d did not do what it should", (int)guest->pid);
}

int64_t guest_clock_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* The error as its parts: what failed, and what each node did. */
static void say_error(const redlock_error *err) {
  say_detail("%s", redlock_status_message(redlock_error_code(err)));
  for (size_t i = 0; i < redlock_error_node_count(err); i++)
    say_detail("  %s: %s", redlock_error_node_address(err, i), redlock_error_node_message(err, i));
}

static int try_once(redlock_factory *factory, const char *resource) {
  redlock_lock *lock = NULL;
  redlock_error *err = NULL;
  const redlock_status status = redlock_acquire(factory, resource, TTL_MS, 0, &lock, &err);
  if (status == REDLOCK_OK) say_failed("it got the lock, which another process holds");
  say_error(err);
  if (status != REDLOCK_ERR_CONTENDED) say_failed("that is %s", redlock_status_name(status));
  redlock_error_free(err);
  return EXIT_SUCCESS;
}

static void tell(int words, int64_t word) {
  if (write(words, &word, sizeof word) != (ssize_t)sizeof word) say_failed("nobody listens");
}

/* The event of the one operation under way; returns whether it has come in time. */
static int next_event(redlock_queue *queue, redlock_event *event, int timeout_ms) {
  size_t count = 0;
  redlock_error *err = NULL;
  if (redlock_queue_next(queue, event, 1, timeout_ms, &count, &err) != REDLOCK_OK)
    say_failed("%s", redlock_error_message(err));
  return count == 1;
}

/* On a queue rather than blocking, so as to be able to say that the wait has begun. */
static redlock_lock *wait_for_lock(redlock_factory *factory, const char *resource, int words) {
  redlock_queue *queue = NULL;
  redlock_error *err = NULL;
  redlock_event event;
  if (redlock_queue_new(&queue, &err) != REDLOCK_OK ||
      redlock_submit_acquire(factory, resource, TTL_MS, WAIT_MS, queue, 1, &err) != REDLOCK_OK)
    say_failed("%s", redlock_error_message(err));
  if (next_event(queue, &event, STILL_WAITING_AFTER_MS)) say_failed("it did not have to wait");
  tell(words, 0);
  if (!next_event(queue, &event, 2 * WAIT_MS)) say_failed("its wait never ended");
  if (event.status != REDLOCK_OK) say_failed("%s", redlock_error_message(event.error));
  tell(words, guest_clock_ns());
  redlock_queue_free(queue);
  return event.lock;
}

static int wait_and_release(redlock_factory *factory, const char *resource, int words) {
  redlock_error *err = NULL;
  redlock_lock *lock = wait_for_lock(factory, resource, words);
  if (redlock_lock_validity_ms(lock) <= 0) say_failed("its lock is not valid");
  if (redlock_release(lock, &err) != REDLOCK_OK) say_failed("%s", redlock_error_message(err));
  redlock_lock_free(lock);
  return EXIT_SUCCESS;
}

int guest_main(redlock_factory *factory, const char *resource, const char *role, int words) {
  /* Whatever it is, the pipe closes with this process. */
  fcntl(words, F_SETFD, FD_CLOEXEC);
  if (strcmp(role, "try") == 0) return try_once(factory, resource);
  if (strcmp(role, "wait") == 0) return wait_and_release(factory, resource, words);
  say_failed("there is no role %s", role);
}
