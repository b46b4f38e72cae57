// Several resources as one lock: all or nothing, in the order given, without deadlocks between sets that overlap.

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "test.h"

#define INVALID(call, words) FAILS(call, REDLOCK_ERR_INVALID_ARGUMENT, words)
#define COUNT(array) (sizeof(array) / sizeof *(array))

enum { MOST = 128, THREADS = 6, TURNS = 40, RING = 6 };

static redlock_factory *factory;
static redlock_queue *queue;

static const char *const abc[] = {"b", "c", "a"};

static void one_handle_for_all(void) {
  redlock_lock *lock = NULL;
  OK(redlock_acquire_many(factory, abc, COUNT(abc), 60000, 60000, &lock, &err));
  CHECK(redlock_lock_resource_count(lock) == COUNT(abc));
  CHECK(strcmp(redlock_lock_resource(lock), "b") == 0);
  for (size_t i = 0; i < COUNT(abc); i++) {
    CHECK(strcmp(redlock_lock_resource_at(lock, i), abc[i]) == 0);
    CHECK(redlock_lock_fence_at(lock, i) > 0);
  }
  CHECK(redlock_lock_fence(lock) == redlock_lock_fence_at(lock, 0));
  CHECK(redlock_lock_resource_at(lock, COUNT(abc)) == NULL && redlock_lock_fence_at(lock, COUNT(abc)) == 0);
  CHECK(redlock_lock_resource_at(lock, SIZE_MAX) == NULL && redlock_lock_fence_at(lock, SIZE_MAX) == 0);
  for (size_t i = 0; i < COUNT(abc); i++) CHECK(nodes_holding(abc[i]) > node_count() / 2);
  OK(redlock_extend(lock, 100000, &err));
  CHECK(redlock_lock_validity_ms(lock) > 60000);
  OK(redlock_release(lock, &err));
  FAILS(redlock_release(lock, &err), REDLOCK_ERR_RELEASED, "b");
  WAIT_UNTIL(locks_on_nodes() == 0);
  redlock_lock_free(lock);
}

static void one_of_one(void) {
  redlock_lock *lock = lock_now(factory, "single", 60000);
  CHECK(redlock_lock_resource_count(lock) == 1);
  CHECK(redlock_lock_resource_at(lock, 0) == redlock_lock_resource(lock));
  CHECK(redlock_lock_resource_at(lock, 1) == NULL);
  redlock_lock_free(lock);
}

static void all_or_nothing(void) {
  redlock_lock *lock = NULL;
  redlock_lock *middle = lock_now(factory, "c", 60000);
  FAILS(redlock_acquire_many(factory, abc, COUNT(abc), 60000, 0, &lock, &err), REDLOCK_ERR_CONTENDED, "c");
  CHECK(lock == NULL);
  WAIT_UNTIL(nodes_holding("a") == 0 && nodes_holding("b") == 0);
  uint64_t before = redlock_lock_fence(middle);
  OK(redlock_release(middle, &err));
  redlock_lock_free(middle);
  OK(redlock_acquire_many(factory, abc, COUNT(abc), 60000, 60000, &lock, &err));
  CHECK(redlock_lock_fence_at(lock, 1) > before);
  FAILS(redlock_acquire(factory, "a", 1000, 0, &middle, &err), REDLOCK_ERR_CONTENDED, "a");
  // Freeing gives all of it back.
  redlock_lock_free(lock);
  WAIT_UNTIL(locks_on_nodes() == 0);
}

static void it_is_lost_with_one_of_its_resources(void) {
  redlock_lock *lock = NULL;
  OK(redlock_acquire_many(factory, abc, COUNT(abc), 60000, 60000, &lock, &err));
  lose_on_nodes("c");
  FAILS(redlock_extend(lock, 60000, &err), REDLOCK_ERR_EXPIRED, "b");
  CHECK(redlock_lock_validity_ms(lock) == 0 && nodes_holding("c") <= node_count() / 2);
  redlock_lock_free(lock);
  FAILS(redlock_release(lock, &err), REDLOCK_ERR_INVALID_ARGUMENT, "freed");
}

static void refuse(const char *const *names, size_t n, const char *words) {
  redlock_lock *lock = NULL;
  INVALID(redlock_acquire_many(factory, names, n, 1000, 0, &lock, &err), words);
  INVALID(redlock_submit_acquire_many(factory, names, n, 1000, 0, queue, 1, &err), words);
  CHECK(lock == NULL && no_event(queue));
}

