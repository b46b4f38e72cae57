/* What the two scenarios with a contended lock share: taking it, giving it back, and warm connections. */
#define _POSIX_C_SOURCE 200809L
#include "ours.h"

#include <stdio.h>
#include <unistd.h>

void ours_take(redlock_factory *factory, const char *resource, redlock_lock **lock) {
  redlock_error *error = NULL;
  ours_check(redlock_acquire(factory, resource, BENCH_TTL_MS, -1, lock, &error), error, "redlock_acquire");
}

void ours_give(redlock_lock *lock) {
  redlock_error *error = NULL;
  if (redlock_release(lock, &error) != REDLOCK_OK) ours_failed(error);
  redlock_lock_free(lock);
}

void ours_warm(const struct bench_args *args, redlock_factory *factory) {
  char resource[128];
  redlock_lock *lock = NULL;
  snprintf(resource, sizeof resource, "%s:warm:%ld", args->prefix, (long)getpid());
  ours_take(factory, resource, &lock);
  ours_give(lock);
}
