/* The scenario "pair": blocking acquire and release from many threads. */
#define _POSIX_C_SOURCE 200809L
#include "ours.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

struct caller {
  pthread_t thread;
  redlock_factory *factory;
  struct bench_window window;
  struct bench_samples samples;
  uint64_t failures;
  bool keep_alive;
  char resource[128];
};

bool ours_one_pair(redlock_factory *factory, const char *resource, bool keep_alive) {
  redlock_lock *lock = NULL;
  redlock_error *error = NULL;
  bool good = redlock_acquire(factory, resource, BENCH_TTL_MS, OURS_WAIT_MS, &lock, &error) == REDLOCK_OK &&
              (!keep_alive || redlock_lock_keep_alive(lock, NULL, 0, &error) == REDLOCK_OK) &&
              redlock_release(lock, &error) == REDLOCK_OK;
  if (!good) ours_failed(error);
  redlock_lock_free(lock);
  return good;
}

static void *run(void *context) {
  struct caller *caller = context;
  uint64_t begun = bench_now_ns();
  while (begun < caller->window.end) {
    bool good = ours_one_pair(caller->factory, caller->resource, caller->keep_alive);
    uint64_t done = bench_now_ns();
    if (done >= caller->window.start) {
      if (good) bench_samples_add(&caller->samples, done - begun);
      else caller->failures++;
    }
    begun = done;
  }
  return NULL;
}

static struct caller *prepare(const struct bench_args *args, redlock_factory *factory) {
  struct caller *callers = calloc((size_t)args->callers, sizeof *callers);
  if (callers == NULL) bench_die("callers");
  for (long i = 0; i < args->callers; i++) {
    callers[i].factory = factory;
    callers[i].keep_alive = args->keep_alive;
    snprintf(callers[i].resource, sizeof callers[i].resource, "%s:ours:%ld", args->prefix, i);
    redlock_lock *lock = NULL;
    redlock_error *error = NULL;
    ours_check(redlock_acquire(factory, callers[i].resource, BENCH_TTL_MS, OURS_WAIT_MS, &lock, &error), error,
               "redlock_acquire");
    ours_check(redlock_release(lock, &error), error, "redlock_release");
    redlock_lock_free(lock);
  }
  return callers;
}

static void collect(struct caller *callers, long count, struct bench_result *result) {
  for (long i = 0; i < count; i++) {
    pthread_join(callers[i].thread, NULL);
    bench_samples_merge(&result->samples, &callers[i].samples);
    result->failures += callers[i].failures;
  }
}

void ours_pair(const struct bench_args *args) {
  struct bench_result result = {0};
  redlock_factory *factory = ours_connect(args);
  struct caller *callers = prepare(args, factory);
  struct bench_window window = bench_window_open(args);
  for (long i = 0; i < args->callers; i++) {
    callers[i].window = window;
    if (pthread_create(&callers[i].thread, NULL, run, &callers[i]) != 0) bench_die("pthread_create");
  }
  bench_sleep_until(window.start);
  double cpu = bench_cpu_us();
  char extra[64];
  snprintf(extra, sizeof extra, "\"threads\":%ld", bench_thread_count());
  collect(callers, args->callers, &result);
  result.cpu_us = bench_cpu_us() - cpu;
  result.seconds = (double)(bench_now_ns() - window.start) / 1e9;
  bench_report(&result, extra);
  free(callers);
  redlock_factory_free(factory);
}
