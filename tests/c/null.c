// NULL in every place of every function: an error that names the parameter where it is not allowed, and never
// a crash.

#include <stdlib.h>
#include <string.h>

#include "test.h"

#define INVALID(call, words) FAILS(call, REDLOCK_ERR_INVALID_ARGUMENT, words)

static redlock_factory *factory;
static redlock_lock *lock;
static redlock_queue *queue;

static void nothing_to_ask(void) {
  CHECK(redlock_error_code(NULL) == REDLOCK_OK);
  CHECK(strcmp(redlock_error_message(NULL), "no error") == 0);
  CHECK(redlock_error_node_count(NULL) == 0);
  CHECK(redlock_error_node_address(NULL, 0) == NULL);
  CHECK(redlock_error_node_status(NULL, 0) == REDLOCK_ERR_INVALID_ARGUMENT);
  CHECK(redlock_error_node_message(NULL, 0) == NULL);
  CHECK(redlock_lock_validity_ms(NULL) == 0);
  CHECK(redlock_lock_resource(NULL) == NULL);
  CHECK(redlock_lock_token(NULL) == NULL);
  CHECK(redlock_lock_fence(NULL) == 0);
  CHECK(redlock_lock_resource_count(NULL) == 0);
  CHECK(redlock_lock_resource_at(NULL, 0) == NULL);
  CHECK(redlock_lock_fence_at(NULL, 0) == 0);
  CHECK(redlock_reentrant_count(NULL) == 0);
  CHECK(redlock_reentrant_validity_ms(NULL) == 0);
  CHECK(redlock_reentrant_fence(NULL) == 0);
  CHECK(redlock_queue_fd(NULL) == -1);
}

static void nothing_to_free(void) {
  redlock_error_free(NULL);
  redlock_options_free(NULL);
  redlock_factory_free(NULL);
  redlock_lock_free(NULL);
  redlock_lock_detach(NULL);
  redlock_reentrant_free(NULL);
  redlock_queue_free(NULL);
  redlock_string_free(NULL);
}

static void options_and_factory(void) {
  const char *const with_null[] = {node_urls()[0], NULL, node_urls()[1]};
  redlock_options *options = NULL;
  redlock_factory *made = NULL;
  char *report = NULL;
  OK(redlock_options_new(&options, &err));
  INVALID(redlock_options_new(NULL, &err), "out is NULL");
  INVALID(redlock_options_set(NULL, "node_timeout_ms", "50", &err), "options is NULL");
  INVALID(redlock_options_set(options, NULL, "50", &err), "name is NULL");
  INVALID(redlock_options_set(options, "node_timeout_ms", NULL, &err), "value is NULL");
  redlock_options_free(options);
  INVALID(redlock_factory_new(node_urls(), 1, NULL, NULL, &err), "out is NULL");
  INVALID(redlock_factory_new(NULL, 3, NULL, &made, &err), "urls is NULL, but n is 3");
  INVALID(redlock_factory_new(with_null, 3, NULL, &made, &err), "urls[1] is NULL");
  CHECK(made == NULL);
  INVALID(redlock_factory_check(NULL, &report, &err), "factory is NULL");
  INVALID(redlock_factory_check(factory, NULL, &err), "report is NULL");
  CHECK(report == NULL);
  INVALID(redlock_factory_trust_nodes(NULL, &err), "factory is NULL");
  INVALID(redlock_factory_set_credentials(NULL, NULL, NULL, &err), "factory is NULL");
  INVALID(redlock_factory_ask_for_credentials(NULL, queue, 1, &err), "factory is NULL");
  INVALID(redlock_factory_refuse_credentials(NULL, "reason", &err), "factory is NULL");
}

static void blocking_calls(void) {
  redlock_lock *out = NULL;
  int32_t locked = 0;
  INVALID(redlock_acquire(NULL, "r", 1000, 0, &out, &err), "factory is NULL");
  INVALID(redlock_acquire(factory, NULL, 1000, 0, &out, &err), "resource is NULL");
  INVALID(redlock_acquire(factory, "r", 1000, 0, NULL, &err), "out is NULL");
  INVALID(redlock_release(NULL, &err), "lock is NULL");
  INVALID(redlock_extend(NULL, 1000, &err), "lock is NULL");
  INVALID(redlock_is_locked(NULL, "r", &locked, &err), "factory is NULL");
  INVALID(redlock_is_locked(factory, NULL, &locked, &err), "resource is NULL");
  INVALID(redlock_is_locked(factory, "r", NULL, &err), "out is NULL");
  CHECK(nodes_holding("r") == 0);
}

