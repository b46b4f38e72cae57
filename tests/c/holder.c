// Holders: they count, ask no node for inner calls, notice a loss, and can be freed while a thread waits in them.

#include <pthread.h>

#include "test.h"

static redlock_factory *factory;

static redlock_reentrant *new_holder(const char *resource, uint64_t ttl_ms) {
  redlock_reentrant *holder = NULL;
  OK(redlock_reentrant_new(factory, resource, ttl_ms, &holder, &err));
  CHECK(holder != NULL && redlock_reentrant_count(holder) == 0);
  return holder;
}

static void it_counts(void) {
  redlock_reentrant *holder = new_holder("counts", 60000);
  FAILS(redlock_reentrant_release(holder, &err), REDLOCK_ERR_RELEASED, "counts");
  FAILS(redlock_reentrant_keep_alive(holder, NULL, 0, &err), REDLOCK_ERR_RELEASED, "counts");
  CHECK(redlock_reentrant_validity_ms(holder) == 0 && redlock_reentrant_fence(holder) == 0);
  OK(redlock_reentrant_acquire(holder, 60000, &err));
  uint64_t fence = redlock_reentrant_fence(holder);
  CHECK(redlock_reentrant_validity_ms(holder) > 30000 && fence > 0);
  stop_majority();
  OK(redlock_reentrant_acquire(holder, 0, &err));
  CHECK(redlock_reentrant_count(holder) == 2 && redlock_reentrant_fence(holder) == fence);
  OK(redlock_reentrant_release(holder, &err));
  continue_majority();
  OK(redlock_reentrant_release(holder, &err));
  CHECK(redlock_reentrant_count(holder) == 0 && redlock_reentrant_fence(holder) == 0);
  WAIT_UNTIL(nodes_holding("counts") == 0);
  redlock_reentrant_free(holder);
}

static void holders_exclude_each_other(void) {
  redlock_reentrant *one = new_holder("excluded", 60000);
  redlock_reentrant *other = new_holder("excluded", 60000);
  OK(redlock_reentrant_acquire(one, 60000, &err));
  FAILS(redlock_reentrant_acquire(other, 0, &err), REDLOCK_ERR_CONTENDED, "excluded");
  CHECK(redlock_reentrant_count(other) == 0);
  // Freed, it gives back, however often it was acquired.
  OK(redlock_reentrant_acquire(one, 0, &err));
  redlock_reentrant_free(one);
  OK(redlock_reentrant_acquire(other, 60000, &err));
  redlock_reentrant_free(other);
}

static void a_loss_shows(void) {
  redlock_reentrant *holder = new_holder("lost", 1000);
  OK(redlock_reentrant_acquire(holder, 60000, &err));
  uint64_t fence = redlock_reentrant_fence(holder);
  WAIT_UNTIL(nodes_holding("lost") == 0);
  CHECK(redlock_reentrant_validity_ms(holder) == 0);
  FAILS(redlock_reentrant_acquire(holder, -1, &err), REDLOCK_ERR_EXPIRED, "lost");
  FAILS(redlock_reentrant_keep_alive(holder, NULL, 0, &err), REDLOCK_ERR_EXPIRED, "lost");
  CHECK(redlock_reentrant_count(holder) == 1);
  FAILS(redlock_reentrant_release(holder, &err), REDLOCK_ERR_EXPIRED, "lost");
  OK(redlock_reentrant_acquire(holder, 60000, &err));
  CHECK(redlock_reentrant_fence(holder) > fence);
  redlock_reentrant_free(holder);
}

static void it_is_kept_alive(void) {
  redlock_reentrant *holder = new_holder("kept", 3000);
  redlock_queue *queue = new_queue();
  OK(redlock_reentrant_acquire(holder, 60000, &err));
  OK(redlock_reentrant_keep_alive(holder, queue, 4, &err));
  lose_on_nodes("kept");
  redlock_event event = next_event(queue);
  CHECK(event.id == 4 && event.kind == REDLOCK_EVENT_LOST && event.status == REDLOCK_ERR_EXPIRED);
  redlock_error_free(event.error);
  FAILS(redlock_reentrant_acquire(holder, 0, &err), REDLOCK_ERR_EXPIRED, "kept");
  redlock_queue_free(queue);
  FAILS(redlock_reentrant_keep_alive(holder, queue, 4, &err), REDLOCK_ERR_INVALID_ARGUMENT,
        "the queue handle was freed");
  redlock_reentrant_free(holder);
}

static void what_can_not_be_held(void) {
  redlock_reentrant *holder = NULL;
  FAILS(redlock_reentrant_new(factory, "", 1000, &holder, &err), REDLOCK_ERR_INVALID_ARGUMENT, "empty");
  FAILS(redlock_reentrant_new(factory, "t", 0, &holder, &err), REDLOCK_ERR_INVALID_ARGUMENT, "TTL");
  FAILS(redlock_reentrant_new(factory, "t", 2592000001, &holder, &err), REDLOCK_ERR_INVALID_ARGUMENT, "30 days");
  CHECK(holder == NULL);
  holder = new_holder("t", 1000);
  FAILS(redlock_reentrant_acquire(holder, -2, &err), REDLOCK_ERR_INVALID_ARGUMENT, "wait_ms is -2");
  redlock_reentrant_free(holder);
}

static void *acquire_for_ever(void *holder) {
  about_to_sleep();
  FAILS(redlock_reentrant_acquire(holder, -1, &err), REDLOCK_ERR_CLOSED, "freed while it waits");
  return NULL;
}

// Whether another thread is in the holder's first acquire, which one without patience is told.
static bool another_thread_acquires(redlock_reentrant *holder) {
  redlock_error *error = NULL;
  CHECK(redlock_reentrant_acquire(holder, 0, &error) == REDLOCK_ERR_CONTENDED);
  bool acquires = contains(redlock_error_message(error), "another thread");
  redlock_error_free(error);
  return acquires;
}

static void freed_while_threads_wait(void) {
  redlock_lock *lock = lock_now(factory, "freed while it waits", 60000);
  redlock_reentrant *holder = new_holder("freed while it waits", 60000);
  pthread_t threads[2];
  for (int i = 0; i < 2; i++) CHECK(pthread_create(&threads[i], NULL, acquire_for_ever, holder) == 0);
  wait_for_sleepers(2);
  WAIT_UNTIL(another_thread_acquires(holder));
  redlock_reentrant_free(holder);
  for (int i = 0; i < 2; i++) CHECK(pthread_join(threads[i], NULL) == 0);
  redlock_lock_free(lock);
}

// The factory's handle may go first: what is held stays, and nothing new is taken.
static void it_outlives_its_factory(void) {
  redlock_factory *old = factory;
  factory = new_factory();
  redlock_reentrant *holder = new_holder("outlives", 60000);
  OK(redlock_reentrant_acquire(holder, 60000, &err));
  redlock_factory_free(factory);
  OK(redlock_reentrant_acquire(holder, 0, &err));
  OK(redlock_reentrant_release(holder, &err));
  OK(redlock_reentrant_release(holder, &err));
  FAILS(redlock_reentrant_acquire(holder, 0, &err), REDLOCK_ERR_CLOSED, "closed");
  redlock_reentrant_free(holder);
  factory = old;
}

int main(void) {
  factory = new_factory();
  it_counts();
  holders_exclude_each_other();
  a_loss_shows();
  it_is_kept_alive();
  what_can_not_be_held();
  freed_while_threads_wait();
  it_outlives_its_factory();
  WAIT_UNTIL(locks_on_nodes() == 0);
  redlock_factory_free(factory);
  return 0;
}
