// Storms of cancellations: each operation has exactly one event, and no lock is left behind.

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "test.h"

enum { OPERATIONS = 2000, CANCELLERS = 3, ROUNDS = 5 };

static redlock_factory *factory;
static redlock_queue *queue;
static atomic_uint submitted;

// Cancels everything in an order of its own, some of it before it is submitted, and several times.
static void *cancel_all(void *argument) {
  unsigned seed = *(unsigned *)argument;
  for (int i = 0; i < OPERATIONS; i++) {
    unsigned limit = atomic_load(&submitted) + 1;
    redlock_status status = redlock_cancel(queue, (unsigned)rand_r(&seed) % limit, NULL);
    CHECK(status == REDLOCK_OK || status == REDLOCK_ERR_INVALID_ARGUMENT);
  }
  return NULL;
}

// A third of the acquires waits for a lock that is held, the others are for free ones.
static void submit_all(void) {
  char resource[32];
  for (unsigned id = 0; id < OPERATIONS; id++) {
    bool held = id % 3 == 0;
    snprintf(resource, sizeof resource, held ? "held" : "free-%u", id);
    OK(redlock_submit_acquire(factory, resource, 60000, held ? -1 : 10000, queue, id, &err));
    atomic_store(&submitted, id + 1);
  }
}

static void count_events(unsigned *events) {
  for (int taken = 0; taken < OPERATIONS; taken++) {
    redlock_event event = next_event(queue);
    CHECK(event.id < OPERATIONS && events[event.id]++ == 0);
    CHECK(event.status == REDLOCK_OK || event.status == REDLOCK_ERR_CANCELLED);
    CHECK((event.lock != NULL) == (event.status == REDLOCK_OK));
    CHECK((event.error == NULL) == (event.status == REDLOCK_OK));
    redlock_lock_free(event.lock);
    redlock_error_free(event.error);
  }
  CHECK(no_event(queue));
}

// Those that nobody happened to cancel would wait for ever.
static void cancel_the_rest(void) {
  for (unsigned id = 0; id < OPERATIONS; id++) redlock_cancel(queue, id, NULL);
}

static void storm(unsigned round) {
  pthread_t threads[CANCELLERS];
  unsigned seeds[CANCELLERS];
  unsigned events[OPERATIONS] = {0};
  redlock_lock *lock = lock_now(factory, "held", 60000);
  queue = new_queue();
  atomic_store(&submitted, 0);
  for (unsigned i = 0; i < CANCELLERS; i++) {
    seeds[i] = round * CANCELLERS + i;
    CHECK(pthread_create(&threads[i], NULL, cancel_all, &seeds[i]) == 0);
  }
  submit_all();
  for (unsigned i = 0; i < CANCELLERS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
  cancel_the_rest();
  count_events(events);
  OK(redlock_release(lock, &err));
  redlock_lock_free(lock);
  redlock_queue_free(queue);
  WAIT_UNTIL(locks_on_nodes() == 0);
}

int main(void) {
  factory = new_factory();
  for (unsigned round = 0; round < ROUNDS; round++) storm(round);
  redlock_factory_free(factory);
  return 0;
}
