// The queue: one event for each operation, the descriptor, timeouts, room, ids, and cancelling.

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "test.h"

static redlock_factory *factory;

static bool readable(redlock_queue *queue) {
  struct pollfd entry = {.fd = redlock_queue_fd(queue), .events = POLLIN};
  return poll(&entry, 1, 0) == 1 && entry.revents == POLLIN;
}

static void check_clean(const redlock_event *event) {
  for (size_t i = 0; i < sizeof event->reserved / sizeof *event->reserved; i++) CHECK(event->reserved[i] == 0);
}

static redlock_event succeeded(redlock_queue *queue, uint64_t id, uint32_t kind) {
  redlock_event event = next_event(queue);
  CHECK(event.id == id && event.kind == kind);
  SUCCEEDED(event);
  check_clean(&event);
  return event;
}

static redlock_event failed(redlock_queue *queue, uint64_t id, uint32_t kind, redlock_status status) {
  redlock_event event = next_event(queue);
  CHECK(event.id == id && event.kind == kind && event.status == status);
  CHECK(event.lock == NULL && event.validity_ms == 0 && event.value == 0 && event.fence == 0);
  CHECK(redlock_error_code(event.error) == status);
  check_clean(&event);
  redlock_error_free(event.error);
  return event;
}

static void each_kind_of_event(void) {
  redlock_queue *queue = new_queue();
  OK(redlock_submit_acquire(factory, "kinds", 60000, 10000, queue, UINT64_MAX, &err));
  redlock_event acquired = succeeded(queue, UINT64_MAX, REDLOCK_EVENT_ACQUIRE);
  CHECK(acquired.lock != NULL && acquired.validity_ms > 0 && acquired.validity_ms < 60000);
  CHECK(acquired.fence > 0 && acquired.fence == redlock_lock_fence(acquired.lock));
  OK(redlock_submit_is_locked(factory, "kinds", queue, 0, &err));
  CHECK(succeeded(queue, 0, REDLOCK_EVENT_IS_LOCKED).value == 1);
  OK(redlock_submit_extend(acquired.lock, 100000, queue, 2, &err));
  redlock_event extended = succeeded(queue, 2, REDLOCK_EVENT_EXTEND);
  CHECK(extended.lock == NULL && extended.validity_ms > 60000 && extended.validity_ms < 100000);
  CHECK(extended.fence == 0);
  OK(redlock_submit_acquire(factory, "kinds", 1000, 0, queue, 3, &err));
  failed(queue, 3, REDLOCK_EVENT_ACQUIRE, REDLOCK_ERR_CONTENDED);
  OK(redlock_submit_release(acquired.lock, queue, 4, &err));
  CHECK(succeeded(queue, 4, REDLOCK_EVENT_RELEASE).lock == NULL);
  OK(redlock_submit_is_locked(factory, "kinds", queue, 5, &err));
  CHECK(succeeded(queue, 5, REDLOCK_EVENT_IS_LOCKED).value == 0);
  FAILS(redlock_submit_release(acquired.lock, queue, 6, &err), REDLOCK_ERR_RELEASED, "kinds");
  CHECK(no_event(queue));
  redlock_lock_free(acquired.lock);
  redlock_queue_free(queue);
}

// A lock may be freed while its release is under way.
static void freed_before_its_event(void) {
  redlock_queue *queue = new_queue();
  redlock_lock *lock = lock_now(factory, "early", 60000);
  OK(redlock_submit_release(lock, queue, 1, &err));
  redlock_lock_free(lock);
  succeeded(queue, 1, REDLOCK_EVENT_RELEASE);
  redlock_queue_free(queue);
}

static void the_descriptor_is_readable_while_events_wait(void) {
  redlock_queue *queue = new_queue();
  CHECK(!readable(queue));
  for (uint64_t id = 0; id < 10; id++) OK(redlock_submit_is_locked(factory, "fd", queue, id, &err));
  for (uint64_t i = 0; i < 10; i++) {
    WAIT_UNTIL(readable(queue));
    next_event(queue);
  }
  CHECK(!readable(queue));
  redlock_queue_free(queue);
}

static void room_and_time(void) {
  redlock_queue *queue = new_queue();
  redlock_event events[8];
  size_t count = 99;
  OK(redlock_queue_next(queue, events, 8, 0, &count, &err));
  CHECK(count == 0);
  OK(redlock_queue_next(queue, events, 8, 5, &count, &err));
  CHECK(count == 0);
  count = 99;
  FAILS(redlock_queue_next(queue, events, 0, 0, &count, &err), REDLOCK_ERR_INVALID_ARGUMENT, "max is 0");
  CHECK(count == 0);
  FAILS(redlock_queue_next(queue, events, 8, -2, &count, &err), REDLOCK_ERR_INVALID_ARGUMENT, "timeout_ms is -2");
  for (uint64_t id = 0; id < 20; id++) OK(redlock_submit_is_locked(factory, "room", queue, id, &err));
  for (size_t taken = 0; taken < 20; taken += count) {
    memset(events, 0xff, sizeof events);
    OK(redlock_queue_next(queue, events, 8, -1, &count, &err));
    CHECK(count >= 1 && count <= 8);
    // What lies beyond the count is untouched.
    CHECK(count == 8 || events[count].id == UINT64_MAX);
  }
  // An absurd room is only as large as what is there.
  OK(redlock_submit_is_locked(factory, "room", queue, 1, &err));
  OK(redlock_queue_next(queue, events, SIZE_MAX, INT64_MAX, &count, &err));
  CHECK(count == 1);
  redlock_queue_free(queue);
}

