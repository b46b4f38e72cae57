// Kept locks: extended while they are held, their loss reported once and in time, and nothing of them left after the
// end.

#include "test.h"

enum { TTL_MS = 2000, HUNG_TTL_MS = 8000 };

static redlock_factory *factory;

static redlock_lock *kept(const char *resource, uint64_t ttl_ms, redlock_queue *queue, uint64_t id) {
  redlock_lock *lock = lock_now(factory, resource, ttl_ms);
  OK(redlock_lock_keep_alive(lock, queue, id, &err));
  return lock;
}

// Lets the time pass in which a lock that was taken now, and is not kept, runs out.
static void let_a_ttl_pass(void) {
  redlock_lock *clock = lock_now(factory, "clock", TTL_MS);
  WAIT_UNTIL(redlock_lock_validity_ms(clock) == 0);
  redlock_lock_free(clock);
}

static void lost(redlock_event event, uint64_t id, redlock_status status) {
  CHECK(event.kind == REDLOCK_EVENT_LOST && event.id == id && event.status == status);
  CHECK(event.lock == NULL && event.fence == 0 && event.value == 0);
  CHECK(redlock_error_code(event.error) == status);
  redlock_error_free(event.error);
}

static void it_outlives_its_ttl_and_ends_with_the_release(void) {
  redlock_queue *queue = new_queue();
  redlock_lock *loud = kept("loud", TTL_MS, queue, 1);
  redlock_lock *silent = kept("silent", TTL_MS, NULL, 0);
  uint64_t fence = redlock_lock_fence(loud);
  for (int ttl = 0; ttl < 3; ttl++) let_a_ttl_pass();
  CHECK(redlock_lock_validity_ms(loud) > 0 && redlock_lock_validity_ms(silent) > 0);
  CHECK(redlock_lock_fence(loud) == fence);
  CHECK(nodes_holding("loud") > node_count() / 2 && nodes_holding("silent") > node_count() / 2);
  OK(redlock_release(loud, &err));
  OK(redlock_release(silent, &err));
  FAILS(redlock_lock_keep_alive(loud, queue, 1, &err), REDLOCK_ERR_RELEASED, "loud");
  // The time comes at which they would have been extended, and they are not taken again.
  let_a_ttl_pass();
  CHECK(nodes_holding("loud") == 0 && nodes_holding("silent") == 0);
  CHECK(no_event(queue));
  redlock_lock_free(loud);
  redlock_lock_free(silent);
  redlock_queue_free(queue);
}

static void a_loss_is_reported_once(void) {
  redlock_queue *queue = new_queue();
  redlock_lock *lock = kept("gone", TTL_MS, queue, 77);
  lose_on_nodes("gone");
  lost(next_event(queue), 77, REDLOCK_ERR_EXPIRED);
  CHECK(redlock_lock_validity_ms(lock) == 0);
  let_a_ttl_pass();
  CHECK(no_event(queue) && nodes_holding("gone") <= node_count() / 2);
  FAILS(redlock_lock_keep_alive(lock, queue, 77, &err), REDLOCK_ERR_EXPIRED, "gone");
  FAILS(redlock_cancel(queue, 77, &err), REDLOCK_ERR_INVALID_ARGUMENT, "77");
  redlock_lock_free(lock);
  redlock_queue_free(queue);
}

// Whoever took the key since keeps it.
static void it_takes_nothing_from_another_owner(void) {
  redlock_queue *queue = new_queue();
  redlock_lock *lock = kept("robbed", TTL_MS, queue, 1);
  lose_on_nodes("robbed");
  redlock_lock *other = lock_now(factory, "robbed", 60000);
  lost(next_event(queue), 1, REDLOCK_ERR_EXPIRED);
  redlock_lock_free(lock);
  OK(redlock_release(other, &err));
  redlock_lock_free(other);
  redlock_queue_free(queue);
}

// The nodes are silent: the owner hears of it while its lock is still proven held.
static void a_loss_is_reported_before_the_end(redlock_factory *by) {
  redlock_queue *queue = new_queue();
  redlock_lock *lock = lock_now(by, "hung", HUNG_TTL_MS);
  OK(redlock_lock_keep_alive(lock, queue, 5, &err));
  stop_majority();
  redlock_event event = next_event(queue);
  CHECK(redlock_lock_validity_ms(lock) > 0);
  lost(event, 5, REDLOCK_ERR_NO_QUORUM);
  continue_majority();
  CHECK(no_event(queue));
  redlock_lock_free(lock);
  redlock_queue_free(queue);
}

