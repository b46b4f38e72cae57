// Many threads on one factory, on one lock and on one queue.

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>

#include "test.h"

enum { THREADS = 8, TURNS = 100, OPERATIONS = 500 };

static redlock_factory *factory;
static redlock_queue *queue;
static redlock_lock *shared;
static atomic_int released, extended;
static atomic_ulong acquired_events, released_events;

// Not atomic on purpose: only the lock protects it.
static volatile long counter;

static void run_threads(void *(*body)(void *)) {
  pthread_t threads[THREADS];
  for (size_t i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], NULL, body, (void *)i) == 0);
  for (size_t i = 0; i < THREADS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
}

static void *increment(void *unused) {
  (void)unused;
  for (int turn = 0; turn < TURNS; turn++) {
    redlock_lock *lock = lock_now(factory, "counter", 60000);
    long seen = counter;
    sched_yield();
    counter = seen + 1;
    OK(redlock_release(lock, &err));
    redlock_lock_free(lock);
  }
  return NULL;
}

static void one_factory(void) {
  run_threads(increment);
  CHECK(counter == THREADS * TURNS);
}

static void *extend_it(void *unused) {
  (void)unused;
  for (int turn = 0; turn < TURNS; turn++) {
    OK(redlock_extend(shared, 60000, &err));
    CHECK(redlock_lock_validity_ms(shared) > 0);
    CHECK(redlock_lock_token(shared) == redlock_lock_token(shared));
    atomic_fetch_add(&extended, 1);
  }
  return NULL;
}

static void *release_it(void *unused) {
  (void)unused;
  if (redlock_release(shared, NULL) == REDLOCK_OK) atomic_fetch_add(&released, 1);
  else FAILS(redlock_release(shared, &err), REDLOCK_ERR_RELEASED, "one lock");
  return NULL;
}

static void one_lock(void) {
  shared = lock_now(factory, "one lock", 60000);
  run_threads(extend_it);
  CHECK(atomic_load(&extended) == THREADS * TURNS);
  run_threads(release_it);
  CHECK(atomic_load(&released) == 1);
  redlock_lock_free(shared);
}

// One thread frees the lock while the others use it.
static void *use_or_free(void *argument) {
  if (argument == NULL) {
    redlock_lock_free(shared);
    return NULL;
  }
  for (int turn = 0; turn < TURNS; turn++) {
    redlock_status status = redlock_extend(shared, 60000, NULL);
    CHECK(status == REDLOCK_OK || status == REDLOCK_ERR_INVALID_ARGUMENT);
    CHECK(redlock_lock_validity_ms(shared) >= 0);
  }
  return NULL;
}

static void a_lock_that_is_freed_meanwhile(void) {
  for (int round = 0; round < 20; round++) {
    shared = lock_now(factory, "freed", 60000);
    run_threads(use_or_free);
    CHECK(redlock_extend(shared, 60000, NULL) == REDLOCK_ERR_INVALID_ARGUMENT);
  }
}

static void submit_share(size_t thread) {
  char resource[32];
  for (size_t i = 0; i < OPERATIONS; i++) {
    snprintf(resource, sizeof resource, "queue-%zu-%zu", thread, i);
    OK(redlock_submit_acquire(factory, resource, 60000, 60000, queue, thread * OPERATIONS + i, &err));
  }
}

// What was acquired is released by way of the same queue, and freed before that has ended.
static void handle(const redlock_event *event) {
  const uint64_t release = UINT64_C(1) << 63;
  SUCCEEDED(*event);
  if (event->kind == REDLOCK_EVENT_ACQUIRE) {
    OK(redlock_submit_release(event->lock, queue, event->id | release, &err));
    redlock_lock_free(event->lock);
    atomic_fetch_add(&acquired_events, 1);
  } else {
    CHECK(event->kind == REDLOCK_EVENT_RELEASE && (event->id & release) != 0);
    atomic_fetch_add(&released_events, 1);
  }
}

static void *submit_and_drain(void *argument) {
  redlock_event events[16];
  size_t count;
  submit_share((size_t)argument);
  while (atomic_load(&released_events) < THREADS * OPERATIONS) {
    OK(redlock_queue_next(queue, events, 16, 10, &count, &err));
    for (size_t i = 0; i < count; i++) handle(&events[i]);
  }
  return NULL;
}

static void one_queue(void) {
  queue = new_queue();
  run_threads(submit_and_drain);
  CHECK(atomic_load(&acquired_events) == THREADS * OPERATIONS);
  CHECK(atomic_load(&released_events) == THREADS * OPERATIONS);
  CHECK(no_event(queue));
  redlock_queue_free(queue);
}

// Threads that wait for a lock when the factory is freed: each call ends.
static void *acquire_until_closed(void *unused) {
  redlock_lock *lock = NULL;
  (void)unused;
  about_to_sleep();
  FAILS(redlock_acquire(factory, "closing", 60000, -1, &lock, &err), REDLOCK_ERR_CLOSED, "closing");
  CHECK(lock == NULL);
  return NULL;
}

static void a_factory_that_is_freed_meanwhile(void) {
  pthread_t threads[THREADS];
  redlock_lock *lock = lock_now(factory, "closing", 60000);
  for (size_t i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], NULL, acquire_until_closed, NULL) == 0);
  wait_for_sleepers(THREADS);
  redlock_factory_free(factory);
  for (size_t i = 0; i < THREADS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
  OK(redlock_release(lock, &err));
  redlock_lock_free(lock);
}

int main(void) {
  factory = new_factory();
  one_factory();
  one_lock();
  a_lock_that_is_freed_meanwhile();
  one_queue();
  a_factory_that_is_freed_meanwhile();
  WAIT_UNTIL(locks_on_nodes() == 0);
  return 0;
}
