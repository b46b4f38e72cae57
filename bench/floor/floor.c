/* The floor: what acquire and release over N masters cost with no library at all.
 *
 * One caller writes prebuilt commands to all sockets, polls them from its own thread and returns as soon as a quorum
 * has answered; late answers are drained by the next operation. Nothing is checked, retried or timed out, so no library
 * that does its work and sleeps until an answer comes can be faster by more than the machine's noise. The scenario
 * "spin" asks the kernel again and again instead of sleeping: less wake-up latency for a core that is kept busy. The
 * scenario "rested" pauses before each pair, so that it meets servers and processors that have fallen asleep. The
 * scenario "handover" is in handover.c. */
#define _GNU_SOURCE
#include "floor.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static const char release_script[] =
    "if redis.call('GET',KEYS[1])==ARGV[1] then return redis.call('DEL',KEYS[1]) else return 0 end";
/* How long "rested" pauses, in us. */
#define REST_US 30000

static const char token[] = "0123456789abcdef0123456789abcdef01234567";

struct node {
  int socket;
  bool lost;
  uint64_t sent;     /* commands sent so far */
  uint64_t answered; /* answers read so far; every answer here is one line */
};

struct floor_state {
  struct node nodes[BENCH_MAX_NODES];
  size_t node_count;
  size_t quorum;
  int epoll;
  int patience; /* epoll_wait's timeout: -1 sleeps, 0 spins */
  bool rests;
  struct floor_command acquire, release;
};

static void prepare(struct floor_state *state, const struct bench_args *args) {
  char sha[FLOOR_SHA], ttl[16], key[128];
  state->node_count = args->node_count;
  state->quorum = args->node_count / 2 + 1;
  state->patience = strcmp(args->scenario, "spin") == 0 ? 0 : -1;
  state->rests = strcmp(args->scenario, "rested") == 0;
  state->epoll = epoll_create1(EPOLL_CLOEXEC);
  for (size_t i = 0; i < args->node_count; i++) {
    struct node *node = &state->nodes[i];
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = node};
    node->socket = bench_dial(args->urls[i]);
    floor_load_script(node->socket, release_script, sha);
    if (epoll_ctl(state->epoll, EPOLL_CTL_ADD, node->socket, &event) != 0) bench_die("epoll_ctl");
  }
  snprintf(key, sizeof key, "%s:floor", args->prefix);
  snprintf(ttl, sizeof ttl, "%d", BENCH_TTL_MS);
  floor_compose(&state->acquire, (const char *[]){"SET", key, token, "NX", "PX", ttl}, 6);
  floor_compose(&state->release, (const char *[]){"EVALSHA", sha, "1", key, token}, 5);
}

/* Reads what one node has to say; true when its newest command is answered with `good` as the first byte. */
static bool drain(struct node *node, char good) {
  char buffer[4096];
  ssize_t n = recv(node->socket, buffer, sizeof buffer, MSG_DONTWAIT);
  if (n == 0 || (n < 0 && errno != EAGAIN)) bench_die("a node hung up");
  char first = '\0';
  bool at_line_start = true;
  for (ssize_t i = 0; i < n; i++) {
    if (at_line_start) first = buffer[i];
    at_line_start = buffer[i] == '\n';
    node->answered += at_line_start;
  }
  return n > 0 && node->answered == node->sent && first == good;
}

/* Writes one command to one node. A node that has stopped reading, so that its buffers are full, is given up for good:
 * whatever part of a command has gone out, nothing can follow it. */
static bool submit(struct node *node, const struct floor_command *command) {
  if (node->lost) return false;
  node->lost =
      send(node->socket, command->text, command->length, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)command->length;
  node->sent++;
  return !node->lost;
}

/* Sends one command to all nodes and waits for a quorum of good answers; false when that can no longer come. */
static bool scatter_gather(struct floor_state *state, const struct floor_command *command, char good) {
  struct epoll_event events[BENCH_MAX_NODES];
  size_t granted = 0, refused = 0;
  for (size_t i = 0; i < state->node_count; i++) refused += !submit(&state->nodes[i], command);
  while (granted < state->quorum && refused <= state->node_count - state->quorum) {
    int ready = epoll_wait(state->epoll, events, BENCH_MAX_NODES, state->patience);
    for (int i = 0; i < ready; i++) {
      struct node *node = events[i].data.ptr;
      bool vote = drain(node, good);
      granted += vote;
      refused += !vote && node->answered == node->sent;
    }
  }
  return granted >= state->quorum;
}

static bool pair(struct floor_state *state) {
  return scatter_gather(state, &state->acquire, '+') && scatter_gather(state, &state->release, ':');
}

static void measure(struct floor_state *state, const struct bench_window *window, struct bench_result *result) {
  double cpu = 0;
  bool started = false;
  uint64_t begun = bench_now_ns();
  while (begun < window->end) {
    if (!started && begun >= window->start) {
      started = true;
      cpu = bench_cpu_us();
    }
    if (state->rests) {
      usleep(REST_US);
      begun = bench_now_ns();
    }
    bool good = pair(state);
    uint64_t done = bench_now_ns();
    if (done >= window->start) {
      if (good) bench_samples_add(&result->samples, done - begun);
      else result->failures++;
    }
    begun = done;
  }
  result->cpu_us = bench_cpu_us() - cpu;
  result->seconds = (double)(begun - window->start) / 1e9;
}

int main(int argc, char **argv) {
  static struct floor_state state;
  struct bench_args args;
  struct bench_result result = {0};
  bench_args_parse(&args, argc, argv);
  if (strcmp(args.scenario, "handover") == 0) {
    floor_handover(&args);
    return 0;
  }
  bool known =
      strcmp(args.scenario, "pair") == 0 || strcmp(args.scenario, "spin") == 0 || strcmp(args.scenario, "rested") == 0;
  if (!known || args.callers != 1) {
    fputs("the floor knows the scenarios pair, spin, rested and handover, with one caller\n", stderr);
    return 2;
  }
  prepare(&state, &args);
  pair(&state);
  struct bench_window window = bench_window_open(&args);
  measure(&state, &window, &result);
  bench_report(&result, NULL);
  return 0;
}
