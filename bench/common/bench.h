/* What every C benchmark program shares: its command line, the measured window, samples, and the report it prints. */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BENCH_MAX_NODES 16
#define BENCH_TTL_MS 10000
#define BENCH_MAX_OPTIONS 8

/* The command line, the same for every program under bench/ (see docs/benchmarks.md). */
struct bench_args {
  const char *urls[BENCH_MAX_NODES];
  size_t node_count;
  const char *scenario;
  const char *prefix;
  long callers;
  long inflight;
  long pairs;
  long settle_ms;
  double seconds;
  bool handshake;
  bool keep_alive;
  const char *options[BENCH_MAX_OPTIONS]; /* NAME=VALUE, for the library's own table of options */
  size_t option_count;
};

/* Fills `args` from the command line; ends the program with a message when it is wrong. */
void bench_args_parse(struct bench_args *args, int argc, char **argv);

/* Host and port of a redis://HOST:PORT/... address. False when it has another form. */
bool bench_url_split(const char *url, char *host, size_t host_size, char *port, size_t port_size);

/* A connected socket to the master at `url`; ends the program when there is none. */
int bench_dial(const char *url);

/* Prints a message and errno's meaning, and ends the program. */
_Noreturn void bench_die(const char *what);

/* Nanoseconds on a clock that only moves forward. */
uint64_t bench_now_ns(void);

/* The window in which pairs count: those that begin before `end` and are over after `start`. */
struct bench_window {
  uint64_t start;
  uint64_t end;
};

/* With --handshake: says "ready" on stdout and waits for a line on stdin, so that the runner can break nodes in
 * between. Returns the window that begins --settle-ms from then. */
struct bench_window bench_window_open(const struct bench_args *args);

/* Sleeps until a moment of bench_now_ns(). */
void bench_sleep_until(uint64_t moment);

/* Takes and gives one lock by turns, as the lines "take" and "give" on stdin say, and prints in microseconds when it
 * came and when its release was called: what `take` and `give` return, in nanoseconds of bench_now_ns(). */
void bench_handover(uint64_t (*take)(void *), uint64_t (*give)(void *), void *context);

/* Durations of pairs, in tenths of a microsecond: exact, to be sorted at the end. */
struct bench_samples {
  uint32_t *tenths;
  size_t count;
  size_t capacity;
};

void bench_samples_add(struct bench_samples *samples, uint64_t nanoseconds);
void bench_samples_merge(struct bench_samples *into, struct bench_samples *from);
void bench_samples_sort(struct bench_samples *samples);
/* The sample below which `share` of the sorted ones lie, in microseconds. */
double bench_samples_percentile(const struct bench_samples *samples, double share);
void bench_samples_free(struct bench_samples *samples);

/* CPU time (user and system) that this process has used, in microseconds. */
double bench_cpu_us(void);
/* Highest and current resident memory of this process, in KiB. */
long bench_max_rss_kb(void);
long bench_rss_kb(void);
/* Threads of this process at this moment. */
long bench_thread_count(void);

/* One measured run. */
struct bench_result {
  struct bench_samples samples;
  uint64_t failures;
  double seconds;
  double cpu_us;
};

/* Prints the run as one JSON object on one line; `extra` is further members, such as "\"threads\":3", or NULL. */
void bench_report(struct bench_result *result, const char *extra);

#endif