static void bad_sets(void) {
  const char *const twice[] = {"a", "b", "a"};
  const char *const with_empty[] = {"a", ""};
  const char *const foreign[] = {"a", "bad \xff name"};
  refuse(abc, 0, "0 resources");
  refuse(NULL, 0, "0 resources");
  refuse(twice, COUNT(twice), "\"a\" is given twice");
  refuse(with_empty, COUNT(with_empty), "empty");
  refuse(foreign, COUNT(foreign), "resources[1] is not valid UTF-8");
  // Not a name is read when there are too many.
  refuse(abc, MOST + 1, "128");
  refuse(abc, SIZE_MAX, "128");
  INVALID(redlock_submit_acquire_many(factory, abc, COUNT(abc), 0, 0, queue, 1, &err), "TTL");
  INVALID(redlock_submit_acquire_many(factory, abc, COUNT(abc), 1000, -2, queue, 1, &err), "wait_ms is -2");
}

static void as_many_as_there_may_be(void) {
  char names[MOST][16];
  const char *pointers[MOST];
  redlock_lock *lock = NULL;
  for (size_t i = 0; i < MOST; i++) {
    snprintf(names[i], sizeof names[i], "most-%zu", i);
    pointers[i] = names[i];
  }
  OK(redlock_acquire_many(factory, pointers, MOST, 60000, 60000, &lock, &err));
  memset(names, 0, sizeof names);
  CHECK(redlock_lock_resource_count(lock) == MOST);
  CHECK(strcmp(redlock_lock_resource_at(lock, MOST - 1), "most-127") == 0);
  OK(redlock_release(lock, &err));
  redlock_lock_free(lock);
}

static void by_the_queue(void) {
  OK(redlock_submit_acquire_many(factory, abc, COUNT(abc), 60000, 60000, queue, 1, &err));
  redlock_event first = next_event(queue);
  SUCCEEDED(first);
  CHECK(first.id == 1 && first.kind == REDLOCK_EVENT_ACQUIRE);
  CHECK(redlock_lock_resource_count(first.lock) == COUNT(abc) && first.fence == redlock_lock_fence(first.lock));
  // One that waits can be cancelled, one that need not wait any longer comes.
  OK(redlock_submit_acquire_many(factory, abc + 1, 2, 60000, -1, queue, 2, &err));
  OK(redlock_cancel(queue, 2, &err));
  redlock_event cancelled = next_event(queue);
  CHECK(cancelled.id == 2 && cancelled.status == REDLOCK_ERR_CANCELLED && cancelled.lock == NULL);
  redlock_error_free(cancelled.error);
  OK(redlock_submit_acquire_many(factory, abc + 1, 2, 60000, -1, queue, 3, &err));
  redlock_lock_free(first.lock);
  redlock_event second = next_event(queue);
  SUCCEEDED(second);
  CHECK(second.id == 3 && second.fence > first.fence);
  redlock_lock_free(second.lock);
  WAIT_UNTIL(locks_on_nodes() == 0);
}

// Each takes three neighbours of a ring, in an order of its own: the classic way into a deadlock.
static void *dine(void *argument) {
  static const char *const ring[RING] = {"fork-0", "fork-1", "fork-2", "fork-3", "fork-4", "fork-5"};
  size_t seat = (size_t)argument;
  for (size_t turn = 0; turn < TURNS; turn++) {
    const char *names[3];
    for (size_t i = 0; i < COUNT(names); i++) names[(i + turn) % 3] = ring[(seat + i) % RING];
    redlock_lock *lock = NULL;
    OK(redlock_acquire_many(factory, names, COUNT(names), 60000, -1, &lock, &err));
    CHECK(redlock_lock_validity_ms(lock) > 0);
    OK(redlock_release(lock, &err));
    redlock_lock_free(lock);
  }
  return NULL;
}

static void sets_that_overlap(void) {
  pthread_t threads[THREADS];
  for (size_t i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], NULL, dine, (void *)i) == 0);
  for (size_t i = 0; i < THREADS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
}

int main(void) {
  factory = new_factory();
  queue = new_queue();
  one_handle_for_all();
  one_of_one();
  all_or_nothing();
  it_is_lost_with_one_of_its_resources();
  bad_sets();
  as_many_as_there_may_be();
  by_the_queue();
  sets_that_overlap();
  redlock_queue_free(queue);
  redlock_factory_free(factory);
  WAIT_UNTIL(locks_on_nodes() == 0);
  return 0;
}
