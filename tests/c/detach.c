// Detached locks: the handle is gone, and the lock stays until its TTL ends.

#include "test.h"

enum { LONG_TTL_MS = 60000, SHORT_TTL_MS = 2000 };

static redlock_factory *factory;

static void is_contended(const char *resource) {
  redlock_lock *lock = NULL;
  FAILS(redlock_acquire(factory, resource, LONG_TTL_MS, 0, &lock, &err), REDLOCK_ERR_CONTENDED, resource);
}

static void it_stays_held_without_a_handle(void) {
  redlock_lock *lock = lock_now(factory, "a", LONG_TTL_MS);
  redlock_lock_detach(lock);
  is_contended("a");
  CHECK(redlock_lock_validity_ms(lock) == 0 && redlock_lock_resource(lock) == NULL);
  FAILS(redlock_release(lock, &err), REDLOCK_ERR_INVALID_ARGUMENT, "freed");
  redlock_lock_detach(lock);
  redlock_lock_free(lock);
  is_contended("a");
}

static void it_outlives_its_factory(void) {
  redlock_factory *own = new_factory();
  redlock_lock_detach(lock_now(own, "b", LONG_TTL_MS));
  // Waits for releases in the background, had there been one.
  redlock_factory_free(own);
  CHECK(nodes_holding("b") > node_count() / 2);
  is_contended("b");
}

static void it_is_not_kept_alive(void) {
  redlock_queue *queue = new_queue();
  redlock_lock *lock = lock_now(factory, "c", SHORT_TTL_MS);
  OK(redlock_lock_keep_alive(lock, queue, 1, &err));
  redlock_lock_detach(lock);
  WAIT_UNTIL(nodes_holding("c") == 0);
  CHECK(no_event(queue));
  redlock_queue_free(queue);
}

static void what_is_not_held_is_only_freed(void) {
  redlock_lock *lock = lock_now(factory, "d", LONG_TTL_MS);
  OK(redlock_release(lock, &err));
  redlock_lock_detach(lock);
  redlock_lock_free(lock_now(factory, "d", LONG_TTL_MS));
}

int main(void) {
  factory = new_factory();
  it_stays_held_without_a_handle();
  it_outlives_its_factory();
  it_is_not_kept_alive();
  what_is_not_held_is_only_freed();
  redlock_factory_free(factory);
  return 0;
}
