// What the tests of the C ABI share; test.h says what for.

#include "test.h"

#include <dirent.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { MAX_TEST_NODES = 64, MAX_SLEEPERS = 64, PATIENCE_S = 60, COMMAND_LENGTH = 1024 };

static void fail(const char *file, int line, const char *what) {
  fprintf(stderr, "%s:%d: %s\n", file, line, what);
  exit(1);
}

void test_check(bool holds, const char *condition, const char *file, int line) {
  if (!holds) fail(file, line, condition);
}

void test_success(redlock_status status, redlock_error *err, const char *call, const char *file, int line) {
  if (status != REDLOCK_OK) {
    fprintf(stderr, "%s: %s\n", redlock_status_name(status), redlock_error_message(err));
    fail(file, line, call);
  }
  if (err != NULL) fail(file, line, "an error in spite of success");
}

void test_failure(redlock_status status, redlock_error *err, redlock_status wanted, const char *words, const char *call,
                  const char *file, int line) {
  const char *message = redlock_error_message(err);
  if (status != wanted || !contains(message, words)) {
    fprintf(stderr, "%s: %s\nwanted %s: ...%s...\n", redlock_status_name(status), message, redlock_status_name(wanted),
            words);
    fail(file, line, call);
  }
  if (err == NULL || redlock_error_code(err) != status)
    fail(file, line, "the error does not have the status that was returned");
  redlock_error_free(err);
}

static long long now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000000000LL + now.tv_nsec;
}

struct test_deadline test_deadline_start(void) {
  struct test_deadline deadline = {now_ns() + PATIENCE_S * 1000000000LL};
  return deadline;
}

void test_deadline_check(struct test_deadline *deadline, const char *condition, const char *file, int line) {
  const struct timespec pause = {0, 1000000};
  if (now_ns() > deadline->end_ns) fail(file, line, condition);
  nanosleep(&pause, NULL);
}

bool contains(const char *text, const char *part) { return strstr(text, part) != NULL; }

// Splits the value of an environment variable at its commas.
static size_t split(const char *variable, const char **parts) {
  const char *value = getenv(variable);
  size_t n = 0;
  if (value == NULL) {
    fprintf(stderr, "%s is not set: run this by `testkit run -n 5 -- PROGRAM`\n", variable);
    exit(2);
  }
  // It lives as long as the program: the parts point into it.
  for (char *part = strtok(strdup(value), ","); part != NULL && n < MAX_TEST_NODES; part = strtok(NULL, ","))
    parts[n++] = part;
  return n;
}

static const char *urls[MAX_TEST_NODES];

size_t node_count(void) {
  static size_t n;
  if (n == 0) n = split("REDLOCK_TEST_URLS", urls);
  return n;
}

const char *const *node_urls(void) {
  node_count();
  return urls;
}

pid_t node_pid(size_t i) {
  static const char *pids[MAX_TEST_NODES];
  static size_t n;
  if (n == 0) n = split("REDLOCK_TEST_PIDS", pids);
  CHECK(i < n);
  return (pid_t)atol(pids[i]);
}

