/* The scenario "handover": takes and gives one lock as the lines on stdin say, and says when. */
#include "ours.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void say(uint64_t moment) {
  printf("%" PRIu64 "\n", moment / 1000);
  fflush(stdout);
}

static void take(redlock_factory *factory, const char *resource, redlock_lock **lock) {
  ours_take(factory, resource, lock);
  say(bench_now_ns());
}

/* Says it after the release, so that printing costs no time in which others wait. */
static void give(redlock_lock **lock) {
  uint64_t called = bench_now_ns();
  ours_give(*lock);
  *lock = NULL;
  say(called);
}

void ours_handover(const struct bench_args *args) {
  char line[16], resource[128];
  redlock_lock *lock = NULL;
  redlock_factory *factory = ours_connect(args);
  ours_warm(args, factory);
  snprintf(resource, sizeof resource, "%s:handover", args->prefix);
  (void)bench_window_open(args);
  while (fgets(line, sizeof line, stdin) != NULL) {
    if (strcmp(line, "take\n") == 0 && lock == NULL) take(factory, resource, &lock);
    else if (strcmp(line, "give\n") == 0 && lock != NULL) give(&lock);
    else bench_die(line);
  }
  redlock_lock_free(lock);
  redlock_factory_free(factory);
}
