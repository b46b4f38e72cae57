/* The scenario "first": from making a factory to its first lock, again and again. */
#include "ours.h"

#include <stdio.h>

/* How long it took; 0 when there was no lock. */
static uint64_t first_lock(const struct bench_args *args, const char *resource) {
  redlock_lock *lock = NULL;
  redlock_error *error = NULL;
  uint64_t begun = bench_now_ns();
  redlock_factory *factory = ours_connect(args);
  redlock_status status = redlock_acquire(factory, resource, BENCH_TTL_MS, OURS_WAIT_MS, &lock, &error);
  uint64_t done = bench_now_ns();
  if (status != REDLOCK_OK) ours_failed(error);
  ours_give(lock);
  redlock_factory_free(factory);
  return status == REDLOCK_OK ? done - begun : 0;
}

void ours_first(const struct bench_args *args) {
  struct bench_result result = {0};
  struct bench_window window = bench_window_open(args);
  char resource[128];
  bench_sleep_until(window.start);
  double cpu = bench_cpu_us();
  for (unsigned i = 0; bench_now_ns() < window.end; i++) {
    snprintf(resource, sizeof resource, "%s:first:%u", args->prefix, i);
    uint64_t taken = first_lock(args, resource);
    if (taken > 0) bench_samples_add(&result.samples, taken);
    else result.failures++;
  }
  result.cpu_us = bench_cpu_us() - cpu;
  result.seconds = (double)(bench_now_ns() - window.start) / 1e9;
  bench_report(&result, NULL);
}
