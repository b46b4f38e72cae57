// Descriptors and threads do not grow with what was made and freed.

#include <stdio.h>

#include "test.h"

enum { ROUNDS = 100 };

static void make_use_and_free(void) {
  redlock_factory *factory = new_factory();
  redlock_queue *queue = new_queue();
  redlock_lock *lock = lock_now(factory, "leak", 60000);
  OK(redlock_submit_acquire(factory, "leak", 1000, -1, queue, 1, &err));
  OK(redlock_release(lock, &err));
  redlock_lock_free(lock);
  redlock_queue_free(queue);
  redlock_factory_free(factory);
}

// Also when the masters cannot be reached, and connecting goes on when the factory is freed.
static void make_in_vain_and_free(void) {
  const char *const nobody[] = {"redis://127.0.0.1:1", "redis://127.0.0.1:2", "unix:///nonexistent"};
  redlock_factory *factory = NULL;
  redlock_lock *lock = NULL;
  OK(redlock_factory_new(nobody, 3, NULL, &factory, &err));
  FAILS(redlock_acquire(factory, "vain", 1000, 0, &lock, &err), REDLOCK_ERR_NO_QUORUM, "127.0.0.1:1");
  redlock_factory_free(factory);
}

static size_t descriptors(void) { return entries("/proc/self/fd"); }
static size_t threads(void) { return entries("/proc/self/task"); }

int main(void) {
  // What the library keeps for the process is a few of each; a hundred rounds that leak one of anything leave
  // more behind.
  const size_t kept = 10;
  size_t descriptors_at_start = descriptors(), threads_at_start = threads();
  for (int i = 0; i < ROUNDS; i++) {
    make_use_and_free();
    make_in_vain_and_free();
  }
  // Connections are closed in the background.
  WAIT_UNTIL(descriptors() <= descriptors_at_start + kept);
  WAIT_UNTIL(threads() <= threads_at_start + kept);
  WAIT_UNTIL(locks_on_nodes() == 0);
  return 0;
}