static int connect_to(size_t i) {
  const char *url = node_urls()[i];
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  address.sin_port = htons((unsigned short)atoi(strrchr(url, ':') + 1));
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  CHECK(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
  return fd;
}

// Asks a server for a number, by an inline command.
static size_t ask(size_t i, const char *command) {
  char answer[64] = "";
  int fd = connect_to(i);
  CHECK(write(fd, command, strlen(command)) == (ssize_t)strlen(command));
  for (size_t got = 0; strchr(answer, '\n') == NULL && got < sizeof answer - 1;) {
    ssize_t more = read(fd, answer + got, sizeof answer - 1 - got);
    CHECK(more > 0);
    got += (size_t)more;
  }
  close(fd);
  CHECK(answer[0] == ':');
  return (size_t)atol(answer + 1);
}

size_t nodes_holding(const char *key) {
  char command[COMMAND_LENGTH];
  size_t holding = 0;
  snprintf(command, sizeof command, "EXISTS %s\r\n", key);
  for (size_t i = 0; i < node_count(); i++) holding += ask(i, command);
  return holding;
}

// The keys that stay behind, such as the highest ballot, are no locks.
size_t locks_on_nodes(void) {
  const char *command = "EVAL \"local n = 0 for _, key in ipairs(redis.call('KEYS', '*')) do"
                        " if not string.find(key, 'libredlock:', 1, true) then n = n + 1 end end return n\" 0\r\n";
  size_t locks = 0;
  for (size_t i = 0; i < node_count(); i++) locks += ask(i, command);
  return locks;
}

// Those that missed the acquire at first may still get it, and are too few.
void lose_on_nodes(const char *key) {
  char command[COMMAND_LENGTH];
  size_t deleted = 0;
  snprintf(command, sizeof command, "DEL %s\r\n", key);
  for (size_t i = 0; i < node_count(); i++) deleted += ask(i, command);
  CHECK(deleted > node_count() / 2);
}

static void signal_majority(int signal) {
  for (size_t i = 0; i <= node_count() / 2; i++) CHECK(kill(node_pid(i), signal) == 0);
}

void stop_majority(void) { signal_majority(SIGSTOP); }

void continue_majority(void) { signal_majority(SIGCONT); }

static redlock_factory *factory_with(const redlock_options *options) {
  redlock_factory *factory = NULL;
  OK(redlock_factory_new(node_urls(), node_count(), options, &factory, &err));
  CHECK(factory != NULL);
  return factory;
}

redlock_factory *new_factory(void) { return new_factory_with("node_timeout_ms", "20000"); }

redlock_factory *new_factory_with(const char *option, const char *value) {
  redlock_options *options = NULL;
  OK(redlock_options_new(&options, &err));
  OK(redlock_options_set(options, "node_timeout_ms", "20000", &err));
  OK(redlock_options_set(options, option, value, &err));
  redlock_factory *factory = factory_with(options);
  redlock_options_free(options);
  return factory;
}

redlock_factory *new_default_factory(void) { return factory_with(NULL); }

redlock_lock *lock_now(redlock_factory *factory, const char *resource, uint64_t ttl_ms) {
  redlock_lock *lock = NULL;
  OK(redlock_acquire(factory, resource, ttl_ms, PATIENCE_S * 1000, &lock, &err));
  CHECK(lock != NULL);
  return lock;
}

redlock_queue *new_queue(void) {
  redlock_queue *queue = NULL;
  OK(redlock_queue_new(&queue, &err));
  CHECK(queue != NULL);
  return queue;
}

redlock_event next_event(redlock_queue *queue) {
  redlock_event event;
  size_t count = 0;
  OK(redlock_queue_next(queue, &event, 1, PATIENCE_S * 1000, &count, &err));
  CHECK(count == 1);
  return event;
}

bool no_event(redlock_queue *queue) {
  redlock_event event;
  size_t count = 1;
  OK(redlock_queue_next(queue, &event, 1, 0, &count, &err));
  return count == 0;
}

static atomic_long sleepers[MAX_SLEEPERS];
static atomic_size_t sleeper_count;

void about_to_sleep(void) { sleepers[atomic_fetch_add(&sleeper_count, 1)] = syscall(SYS_gettid); }

// The state of a thread, as the kernel has it: 'S' when it sleeps.
static char thread_state(long thread) {
  char path[64], state = '?';
  snprintf(path, sizeof path, "/proc/self/task/%ld/stat", thread);
  FILE *file = fopen(path, "r");
  if (file == NULL) return state;
  if (fscanf(file, "%*d (%*[^)]) %c", &state) != 1) state = '?';
  fclose(file);
  return state;
}

static size_t sleeping(void) {
  size_t n = 0;
  for (size_t i = 0; i < atomic_load(&sleeper_count); i++) n += thread_state(sleepers[i]) == 'S';
  return n;
}

void wait_for_sleepers(size_t n) {
  WAIT_UNTIL(sleeping() >= n);
  atomic_store(&sleeper_count, 0);
}

size_t entries(const char *directory) {
  size_t n = 0;
  DIR *listing = opendir(directory);
  CHECK(listing != NULL);
  while (readdir(listing) != NULL) n++;
  closedir(listing);
  return n;
}
