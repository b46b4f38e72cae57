/* The scenario "turns": this process takes one lock again and again, against all others of the same prefix. */
#include "ours.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* How long a turn lasts between acquire and release. */
#define INSIDE_NS 2000000u

/* In nanoseconds of bench_now_ns(), which all processes of the machine share. */
struct turn {
  uint64_t begun;
  uint64_t acquired;
  uint64_t released; /* when release was called */
};

struct turns {
  struct turn *list;
  size_t count;
  size_t capacity;
};

static void add(struct turns *turns, struct turn turn) {
  if (turns->count == turns->capacity) {
    turns->capacity = turns->capacity == 0 ? 1024 : turns->capacity * 2;
    turns->list = realloc(turns->list, turns->capacity * sizeof *turns->list);
    if (turns->list == NULL) bench_die("turns");
  }
  turns->list[turns->count++] = turn;
}

static struct turn take(redlock_factory *factory, const char *resource) {
  redlock_lock *lock = NULL;
  struct turn turn = {.begun = bench_now_ns()};
  ours_take(factory, resource, &lock);
  turn.acquired = bench_now_ns();
  bench_sleep_until(turn.acquired + INSIDE_NS);
  turn.released = bench_now_ns();
  ours_give(lock);
  return turn;
}

static void print(const struct turns *turns, struct bench_window window) {
  printf("{\"start_us\":%" PRIu64 ",\"turns\":[", window.start / 1000);
  for (size_t i = 0; i < turns->count; i++)
    printf("%s[%" PRIu64 ",%" PRIu64 ",%" PRIu64 "]", i > 0 ? "," : "", turns->list[i].begun / 1000,
           turns->list[i].acquired / 1000, turns->list[i].released / 1000);
  puts("]}");
}

void ours_turns(const struct bench_args *args) {
  struct turns turns = {0};
  char resource[128];
  redlock_factory *factory = ours_connect(args);
  ours_warm(args, factory);
  snprintf(resource, sizeof resource, "%s:turns", args->prefix);
  struct bench_window window = bench_window_open(args);
  while (bench_now_ns() < window.end) add(&turns, take(factory, resource));
  print(&turns, window);
  free(turns.list);
  redlock_factory_free(factory);
}
