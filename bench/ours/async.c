/* The scenario "async": thousands of acquires in flight on one queue, from one thread. */
#include "ours.h"

#include <stdio.h>

/* Runs the stream to its end; returns the most threads that the process had, looked at in every tenth of a second. */
static long run(struct ours_stream *stream, double *cpu_at_start) {
  long most = 0;
  uint64_t look = 0;
  bool started = false;
  while (ours_stream_step(stream)) {
    uint64_t now = bench_now_ns();
    if (!started && now >= stream->window.start) {
      started = true;
      *cpu_at_start = bench_cpu_us();
    }
    if (now < look) continue;
    look = now + 100000000u;
    long threads = bench_thread_count();
    if (threads > most) most = threads;
  }
  return most;
}

void ours_async(const struct bench_args *args) {
  struct ours_stream stream;
  double cpu = 0;
  char extra[96];
  redlock_factory *factory = ours_connect(args);
  ours_stream_open(&stream, factory, args->prefix, (size_t)args->inflight);
  stream.window = bench_window_open(args);
  stream.sampling = true;
  ours_stream_start(&stream);
  long threads = run(&stream, &cpu);
  stream.result.cpu_us = bench_cpu_us() - cpu;
  stream.result.seconds = (double)(bench_now_ns() - stream.window.start) / 1e9;
  snprintf(extra, sizeof extra, "\"threads\":%ld,\"inflight\":%ld", threads, args->inflight);
  bench_report(&stream.result, extra);
  ours_stream_close(&stream);
  redlock_factory_free(factory);
}
