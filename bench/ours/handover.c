/* The scenario "handover": takes and gives one lock as the lines on stdin say, and says when. */
#include "ours.h"

#include <stdio.h>

struct party {
  redlock_factory *factory;
  redlock_lock *lock;
  char resource[128];
};

static uint64_t take(void *context) {
  struct party *party = context;
  ours_take(party->factory, party->resource, &party->lock);
  return bench_now_ns();
}

static uint64_t give(void *context) {
  struct party *party = context;
  uint64_t called = bench_now_ns();
  ours_give(party->lock);
  party->lock = NULL;
  return called;
}

void ours_handover(const struct bench_args *args) {
  struct party party = {.factory = ours_connect(args)};
  ours_warm(args, party.factory);
  snprintf(party.resource, sizeof party.resource, "%s:handover", args->prefix);
  (void)bench_window_open(args);
  bench_handover(take, give, &party);
  redlock_lock_free(party.lock);
  redlock_factory_free(party.factory);
}
