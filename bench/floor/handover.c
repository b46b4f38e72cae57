/* The scenario "handover" of the floor: what handing a lock to a waiter costs with no library at all.
 *
 * The fewest messages that do it with a waiter that sleeps: each node is told of the release and calls the waiter,
 * which asks that node. Nothing is checked, timed out or retried; there is one waiter, no queue, no fence and no time
 * limit but the key's. */
#define _GNU_SOURCE
#include "floor.h"

#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* KEYS: the lock, the waiter. ARGV: the owner, its channel, the time to live. 1: it has the lock; 0: it waits. */
static const char want_script[] = "if redis.call('SET',KEYS[1],ARGV[1],'NX','PX',ARGV[3]) then return 1 end "
                                  "redis.call('SET',KEYS[2],ARGV[2],'PX',ARGV[3]) return 0";
/* KEYS: the lock, the waiter. ARGV: the owner. */
static const char give_script[] = "if redis.call('GET',KEYS[1])~=ARGV[1] then return 0 end redis.call('DEL',KEYS[1]) "
                                  "local waiter=redis.call('GETDEL',KEYS[2]) "
                                  "if waiter then redis.call('PUBLISH',waiter,'') end return 1";

struct node {
  int commands, calls; /* sockets: for commands, and for what the node says by itself */
};

struct party {
  struct node nodes[BENCH_MAX_NODES];
  size_t count;
  size_t quorum;
  int epoll;
  struct floor_command want, claim, give;
};

static void send_all(int fd, const struct floor_command *command) {
  if (send(fd, command->text, command->length, MSG_NOSIGNAL) != (ssize_t)command->length) bench_die("send");
}

/* Reads what is there, at least a byte; returns the first. */
static char receive(int fd) {
  char buffer[512];
  if (recv(fd, buffer, sizeof buffer, 0) <= 0) bench_die("a node hung up");
  return buffer[0] == ':' ? buffer[1] : buffer[0];
}

static void watch(const struct party *party, int fd, size_t index, bool calls) {
  struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)(index * 2 + calls)};
  if (epoll_ctl(party->epoll, EPOLL_CTL_ADD, fd, &event) != 0) bench_die("epoll_ctl");
}

static void subscribe(int fd, const char *channel) {
  struct floor_command command;
  floor_compose(&command, (const char *[]){"SUBSCRIBE", channel}, 2);
  send_all(fd, &command);
  receive(fd);
}

static void prepare(struct party *party, const struct bench_args *args) {
  char want[FLOOR_SHA], give[FLOOR_SHA], lock[128], waiter[128], channel[128], token[41], ttl[16];
  snprintf(lock, sizeof lock, "%.100s:floor", args->prefix);
  snprintf(waiter, sizeof waiter, "%.100s:waiter", args->prefix);
  snprintf(channel, sizeof channel, "%.90s:%ld", args->prefix, (long)getpid());
  snprintf(token, sizeof token, "%040ld", (long)getpid());
  snprintf(ttl, sizeof ttl, "%d", BENCH_TTL_MS);
  party->count = args->node_count;
  party->quorum = args->node_count / 2 + 1;
  party->epoll = epoll_create1(EPOLL_CLOEXEC);
  for (size_t i = 0; i < party->count; i++) {
    struct node *node = &party->nodes[i];
    node->commands = bench_dial(args->urls[i]);
    node->calls = bench_dial(args->urls[i]);
    floor_load_script(node->commands, want_script, want);
    floor_load_script(node->commands, give_script, give);
    subscribe(node->calls, channel);
    watch(party, node->commands, i, false);
    watch(party, node->calls, i, true);
  }
  floor_compose(&party->want, (const char *[]){"EVALSHA", want, "2", lock, waiter, token, channel, ttl}, 8);
  floor_compose(&party->claim, (const char *[]){"SET", lock, token, "NX", "PX", ttl}, 6);
  floor_compose(&party->give, (const char *[]){"EVALSHA", give, "2", lock, waiter, token}, 6);
}

static void scatter(const struct party *party, const struct floor_command *command) {
  for (size_t i = 0; i < party->count; i++) send_all(party->nodes[i].commands, command);
}

/* One node has called or answered; true when this process has the lock on it now. */
static bool hear(struct party *party, uint32_t what) {
  struct node *node = &party->nodes[what / 2];
  if (what % 2 != 0) {
    receive(node->calls);
    send_all(node->commands, &party->claim);
    return false;
  }
  char answer = receive(node->commands);
  if (answer == '$') bench_die("somebody else has the lock");
  return answer != '0';
}

/* Waits for all nodes; returns when so many of them were there as a quorum needs. */
static uint64_t gather(struct party *party) {
  struct epoll_event events[2 * BENCH_MAX_NODES];
  uint64_t moment = 0;
  for (size_t have = 0; have < party->count;) {
    int ready = epoll_wait(party->epoll, events, 2 * BENCH_MAX_NODES, -1);
    for (int i = 0; i < ready; i++) {
      have += hear(party, events[i].data.u32);
      if (have == party->quorum && moment == 0) moment = bench_now_ns();
    }
  }
  return moment;
}

static uint64_t take(void *context) {
  struct party *party = context;
  scatter(party, &party->want);
  return gather(party);
}

static uint64_t give(void *context) {
  struct party *party = context;
  uint64_t called = bench_now_ns();
  scatter(party, &party->give);
  gather(party);
  return called;
}

void floor_handover(const struct bench_args *args) {
  static struct party party;
  prepare(&party, args);
  (void)bench_window_open(args);
  bench_handover(take, give, &party);
}
