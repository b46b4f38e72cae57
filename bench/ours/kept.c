/* The scenario "kept": --callers locks that are kept alive for the whole window, and how many of them are lost. */
#include "ours.h"

#include <stdio.h>
#include <stdlib.h>

void ours_kept(const struct bench_args *args) {
  redlock_factory *factory = ours_connect(args);
  redlock_lock **locks = calloc((size_t)args->callers, sizeof *locks);
  if (locks == NULL) bench_die("locks");
  for (long i = 0; i < args->callers; i++) {
    redlock_error *error = NULL;
    char resource[128];
    snprintf(resource, sizeof resource, "%s:kept:%ld", args->prefix, i);
    ours_check(redlock_acquire(factory, resource, BENCH_TTL_MS, OURS_WAIT_MS, &locks[i], &error), error,
               "redlock_acquire");
    ours_check(redlock_lock_keep_alive(locks[i], NULL, 0, &error), error, "redlock_lock_keep_alive");
  }
  struct bench_window window = bench_window_open(args);
  bench_sleep_until(window.end);
  long lost = 0;
  for (long i = 0; i < args->callers; i++) {
    lost += redlock_lock_validity_ms(locks[i]) == 0;
    ours_give(locks[i]);
  }
  printf("{\"locks\":%ld,\"lost\":%ld}\n", args->callers, lost);
  free(locks);
  redlock_factory_free(factory);
}