// Long after the moment at which it would have been extended for the first time.
static void it_may_be_asked_for_late(void) {
  redlock_queue *queue = new_queue();
  redlock_lock *lock = lock_now(factory, "late", TTL_MS);
  WAIT_UNTIL(redlock_lock_validity_ms(lock) < TTL_MS / 2);
  OK(redlock_lock_keep_alive(lock, queue, 1, &err));
  let_a_ttl_pass();
  CHECK(redlock_lock_validity_ms(lock) > 0 && no_event(queue));
  redlock_lock_free(lock);
  redlock_queue_free(queue);
}

static void the_last_call_counts(void) {
  redlock_queue *first = new_queue();
  redlock_queue *last = new_queue();
  redlock_lock *lock = kept("twice", TTL_MS, first, 1);
  OK(redlock_lock_keep_alive(lock, NULL, 2, &err));
  OK(redlock_lock_keep_alive(lock, last, 3, &err));
  lose_on_nodes("twice");
  lost(next_event(last), 3, REDLOCK_ERR_EXPIRED);
  let_a_ttl_pass();
  CHECK(no_event(first) && no_event(last));
  redlock_lock_free(lock);
  redlock_queue_free(first);
  redlock_queue_free(last);
}

static void it_ends_with_the_handle(void) {
  redlock_queue *queue = new_queue();
  redlock_lock_free(kept("freed", TTL_MS, queue, 1));
  WAIT_UNTIL(nodes_holding("freed") == 0);
  let_a_ttl_pass();
  CHECK(no_event(queue) && nodes_holding("freed") == 0);
  redlock_queue_free(queue);
}

static void it_ends_with_the_factory(void) {
  redlock_factory *short_lived = new_factory();
  redlock_lock *lock = lock_now(short_lived, "orphan", TTL_MS);
  OK(redlock_lock_keep_alive(lock, NULL, 0, &err));
  redlock_factory_free(short_lived);
  WAIT_UNTIL(redlock_lock_validity_ms(lock) == 0 && nodes_holding("orphan") == 0);
  redlock_lock_free(lock);
}

// The lock is kept on without anybody to tell.
static void the_queue_may_go_first(void) {
  redlock_queue *queue = new_queue();
  redlock_lock *lock = kept("quiet", TTL_MS, queue, 1);
  redlock_queue_free(queue);
  let_a_ttl_pass();
  CHECK(redlock_lock_validity_ms(lock) > 0);
  FAILS(redlock_lock_keep_alive(lock, queue, 1, &err), REDLOCK_ERR_INVALID_ARGUMENT, "the queue handle was freed");
  OK(redlock_release(lock, &err));
  redlock_lock_free(lock);
}

// The number is the caller's own: an operation may have the same.
static void an_operation_may_have_its_id(void) {
  redlock_queue *queue = new_queue();
  redlock_lock *lock = kept("id", TTL_MS, queue, 6);
  OK(redlock_submit_acquire(factory, "id", 1000, 0, queue, 6, &err));
  redlock_event event = next_event(queue);
  CHECK(event.id == 6 && event.kind == REDLOCK_EVENT_ACQUIRE && event.status == REDLOCK_ERR_CONTENDED);
  redlock_error_free(event.error);
  lose_on_nodes("id");
  lost(next_event(queue), 6, REDLOCK_ERR_EXPIRED);
  redlock_lock_free(lock);
  redlock_queue_free(queue);
}

int main(void) {
  factory = new_factory();
  redlock_factory *defaults = new_default_factory();
  it_outlives_its_ttl_and_ends_with_the_release();
  a_loss_is_reported_once();
  it_takes_nothing_from_another_owner();
  a_loss_is_reported_before_the_end(defaults);
  // Also when the nodes would have more time to answer than the lock has.
  a_loss_is_reported_before_the_end(factory);
  it_may_be_asked_for_late();
  the_last_call_counts();
  it_ends_with_the_handle();
  it_ends_with_the_factory();
  the_queue_may_go_first();
  an_operation_may_have_its_id();
  redlock_factory_free(defaults);
  redlock_factory_free(factory);
  return 0;
}
