/* When a run is measured: the handshake with the runner, and the window that follows it. */
#define _POSIX_C_SOURCE 200809L
#include "bench.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

uint64_t bench_now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void shake_hands(void) {
  char line[16];
  puts("ready");
  fflush(stdout);
  if (fgets(line, sizeof line, stdin) == NULL) exit(1);
}

struct bench_window bench_window_open(const struct bench_args *args) {
  if (args->handshake) shake_hands();
  uint64_t start = bench_now_ns() + (uint64_t)args->settle_ms * 1000000u;
  return (struct bench_window){start, start + (uint64_t)(args->seconds * 1e9)};
}

void bench_sleep_until(uint64_t moment) {
  struct timespec when = {(time_t)(moment / 1000000000u), (long)(moment % 1000000000u)};
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, NULL) == EINTR) {
  }
}
