// Handles that are freed, freed twice, of another type, in the wrong order or garbage.

#include <stdint.h>
#include <string.h>

#include "test.h"

#define INVALID(call, words) FAILS(call, REDLOCK_ERR_INVALID_ARGUMENT, words)

static void freed_handles_in_later_functions(redlock_factory *factory, redlock_lock *lock, redlock_reentrant *holder,
                                             redlock_queue *queue) {
  const char *const name = "r";
  redlock_lock *out = NULL;
  INVALID(redlock_acquire_many(factory, &name, 1, 1000, 0, &out, &err), "the factory handle was freed");
  INVALID(redlock_submit_acquire_many(factory, &name, 1, 1000, 0, queue, 1, &err), "the factory handle was freed");
  INVALID(redlock_factory_trust_nodes(factory, &err), "the factory handle was freed");
  INVALID(redlock_lock_keep_alive(lock, NULL, 1, &err), "the lock handle was freed");
  CHECK(redlock_lock_fence(lock) == 0 && redlock_lock_fence_at(lock, 0) == 0);
  CHECK(redlock_lock_resource_count(lock) == 0 && redlock_lock_resource_at(lock, 0) == NULL);
  INVALID(redlock_reentrant_acquire(holder, 0, &err), "the holder handle was freed");
  INVALID(redlock_reentrant_release(holder, &err), "the holder handle was freed");
  INVALID(redlock_reentrant_keep_alive(holder, NULL, 1, &err), "the holder handle was freed");
  CHECK(redlock_reentrant_count(holder) == 0 && redlock_reentrant_fence(holder) == 0);
  CHECK(redlock_reentrant_validity_ms(holder) == 0);
}

static void freed_handles_are_recognised(void) {
  redlock_factory *factory = new_factory();
  redlock_lock *lock = lock_now(factory, "freed", 60000);
  redlock_queue *queue = new_queue();
  redlock_options *options = NULL;
  redlock_reentrant *holder = NULL;
  redlock_lock *out = NULL;
  redlock_event event;
  size_t count = 0;
  OK(redlock_options_new(&options, &err));
  OK(redlock_reentrant_new(factory, "freed by its holder", 60000, &holder, &err));
  OK(redlock_reentrant_acquire(holder, 60000, &err));
  // Twice each: the second free is none.
  for (int i = 0; i < 2; i++) {
    redlock_lock_free(lock);
    redlock_reentrant_free(holder);
    redlock_queue_free(queue);
    redlock_options_free(options);
    redlock_factory_free(factory);
  }
  freed_handles_in_later_functions(factory, lock, holder, queue);
  INVALID(redlock_acquire(factory, "r", 1000, 0, &out, &err), "the factory handle was freed");
  INVALID(redlock_factory_new(node_urls(), 1, options, &factory, &err), "the options handle was freed");
  CHECK(factory == NULL);
  INVALID(redlock_release(lock, &err), "the lock handle was freed");
  INVALID(redlock_extend(lock, 1000, &err), "the lock handle was freed");
  INVALID(redlock_queue_next(queue, &event, 1, 0, &count, &err), "the queue handle was freed");
  INVALID(redlock_cancel(queue, 1, &err), "the queue handle was freed");
  INVALID(redlock_options_set(options, "node_timeout_ms", "50", &err), "the options handle was freed");
  CHECK(redlock_lock_validity_ms(lock) == 0 && redlock_lock_resource(lock) == NULL);
  CHECK(redlock_queue_fd(queue) == -1);
  WAIT_UNTIL(locks_on_nodes() == 0);
}

static void a_freed_error_is_recognised(void) {
  redlock_error *error = NULL;
  CHECK(redlock_release(NULL, &error) == REDLOCK_ERR_INVALID_ARGUMENT);
  redlock_error_free(error);
  redlock_error_free(error);
  CHECK(redlock_error_code(error) == REDLOCK_ERR_INVALID_ARGUMENT);
  CHECK(contains(redlock_error_message(error), "freed"));
  CHECK(redlock_error_node_count(error) == 0);
}

static void another_type_is_recognised(void) {
  redlock_factory *factory = new_factory();
  redlock_queue *queue = new_queue();
  redlock_lock *out = NULL;
  INVALID(redlock_acquire((redlock_factory *)(void *)queue, "r", 1000, 0, &out, &err), "no factory handle");
  INVALID(redlock_release((redlock_lock *)(void *)factory, &err), "no lock handle");
  redlock_queue_free((redlock_queue *)(void *)factory);
  redlock_factory_free((redlock_factory *)(void *)queue);
  redlock_string_free((char *)(void *)factory);
  // Both are still alive.
  CHECK(redlock_queue_fd(queue) >= 0);
  OK(redlock_submit_acquire(factory, "r", 1000, 0, queue, 1, &err));
  redlock_event event = next_event(queue);
  CHECK(event.id == 1);
  redlock_lock_free(event.lock);
  redlock_error_free(event.error);
  redlock_factory_free(factory);
  redlock_queue_free(queue);
}

static void garbage_is_recognised(void) {
  char foreign[64] = "on the stack";
  const uintptr_t garbage[] = {1, 7, 8, 4096, (uintptr_t)foreign, (uintptr_t)&node_count, UINTPTR_MAX, UINTPTR_MAX / 2};
  for (size_t i = 0; i < sizeof garbage / sizeof *garbage; i++) {
    void *handle = (void *)garbage[i];
    redlock_lock *out = NULL;
    INVALID(redlock_acquire(handle, "r", 1000, 0, &out, &err), "no factory handle");
    INVALID(redlock_release(handle, &err), "no lock handle");
    INVALID(redlock_cancel(handle, 1, &err), "no queue handle");
    INVALID(redlock_reentrant_acquire(handle, 0, &err), "no holder handle");
    CHECK(redlock_error_code(handle) == REDLOCK_ERR_INVALID_ARGUMENT);
    redlock_error_free(handle);
    redlock_options_free(handle);
    redlock_factory_free(handle);
    redlock_lock_free(handle);
    redlock_reentrant_free(handle);
    redlock_queue_free(handle);
    redlock_string_free(handle);
  }
  CHECK(strcmp(foreign, "on the stack") == 0);
}

// The factory first: its locks stay held and usable, and its waiting acquires end.
static void freed_in_the_wrong_order(void) {
  redlock_factory *factory = new_factory();
  redlock_queue *queue = new_queue();
  redlock_lock *lock = lock_now(factory, "outlives", 60000);
  OK(redlock_submit_acquire(factory, "outlives", 1000, -1, queue, 1, &err));
  redlock_factory_free(factory);
  redlock_event event = next_event(queue);
  CHECK(event.id == 1 && event.status == REDLOCK_ERR_CLOSED && event.lock == NULL);
  CHECK(redlock_lock_validity_ms(lock) > 0);
  OK(redlock_extend(lock, 60000, &err));
  OK(redlock_submit_extend(lock, 60000, queue, 2, &err));
  redlock_queue_free(queue);
  OK(redlock_release(lock, &err));
  WAIT_UNTIL(nodes_holding("outlives") == 0);
  CHECK(strcmp(redlock_lock_resource(lock), "outlives") == 0);
  // The error outlives the queue that it came from.
  CHECK(redlock_error_code(event.error) == REDLOCK_ERR_CLOSED);
  redlock_error_free(event.error);
  redlock_lock_free(lock);
}

int main(void) {
  freed_handles_are_recognised();
  a_freed_error_is_recognised();
  another_type_is_recognised();
  garbage_is_recognised();
  freed_in_the_wrong_order();
  return 0;
}