static void several_resources(void) {
  const char *const names[] = {"r", NULL, "s"};
  redlock_lock *out = NULL;
  INVALID(redlock_acquire_many(NULL, names, 1, 1000, 0, &out, &err), "factory is NULL");
  INVALID(redlock_acquire_many(factory, NULL, 3, 1000, 0, &out, &err), "resources is NULL, but n is 3");
  INVALID(redlock_acquire_many(factory, names, 3, 1000, 0, &out, &err), "resources[1] is NULL");
  INVALID(redlock_acquire_many(factory, names, 1, 1000, 0, NULL, &err), "out is NULL");
  INVALID(redlock_submit_acquire_many(NULL, names, 1, 1000, 0, queue, 1, &err), "factory is NULL");
  INVALID(redlock_submit_acquire_many(factory, NULL, 3, 1000, 0, queue, 1, &err), "resources is NULL, but n is 3");
  INVALID(redlock_submit_acquire_many(factory, names, 3, 1000, 0, queue, 1, &err), "resources[1] is NULL");
  INVALID(redlock_submit_acquire_many(factory, names, 1, 1000, 0, NULL, 1, &err), "queue is NULL");
  CHECK(out == NULL && no_event(queue) && nodes_holding("r") == 0);
}

static void holders(void) {
  redlock_reentrant *holder = NULL;
  INVALID(redlock_reentrant_new(NULL, "r", 1000, &holder, &err), "factory is NULL");
  INVALID(redlock_reentrant_new(factory, NULL, 1000, &holder, &err), "resource is NULL");
  INVALID(redlock_reentrant_new(factory, "r", 1000, NULL, &err), "out is NULL");
  CHECK(holder == NULL);
  INVALID(redlock_reentrant_acquire(NULL, 0, &err), "holder is NULL");
  INVALID(redlock_reentrant_release(NULL, &err), "holder is NULL");
  INVALID(redlock_reentrant_keep_alive(NULL, queue, 1, &err), "holder is NULL");
}

static void asynchronous_calls(void) {
  redlock_event event;
  size_t count = 0;
  INVALID(redlock_queue_new(NULL, &err), "out is NULL");
  INVALID(redlock_queue_next(NULL, &event, 1, 0, &count, &err), "queue is NULL");
  INVALID(redlock_queue_next(queue, NULL, 1, 0, &count, &err), "events is NULL");
  INVALID(redlock_queue_next(queue, &event, 1, 0, NULL, &err), "count is NULL");
  INVALID(redlock_submit_acquire(NULL, "r", 1000, 0, queue, 1, &err), "factory is NULL");
  INVALID(redlock_submit_acquire(factory, NULL, 1000, 0, queue, 1, &err), "resource is NULL");
  INVALID(redlock_submit_acquire(factory, "r", 1000, 0, NULL, 1, &err), "queue is NULL");
  INVALID(redlock_submit_release(NULL, queue, 1, &err), "lock is NULL");
  INVALID(redlock_submit_release(lock, NULL, 1, &err), "queue is NULL");
  INVALID(redlock_submit_extend(NULL, 1000, queue, 1, &err), "lock is NULL");
  INVALID(redlock_submit_extend(lock, 1000, NULL, 1, &err), "queue is NULL");
  INVALID(redlock_submit_is_locked(NULL, "r", queue, 1, &err), "factory is NULL");
  INVALID(redlock_submit_is_locked(factory, NULL, queue, 1, &err), "resource is NULL");
  INVALID(redlock_submit_is_locked(factory, "r", NULL, 1, &err), "queue is NULL");
  INVALID(redlock_lock_keep_alive(NULL, queue, 1, &err), "lock is NULL");
  INVALID(redlock_cancel(NULL, 1, &err), "queue is NULL");
  CHECK(no_event(queue));
}

// Whoever does not want the error need not take it.
static void without_an_error(void) {
  redlock_lock *out = (redlock_lock *)&out;
  CHECK(redlock_acquire(NULL, NULL, 0, -7, NULL, NULL) == REDLOCK_ERR_INVALID_ARGUMENT);
  CHECK(redlock_acquire(NULL, NULL, 0, -7, &out, NULL) == REDLOCK_ERR_INVALID_ARGUMENT);
  CHECK(out == NULL);
  CHECK(redlock_release(NULL, NULL) == REDLOCK_ERR_INVALID_ARGUMENT);
  CHECK(redlock_queue_next(NULL, NULL, 0, -7, NULL, NULL) == REDLOCK_ERR_INVALID_ARGUMENT);
  CHECK(redlock_cancel(NULL, 0, NULL) == REDLOCK_ERR_INVALID_ARGUMENT);
  CHECK(redlock_log_set(NULL, REDLOCK_LOG_DEBUG, NULL, NULL) == REDLOCK_OK);
  CHECK(redlock_log_set(NULL, 0, NULL, NULL) == REDLOCK_ERR_INVALID_ARGUMENT);
}

int main(void) {
  factory = new_factory();
  lock = lock_now(factory, "held", 60000);
  queue = new_queue();
  nothing_to_ask();
  nothing_to_free();
  options_and_factory();
  blocking_calls();
  several_resources();
  holders();
  asynchronous_calls();
  without_an_error();
  OK(redlock_release(lock, &err));
  redlock_lock_free(lock);
  redlock_queue_free(queue);
  redlock_factory_free(factory);
  return 0;
}