// An id that is in use is refused, and free again after its event.
static void ids(void) {
  redlock_queue *queue = new_queue();
  redlock_queue *other = new_queue();
  redlock_lock *lock = lock_now(factory, "ids", 60000);
  OK(redlock_submit_acquire(factory, "ids", 1000, -1, queue, 7, &err));
  FAILS(redlock_submit_is_locked(factory, "ids", queue, 7, &err), REDLOCK_ERR_INVALID_ARGUMENT, "7");
  FAILS(redlock_submit_extend(lock, 60000, queue, 7, &err), REDLOCK_ERR_INVALID_ARGUMENT, "7");
  FAILS(redlock_submit_release(lock, queue, 7, &err), REDLOCK_ERR_INVALID_ARGUMENT, "7");
  // The refused release has not begun: the lock is still held, and can be released.
  OK(redlock_submit_is_locked(factory, "ids", other, 7, &err));
  CHECK(succeeded(other, 7, REDLOCK_EVENT_IS_LOCKED).value == 1);
  OK(redlock_cancel(queue, 7, &err));
  failed(queue, 7, REDLOCK_EVENT_ACQUIRE, REDLOCK_ERR_CANCELLED);
  OK(redlock_submit_release(lock, queue, 7, &err));
  succeeded(queue, 7, REDLOCK_EVENT_RELEASE);
  FAILS(redlock_cancel(queue, 7, &err), REDLOCK_ERR_INVALID_ARGUMENT, "7");
  FAILS(redlock_cancel(queue, 12345, &err), REDLOCK_ERR_INVALID_ARGUMENT, "12345");
  CHECK(no_event(queue) && no_event(other));
  redlock_lock_free(lock);
  redlock_queue_free(queue);
  redlock_queue_free(other);
}

// A lock that was won, but whose event waits when the acquire is cancelled, goes back.
static void cancelled_after_it_was_won(void) {
  redlock_queue *queue = new_queue();
  OK(redlock_submit_acquire(factory, "won", 60000, 10000, queue, 1, &err));
  WAIT_UNTIL(readable(queue));
  OK(redlock_cancel(queue, 1, &err));
  failed(queue, 1, REDLOCK_EVENT_ACQUIRE, REDLOCK_ERR_CANCELLED);
  WAIT_UNTIL(nodes_holding("won") == 0);
  redlock_queue_free(queue);
}

// What is under way when a queue is freed leaves nothing locked, and locks in events that nobody took go
// back.
static void freed_with_operations_in_flight(void) {
  char resource[32];
  for (int round = 0; round < 20; round++) {
    redlock_queue *queue = new_queue();
    redlock_lock *lock = lock_now(factory, "in flight", 60000);
    OK(redlock_submit_acquire(factory, "in flight", 60000, -1, queue, 1, &err));
    for (uint64_t id = 2; id < 100; id++) {
      snprintf(resource, sizeof resource, "flight-%d", (int)id);
      OK(redlock_submit_acquire(factory, resource, 60000, 0, queue, id, &err));
    }
    OK(redlock_submit_extend(lock, 60000, queue, 100, &err));
    OK(redlock_submit_release(lock, queue, 101, &err));
    redlock_queue_free(queue);
    redlock_lock_free(lock);
    WAIT_UNTIL(locks_on_nodes() == 0);
  }
}

static void *wait_for_ever(void *argument) {
  redlock_event event;
  size_t count = 1;
  about_to_sleep();
  FAILS(redlock_queue_next(argument, &event, 1, -1, &count, &err), REDLOCK_ERR_CLOSED, "closed");
  CHECK(count == 0);
  return NULL;
}

static void freed_while_a_thread_waits(void) {
  redlock_queue *queue = new_queue();
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, wait_for_ever, queue) == 0);
  wait_for_sleepers(1);
  redlock_queue_free(queue);
  CHECK(pthread_join(thread, NULL) == 0);
}

int main(void) {
  factory = new_factory();
  each_kind_of_event();
  freed_before_its_event();
  the_descriptor_is_readable_while_events_wait();
  room_and_time();
  ids();
  cancelled_after_it_was_won();
  freed_with_operations_in_flight();
  freed_while_a_thread_waits();
  redlock_factory_free(factory);
  WAIT_UNTIL(locks_on_nodes() == 0);
  return 0;
}
