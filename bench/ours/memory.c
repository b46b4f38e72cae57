/* The scenario "memory": what a pending acquire costs, and whether memory grows with the pairs done. */
#include "ours.h"

#include <stdio.h>

#define PENDING_SECONDS 3
#define GROWTH_INFLIGHT 256

/* Handles cancelled acquires until all `count` have ended, each in exactly one event. */
static void drain_cancelled(redlock_queue *queue, size_t count) {
  redlock_event event;
  redlock_error *error = NULL;
  while (count > 0) {
    size_t got = 0;
    ours_check(redlock_queue_next(queue, &event, 1, -1, &got, &error), error, "redlock_queue_next");
    if (got == 0) continue;
    redlock_lock_free(event.lock);
    redlock_error_free(event.error);
    count--;
  }
}

static void submit_pending(redlock_factory *factory, const struct bench_args *args, redlock_queue *queue) {
  char resource[128];
  redlock_error *error = NULL;
  for (long i = 0; i < args->inflight; i++) {
    snprintf(resource, sizeof resource, "%s:held:%ld", args->prefix, i);
    ours_check(redlock_submit_acquire(factory, resource, BENCH_TTL_MS, -1, queue, (uint64_t)i, &error), error,
               "redlock_submit_acquire");
  }
}

/* The highest resident memory within the next seconds, in which every acquire has been refused at least once. */
static long highest_rss_kb(void) {
  long highest = 0;
  uint64_t end = bench_now_ns() + (uint64_t)PENDING_SECONDS * 1000000000u;
  for (uint64_t now = bench_now_ns(); now < end; now = bench_now_ns()) {
    long rss = bench_rss_kb();
    if (rss > highest) highest = rss;
    bench_sleep_until(now + 10000000u);
  }
  return highest;
}

/* Bytes of resident memory per acquire that waits for a lock of another owner. */
static double pending_bytes(redlock_factory *factory, const struct bench_args *args) {
  redlock_queue *queue = NULL;
  redlock_error *error = NULL;
  ours_hold(args, (size_t)args->inflight);
  ours_check(redlock_queue_new(&queue, &error), error, "redlock_queue_new");
  long before = bench_rss_kb();
  submit_pending(factory, args, queue);
  long highest = highest_rss_kb();
  for (long i = 0; i < args->inflight; i++)
    ours_check(redlock_cancel(queue, (uint64_t)i, &error), error, "redlock_cancel");
  drain_cancelled(queue, (size_t)args->inflight);
  redlock_queue_free(queue);
  ours_unhold(args, (size_t)args->inflight);
  return (double)(highest - before) * 1024.0 / (double)args->inflight;
}

static void run_pairs(struct ours_stream *stream, uint64_t pairs) {
  stream->pairs_left = pairs;
  ours_stream_start(stream);
  while (ours_stream_step(stream)) {
  }
}

void ours_memory(const struct bench_args *args) {
  struct ours_stream stream;
  redlock_factory *factory = ours_connect(args);
  ours_stream_open(&stream, factory, args->prefix, GROWTH_INFLIGHT);
  run_pairs(&stream, 1000);
  (void)bench_window_open(args);
  double pending = pending_bytes(factory, args);
  run_pairs(&stream, (uint64_t)args->pairs / 10);
  long before = bench_rss_kb();
  run_pairs(&stream, (uint64_t)args->pairs);
  long growth = bench_rss_kb() - before;
  printf("{\"pending\":%ld,\"bytes_per_pending\":%.0f,\"pairs\":%ld,\"failures\":%llu,\"rss_growth_kb\":%ld,"
         "\"max_rss_kb\":%ld,\"threads\":%ld}\n",
         args->inflight, pending, args->pairs, (unsigned long long)stream.result.failures, growth, bench_max_rss_kb(),
         bench_thread_count());
  ours_stream_close(&stream);
  redlock_factory_free(factory);
}
