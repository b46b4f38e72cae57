/* The scenario "alternate": one caller's pairs with the options as given, and with fair=off, in turn.
 *
 * Runs one after the other differ by more than the queue may cost, because the machine changes in between; blocks that
 * take turns within one run see the same machine. */
#include "ours.h"

#include <stdio.h>

#define PAIRS_IN_A_BLOCK 100

struct side {
  redlock_factory *factory;
  struct bench_result result;
};

static void run_block(struct side *side, const char *resource) {
  double cpu = bench_cpu_us();
  uint64_t begun = bench_now_ns(), block_begun = begun;
  for (int i = 0; i < PAIRS_IN_A_BLOCK; i++) {
    bool good = ours_one_pair(side->factory, resource, false);
    uint64_t done = bench_now_ns();
    if (good) bench_samples_add(&side->result.samples, done - begun);
    else side->result.failures++;
    begun = done;
  }
  side->result.cpu_us += bench_cpu_us() - cpu;
  side->result.seconds += (double)(begun - block_begun) / 1e9;
}

static double p50(struct side *side) {
  bench_samples_sort(&side->result.samples);
  return bench_samples_percentile(&side->result.samples, 0.5);
}

static double cpu_per_pair(const struct side *side) { return side->result.cpu_us / (double)side->result.samples.count; }

void ours_alternate(const struct bench_args *args) {
  struct bench_args unfair = *args;
  char resource[128], extra[160];
  if (unfair.option_count == BENCH_MAX_OPTIONS) bench_die("too many options");
  unfair.options[unfair.option_count++] = "fair=off";
  struct side sides[2] = {{.factory = ours_connect(args)}, {.factory = ours_connect(&unfair)}};
  snprintf(resource, sizeof resource, "%s:alternate", args->prefix);
  for (int i = 0; i < 2; i++) (void)ours_one_pair(sides[i].factory, resource, false);
  struct bench_window window = bench_window_open(args);
  bench_sleep_until(window.start);
  while (bench_now_ns() < window.end)
    for (int i = 0; i < 2; i++) run_block(&sides[i], resource);
  snprintf(extra, sizeof extra, "\"fair_off_p50_us\":%.1f,\"p50_to_fair_off\":%.4f,\"cpu_to_fair_off\":%.4f",
           p50(&sides[1]), p50(&sides[0]) / p50(&sides[1]), cpu_per_pair(&sides[0]) / cpu_per_pair(&sides[1]));
  sides[0].result.failures += sides[1].result.failures;
  bench_report(&sides[0].result, extra);
  for (int i = 0; i < 2; i++) redlock_factory_free(sides[i].factory);
}
