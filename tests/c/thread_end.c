// Handles that are freed when their thread ends.

#include <pthread.h>

#include "test.h"

static redlock_factory *outside;

// What a thread leaves behind.
struct left {
  redlock_factory *factory;
  redlock_lock *lock;
  redlock_queue *queue;
  redlock_options *options;
  redlock_error *error;
};

// Ends with everything that there is: a lock that is held, an acquire that waits, one that is won, an error, options.
static void *leave_everything(void *argument) {
  struct left *left = argument;
  redlock_free_at_thread_end();
  redlock_free_at_thread_end();
  left->factory = new_factory();
  left->lock = lock_now(left->factory, "held", 60000);
  left->queue = new_queue();
  OK(redlock_options_new(&left->options, &err));
  CHECK(redlock_acquire(left->factory, "", 1000, 0, &(redlock_lock *){NULL}, &left->error) != REDLOCK_OK);
  OK(redlock_submit_acquire(left->factory, "wanted", 60000, -1, left->queue, 1, &err));
  OK(redlock_submit_acquire(left->factory, "won", 60000, 0, left->queue, 2, &err));
  struct test_deadline deadline = test_deadline_start();
  while (nodes_holding("won") == 0) test_deadline_check(&deadline, "won", __FILE__, __LINE__);
  return NULL;
}

static void everything_ends_with_its_thread(void) {
  redlock_lock *wanted = lock_now(outside, "wanted", 60000);
  struct left left;
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, leave_everything, &left) == 0);
  CHECK(pthread_join(thread, NULL) == 0);
  CHECK(redlock_lock_token(left.lock) == NULL);
  CHECK(redlock_queue_fd(left.queue) == -1);
  CHECK(redlock_error_node_count(left.error) == 0);
  CHECK(redlock_error_code(left.error) == REDLOCK_ERR_INVALID_ARGUMENT);
  FAILS(redlock_options_set(left.options, "node_timeout_ms", "50", &err), REDLOCK_ERR_INVALID_ARGUMENT, "freed");
  FAILS(redlock_acquire(left.factory, "r", 1000, 0, &(redlock_lock *){NULL}, &err), REDLOCK_ERR_INVALID_ARGUMENT,
        "freed");
  WAIT_UNTIL(nodes_holding("held") == 0);
  WAIT_UNTIL(nodes_holding("won") == 0);
  OK(redlock_release(wanted, &err));
  redlock_lock_free(wanted);
  WAIT_UNTIL(nodes_holding("wanted") == 0);
}

// Many handles that were freed in time, and one that was not.
static void *make_many(void *argument) {
  redlock_lock **kept = argument;
  redlock_free_at_thread_end();
  *kept = lock_now(outside, "kept", 60000);
  for (int i = 0; i < 1000; i++) redlock_lock_free(lock_now(outside, "again", 60000));
  CHECK(redlock_lock_validity_ms(*kept) > 0);
  return NULL;
}

static void only_what_is_left_is_freed(void) {
  redlock_lock *mine = lock_now(outside, "mine", 60000);
  redlock_lock *kept;
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, make_many, &kept) == 0);
  CHECK(pthread_join(thread, NULL) == 0);
  CHECK(redlock_lock_token(kept) == NULL);
  WAIT_UNTIL(nodes_holding("kept") == 0);
  CHECK(redlock_lock_validity_ms(mine) > 0);
  OK(redlock_release(mine, &err));
  redlock_lock_free(mine);
}

int main(void) {
  outside = new_factory();
  everything_ends_with_its_thread();
  only_what_is_left_is_freed();
  redlock_factory_free(outside);
  return 0;
}
