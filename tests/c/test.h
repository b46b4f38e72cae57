// What the tests of the C ABI share: checks that name their line, and the servers that `testkit run` started.

#ifndef REDLOCK_TEST_H
#define REDLOCK_TEST_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "redlock.h"

// Ends the program with the line's number when the condition does not hold.
#define CHECK(condition) test_check((condition), #condition, __FILE__, __LINE__)

// A call that must succeed; it names `&err` as its last argument.
#define OK(call)                                                                                                       \
  do {                                                                                                                 \
    redlock_error *err = NULL;                                                                                         \
    redlock_status status_ = (call);                                                                                   \
    test_success(status_, err, #call, __FILE__, __LINE__);                                                             \
  } while (0)

// A call that must fail with a status and a message that contains `words`; it names `&err` as its last
// argument.
#define FAILS(call, wanted, words)                                                                                     \
  do {                                                                                                                 \
    redlock_error *err = NULL;                                                                                         \
    redlock_status status_ = (call);                                                                                   \
    test_failure(status_, err, (wanted), (words), #call, __FILE__, __LINE__);                                          \
  } while (0)

// An event of success.
#define SUCCEEDED(event) test_success((event).status, (event).error, #event, __FILE__, __LINE__)

// Waits for a condition, with patience for a slow machine.
#define WAIT_UNTIL(condition)                                                                                          \
  do {                                                                                                                 \
    struct test_deadline deadline_ = test_deadline_start();                                                            \
    while (!(condition)) test_deadline_check(&deadline_, #condition, __FILE__, __LINE__);                              \
  } while (0)

struct test_deadline {
  long long end_ns;
};

void test_check(bool holds, const char *condition, const char *file, int line);
void test_success(redlock_status status, redlock_error *err, const char *call, const char *file, int line);
void test_failure(redlock_status status, redlock_error *err, redlock_status wanted, const char *words, const char *call,
                  const char *file, int line);
struct test_deadline test_deadline_start(void);
void test_deadline_check(struct test_deadline *deadline, const char *condition, const char *file, int line);

// Whether a text contains another.
bool contains(const char *text, const char *part);

// The servers.
size_t node_count(void);
const char *const *node_urls(void);
pid_t node_pid(size_t i);

// What the servers say themselves: on how many of them a key is, and how many locks are on all of them together.
size_t nodes_holding(const char *key);
size_t locks_on_nodes(void);

// Takes a held lock's key away, as a flush of the servers would.
void lose_on_nodes(const char *key);

// Stops the majority of the servers, and lets them go on.
void stop_majority(void);
void continue_majority(void);

// A factory over all servers with patience for a loaded machine; one with the defaults; one with an option and
// patience; and a lock that must be had.
redlock_factory *new_factory(void);
redlock_factory *new_default_factory(void);
redlock_factory *new_factory_with(const char *option, const char *value);
redlock_lock *lock_now(redlock_factory *factory, const char *resource, uint64_t ttl_ms);

// A queue; the next event of it, which must come; whether it has none (now).
redlock_queue *new_queue(void);
redlock_event next_event(redlock_queue *queue);
bool no_event(redlock_queue *queue);

// Marks the calling thread as one that is about to wait, and waits until `n` marked threads sleep.
void about_to_sleep(void);
void wait_for_sleepers(size_t n);

// The number of entries in a directory, such as /proc/self/fd.
size_t entries(const char *directory);

#endif
