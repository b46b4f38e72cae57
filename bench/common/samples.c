/* Durations of pairs and their percentiles. */
#include "bench.h"

#include <stdlib.h>
#include <string.h>

static void reserve(struct bench_samples *samples, size_t more) {
  if (samples->count + more <= samples->capacity) return;
  size_t capacity = samples->capacity < 4096 ? 4096 : samples->capacity;
  while (capacity < samples->count + more) capacity *= 2;
  uint32_t *grown = realloc(samples->tenths, capacity * sizeof *grown);
  if (grown == NULL) bench_die("samples");
  samples->tenths = grown;
  samples->capacity = capacity;
}

void bench_samples_add(struct bench_samples *samples, uint64_t nanoseconds) {
  uint64_t tenths = nanoseconds / 100;
  reserve(samples, 1);
  samples->tenths[samples->count++] = tenths > UINT32_MAX ? UINT32_MAX : (uint32_t)tenths;
}

void bench_samples_merge(struct bench_samples *into, struct bench_samples *from) {
  if (from->count > 0) {
    reserve(into, from->count);
    memcpy(into->tenths + into->count, from->tenths, from->count * sizeof *from->tenths);
    into->count += from->count;
  }
  bench_samples_free(from);
}

static int compare(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return (x > y) - (x < y);
}

void bench_samples_sort(struct bench_samples *samples) {
  if (samples->count > 0) qsort(samples->tenths, samples->count, sizeof *samples->tenths, compare);
}

double bench_samples_percentile(const struct bench_samples *samples, double share) {
  if (samples->count == 0) return 0;
  return samples->tenths[(size_t)(share * (double)(samples->count - 1))] / 10.0;
}

void bench_samples_free(struct bench_samples *samples) {
  free(samples->tenths);
  *samples = (struct bench_samples){0};
}
