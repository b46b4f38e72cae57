/* How the runner has two processes hand one lock to each other: a line on stdin for each step, a time on stdout. */
#include "bench.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void bench_handover(uint64_t (*take)(void *), uint64_t (*give)(void *), void *context) {
  char line[16];
  bool has = false;
  while (fgets(line, sizeof line, stdin) != NULL) {
    if (strcmp(line, has ? "give\n" : "take\n") != 0) bench_die(line);
    uint64_t moment = has ? give(context) : take(context);
    has = !has;
    /* After the release, so that printing costs no time in which others wait. */
    printf("%" PRIu64 "\n", moment / 1000);
    fflush(stdout);
  }
}
