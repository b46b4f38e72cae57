/* A stream of asynchronous pairs on one queue, driven from one thread. */
#include "ours.h"

#include <stdio.h>
#include <stdlib.h>

#define EVENTS_AT_ONCE 256

struct ours_slot {
  redlock_lock *lock;
  uint64_t begun;
  char resource[64];
};

void ours_stream_open(struct ours_stream *stream, redlock_factory *factory, const char *prefix, size_t slot_count) {
  redlock_error *error = NULL;
  *stream = (struct ours_stream){.factory = factory, .slot_count = slot_count, .pairs_left = UINT64_MAX};
  ours_check(redlock_queue_new(&stream->queue, &error), error, "redlock_queue_new");
  stream->slots = calloc(slot_count, sizeof *stream->slots);
  if (stream->slots == NULL) bench_die("slots");
  for (size_t i = 0; i < slot_count; i++)
    snprintf(stream->slots[i].resource, sizeof stream->slots[i].resource, "%.24s:async:%u", prefix, (unsigned)i);
}

/* Begins the slot's next pair, unless enough have begun or the window is over. */
static void begin(struct ours_stream *stream, size_t index, uint64_t now) {
  struct ours_slot *slot = &stream->slots[index];
  redlock_error *error = NULL;
  if (stream->pairs_left == 0 || (stream->sampling && now >= stream->window.end)) return;
  stream->pairs_left--;
  stream->busy++;
  slot->begun = now;
  ours_check(
      redlock_submit_acquire(stream->factory, slot->resource, BENCH_TTL_MS, OURS_WAIT_MS, stream->queue, index, &error),
      error, "redlock_submit_acquire");
}

void ours_stream_start(struct ours_stream *stream) {
  for (size_t i = 0; i < stream->slot_count; i++) begin(stream, i, bench_now_ns());
}

/* A pair is over: counts it and begins the next one. */
static void finish(struct ours_stream *stream, size_t index, bool good, uint64_t now) {
  struct ours_slot *slot = &stream->slots[index];
  stream->busy--;
  stream->pairs_done++;
  if (stream->sampling && now >= stream->window.start && good)
    bench_samples_add(&stream->result.samples, now - slot->begun);
  if (!good) stream->result.failures++;
  begin(stream, index, now);
}

static void acquired(struct ours_stream *stream, const redlock_event *event, uint64_t now) {
  redlock_error *error = NULL;
  if (event->status != REDLOCK_OK) {
    ours_failed(event->error);
    finish(stream, (size_t)event->id, false, now);
    return;
  }
  stream->slots[event->id].lock = event->lock;
  ours_check(redlock_submit_release(event->lock, stream->queue, event->id, &error), error, "redlock_submit_release");
}

static void released(struct ours_stream *stream, const redlock_event *event, uint64_t now) {
  ours_failed(event->error);
  redlock_lock_free(stream->slots[event->id].lock);
  stream->slots[event->id].lock = NULL;
  finish(stream, (size_t)event->id, event->status == REDLOCK_OK, now);
}

bool ours_stream_step(struct ours_stream *stream) {
  redlock_event events[EVENTS_AT_ONCE];
  redlock_error *error = NULL;
  size_t count = 0;
  if (stream->busy == 0) return false;
  ours_check(redlock_queue_next(stream->queue, events, EVENTS_AT_ONCE, -1, &count, &error), error,
             "redlock_queue_next");
  uint64_t now = bench_now_ns();
  for (size_t i = 0; i < count; i++) {
    if (events[i].kind == REDLOCK_EVENT_ACQUIRE) acquired(stream, &events[i], now);
    else released(stream, &events[i], now);
  }
  return stream->busy > 0;
}

void ours_stream_close(struct ours_stream *stream) {
  redlock_queue_free(stream->queue);
  free(stream->slots);
}
