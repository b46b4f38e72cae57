// 100,000 locks at once on one factory.

#include <stdio.h>
#include <stdlib.h>

#include "test.h"

enum { LOCKS = 100000, WINDOW = 5000, BATCH = 256 };

static redlock_factory *factory;
static redlock_queue *queue;
static redlock_lock **locks;

static void submit_acquire(size_t i) {
  char resource[32];
  snprintf(resource, sizeof resource, "many-%zu", i);
  OK(redlock_submit_acquire(factory, resource, 120000, 60000, queue, i, &err));
}

static void submit_release(size_t i) {
  OK(redlock_submit_release(locks[i], queue, i, &err));
  redlock_lock_free(locks[i]);
}

static void keep_lock(const redlock_event *event) {
  CHECK(event->lock != NULL && locks[event->id] == NULL);
  locks[event->id] = event->lock;
}

static void forget_lock(const redlock_event *event) {
  CHECK(event->lock == NULL && locks[event->id] != NULL);
  locks[event->id] = NULL;
}

// Runs one operation for each lock, with a window of them under way.
static void for_each(void (*submit)(size_t), void (*take)(const redlock_event *)) {
  redlock_event events[BATCH];
  size_t submitted = 0;
  for (size_t taken = 0; taken < LOCKS;) {
    size_t count = 0;
    while (submitted < LOCKS && submitted - taken < WINDOW) submit(submitted++);
    OK(redlock_queue_next(queue, events, BATCH, -1, &count, &err));
    for (size_t i = 0; i < count; i++) {
      SUCCEEDED(events[i]);
      take(&events[i]);
    }
    taken += count;
  }
}

int main(void) {
  factory = new_factory();
  queue = new_queue();
  locks = calloc(LOCKS, sizeof *locks);
  CHECK(locks != NULL);
  for_each(submit_acquire, keep_lock);
  WAIT_UNTIL(locks_on_nodes() == LOCKS * node_count());
  for (size_t i = 0; i < LOCKS; i++) CHECK(redlock_lock_validity_ms(locks[i]) > 0);
  for_each(submit_release, forget_lock);
  WAIT_UNTIL(locks_on_nodes() == 0);
  free(locks);
  redlock_queue_free(queue);
  redlock_factory_free(factory);
  return 0;
}
