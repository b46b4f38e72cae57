/* The demo: one lock over five masters, of which two are killed. Every step is checked, and the exit code is
 * 0 only if all of it happened. `make demo` runs it among real Redis servers, whose URLs and process ids it
 * finds in its environment. */
#include "demo_guest.h"
#include "demo_say.h"

#include <errno.h>
#include <redlock.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define NODES 5
#define KILLED 2
#define RESOURCE "demo:monthly-report"
#define TTL_MS 10000
/* No wait in here takes nearly as long, unless something is broken. */
#define DEADLINE_MS 15000

/* What testkit put into the environment, comma separated, taken apart. */
struct masters {
  const char *urls[NODES];
  pid_t pids[NODES];
};

static char *variable(const char *name) {
  const char *value = getenv(name);
  if (value == NULL) say_failed("%s is not set: start the demo by `make demo`", name);
  return strdup(value);
}

static struct masters find_masters(void) {
  struct masters masters;
  char *urls = variable("REDLOCK_TEST_URLS"), *pids = variable("REDLOCK_TEST_PIDS");
  for (int i = 0; i < NODES; i++) {
    const char *url = strsep(&urls, ","), *pid = strsep(&pids, ",");
    if (url == NULL || pid == NULL || atoi(pid) <= 1) say_failed("the demo needs %d masters", NODES);
    masters.urls[i] = url;
    masters.pids[i] = (pid_t)atoi(pid);
  }
  return masters;
}

static redlock_factory *make_factory(const struct masters *masters) {
  redlock_factory *factory = NULL;
  redlock_error *err = NULL;
  if (redlock_factory_new(masters->urls, NODES, NULL, &factory, &err) != REDLOCK_OK)
    say_failed("%s", redlock_error_message(err));
  return factory;
}

/* ---- the nodes' states ---- */

static char *node_states(redlock_factory *factory) {
  char *report = NULL;
  redlock_error *err = NULL;
  if (redlock_factory_check(factory, &report, &err) != REDLOCK_OK) say_failed("%s", redlock_error_message(err));
  return report;
}

static int occurrences(const char *text, const char *words) {
  int count = 0;
  while ((text = strstr(text, words)) != NULL) {
    text += strlen(words);
    count++;
  }
  return count;
}

/* Waits until so many nodes vote, and connecting to the others has failed; then shows the states. */
static void await_votes(redlock_factory *factory, int wanted) {
  const struct timespec pause = {.tv_nsec = 5000000};
  const int64_t deadline = guest_clock_ns() + DEADLINE_MS * INT64_C(1000000);
  for (;;) {
    char *report = node_states(factory);
    const int settled =
        occurrences(report, ": votes") == wanted && occurrences(report, ": cannot connect") == NODES - wanted;
    const int late = guest_clock_ns() > deadline;
    if (settled || late) say_lines(report);
    redlock_string_free(report);
    if (settled) return;
    if (late) say_failed("after %d ms it is not %d nodes that vote", DEADLINE_MS, wanted);
    nanosleep(&pause, NULL);
  }
}

/* ---- the story ---- */

static redlock_lock *take(redlock_factory *factory) {
  redlock_lock *lock = NULL;
  redlock_error *err = NULL;
  say_step("This process, %d, takes the lock \"%s\" for %d s", (int)getpid(), RESOURCE, TTL_MS / 1000);
  if (redlock_acquire(factory, RESOURCE, TTL_MS, 0, &lock, &err) != REDLOCK_OK)
    say_failed("%s", redlock_error_message(err));
  const int64_t validity = redlock_lock_validity_ms(lock);
  if (validity <= 0 || validity >= TTL_MS) say_failed("a validity of %d ms cannot be", (int)validity);
  say_proven("held. Nobody else can have it for the next %d ms:", (int)validity);
  say_detail("    the TTL less the time that it took, less what the nodes' clocks may differ");
  return lock;
}

static void be_refused(const char *program) {
  const struct guest guest = guest_start(program, "try");
  guest_finish(&guest, DEADLINE_MS);
  say_proven("process %d was refused, and was told so as a status of its own: REDLOCK_ERR_CONTENDED", (int)guest.pid);
}

static void kill_masters(redlock_factory *factory, const struct masters *masters) {
  say_step("Two of the five masters are killed (SIGKILL to processes %d and %d)", (int)masters->pids[0],
           (int)masters->pids[1]);
  for (int i = 0; i < KILLED; i++)
    if (kill(masters->pids[i], SIGKILL) != 0) say_failed("kill: %s", strerror(errno));
  await_votes(factory, NODES - KILLED);
  say_proven("%d masters are left, and %d are a majority of %d", NODES - KILLED, NODES / 2 + 1, NODES);
}

static void extend(redlock_lock *lock) {
  redlock_error *err = NULL;
  const int64_t before = redlock_lock_validity_ms(lock);
  say_step("The lock is still held, and its time begins anew");
  if (before <= 0) say_failed("the lock was lost");
  if (redlock_extend(lock, TTL_MS, &err) != REDLOCK_OK) say_failed("%s", redlock_error_message(err));
  const int64_t after = redlock_lock_validity_ms(lock);
  if (after <= before) say_failed("%d ms were left, and now %d ms", (int)before, (int)after);
  say_proven("%d ms were left, now it is %d ms again", (int)before, (int)after);
}

static void hand_over(const char *program, redlock_lock *lock) {
  redlock_error *err = NULL;
  say_step("A third process waits for the lock, and this one gives it back");
  const struct guest guest = guest_start(program, "wait");
  guest_listen(&guest, DEADLINE_MS);
  say_detail("process %d waits", (int)guest.pid);
  const int64_t released = guest_clock_ns();
  if (redlock_release(lock, &err) != REDLOCK_OK) say_failed("%s", redlock_error_message(err));
  const int64_t taken = guest_listen(&guest, DEADLINE_MS);
  if (taken < released) say_failed("it had the lock before it was given back");
  guest_finish(&guest, DEADLINE_MS);
  say_proven("it had the lock %.1f ms after this process began to release it", (double)(taken - released) / 1e6);
}

static void be_over(redlock_factory *factory) {
  int32_t locked = 1;
  redlock_error *err = NULL;
  say_step("All have given the lock back");
  if (redlock_is_locked(factory, RESOURCE, &locked, &err) != REDLOCK_OK) say_failed("%s", redlock_error_message(err));
  if (locked) say_failed("it is still locked");
  say_proven("a quorum says that it is free, with two masters dead");
}

static int tell_story(const char *program, const struct masters *masters) {
  say_step("Five Redis masters have started. None knows of the others");
  redlock_factory *factory = make_factory(masters);
  await_votes(factory, NODES);
  say_proven("all vote. A lock is held when a majority granted it");
  redlock_lock *lock = take(factory);
  say_step("Another process wants it too, and does not wait");
  be_refused(program);
  kill_masters(factory, masters);
  extend(lock);
  say_step("Another process tries again, while two masters are dead");
  be_refused(program);
  hand_over(program, lock);
  be_over(factory);
  redlock_lock_free(lock);
  redlock_factory_free(factory);
  puts("\nThat was one lock over five masters. README.md shows how to take one in a program of yours.");
  return EXIT_SUCCESS;
}

/* demo: tells the story. demo ROLE PIPE: what it starts itself as its other processes. */
int main(int argc, char **argv) {
  const struct masters masters = find_masters();
  if (argc == 3) return guest_main(make_factory(&masters), RESOURCE, argv[1], atoi(argv[2]));
  return tell_story(argv[0], &masters);
}
