// 10,000 kept locks on one factory: all are extended in time, by the one thread that there is.

#include <stdio.h>
#include <stdlib.h>

#include "test.h"

enum { LOCKS = 10000, TTL_MS = 8000, SHORT_TTL_MS = 2000, WINDOW = 500, BATCH = 256 };

static redlock_factory *factory;
static redlock_queue *queue;
static redlock_lock **locks;

static void submit(size_t i) {
  char resource[32];
  snprintf(resource, sizeof resource, "kept-%zu", i);
  OK(redlock_submit_acquire(factory, resource, TTL_MS, 60000, queue, i, &err));
}

static void keep(const redlock_event *event) {
  SUCCEEDED(*event);
  CHECK(event->kind == REDLOCK_EVENT_ACQUIRE);
  locks[event->id] = event->lock;
  OK(redlock_lock_keep_alive(event->lock, queue, event->id, &err));
}

static void acquire_and_keep_all(void) {
  redlock_event events[BATCH];
  size_t submitted = 0;
  for (size_t taken = 0; taken < LOCKS;) {
    size_t count = 0;
    while (submitted < LOCKS && submitted - taken < WINDOW) submit(submitted++);
    OK(redlock_queue_next(queue, events, BATCH, -1, &count, &err));
    for (size_t i = 0; i < count; i++) keep(&events[i]);
    taken += count;
  }
}

// A lock that is not kept shows how the time passes.
static void let_a_ttl_pass(uint64_t ttl_ms) {
  redlock_lock *clock = lock_now(factory, "clock", ttl_ms);
  WAIT_UNTIL(redlock_lock_validity_ms(clock) == 0);
  redlock_lock_free(clock);
}

static void check_all(void) {
  for (size_t i = 0; i < LOCKS; i++) CHECK(redlock_lock_validity_ms(locks[i]) > 0);
  CHECK(no_event(queue));
}

int main(void) {
  factory = new_factory();
  queue = new_queue();
  locks = calloc(LOCKS, sizeof *locks);
  CHECK(locks != NULL);
  redlock_lock *brief = lock_now(factory, "brief", SHORT_TTL_MS);
  size_t threads = entries("/proc/self/task");
  OK(redlock_lock_keep_alive(brief, queue, LOCKS, &err));
  acquire_and_keep_all();
  for (int ttl = 0; ttl < 3; ttl++) {
    let_a_ttl_pass(TTL_MS);
    check_all();
  }
  // Among so many, one with a short TTL is not forgotten.
  CHECK(redlock_lock_validity_ms(brief) > 0);
  CHECK(entries("/proc/self/task") <= threads);
  redlock_lock_free(brief);
  for (size_t i = 0; i < LOCKS; i++) redlock_lock_free(locks[i]);
  WAIT_UNTIL(locks_on_nodes() == 0);
  CHECK(no_event(queue));
  free(locks);
  redlock_queue_free(queue);
  redlock_factory_free(factory);
  return 0;
}
