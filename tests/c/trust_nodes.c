// The operator's word: under restart_guard=strict a fresh set of nodes does not vote before it, and does after.

#include <stdlib.h>

#include "test.h"

static bool every_node_is_kept_out(redlock_factory *factory) {
  redlock_lock *lock = NULL;
  redlock_error *error = NULL;
  size_t kept_out = 0;
  redlock_status status = redlock_acquire(factory, "fresh", 1000, 0, &lock, &error);
  CHECK(status == REDLOCK_ERR_NO_QUORUM && lock == NULL);
  for (size_t i = 0; i < redlock_error_node_count(error); i++)
    kept_out += redlock_error_node_status(error, i) == REDLOCK_ERR_NOT_ADMITTED;
  redlock_error_free(error);
  return kept_out == node_count();
}

static void nobody_to_trust(void) {
  // Nothing listens on port 1.
  const char *const nowhere = "redis://127.0.0.1:1";
  redlock_factory *factory = NULL;
  OK(redlock_factory_new(&nowhere, 1, NULL, &factory, &err));
  FAILS(redlock_factory_trust_nodes(factory, &err), REDLOCK_ERR_NO_QUORUM, "connected");
  redlock_factory_free(factory);
}

static void acquire_and_release(redlock_factory *factory) {
  redlock_lock *lock = NULL;
  OK(redlock_acquire(factory, "fresh", 60000, 0, &lock, &err));
  OK(redlock_release(lock, &err));
  redlock_lock_free(lock);
}

int main(void) {
  redlock_factory *factory = new_factory_with("restart_guard", "strict");
  nobody_to_trust();
  WAIT_UNTIL(every_node_is_kept_out(factory));
  CHECK(locks_on_nodes() == 0);
  OK(redlock_factory_trust_nodes(factory, &err));
  acquire_and_release(factory);
  // It counts for whoever comes later, too.
  redlock_factory *newcomer = new_factory_with("restart_guard", "strict");
  acquire_and_release(newcomer);
  redlock_factory_free(newcomer);
  redlock_factory_free(factory);
  return 0;
}
