/* The parts of the program that measures libredlock through its C ABI: one function per scenario. */
#ifndef OURS_H
#define OURS_H

#include "../common/bench.h"

#include <redlock.h>

/* How long a pair's acquire may wait; the resources are uncontended, so none should. */
#define OURS_WAIT_MS 5000

/* Ends the program with the library's message unless `status` is REDLOCK_OK; frees `error`. */
void ours_check(redlock_status status, redlock_error *error, const char *what);

/* Says on stderr why the first failed pair of this process failed, node by node; frees `error`. */
void ours_failed(redlock_error *error);

/* A factory over the nodes of the command line. */
redlock_factory *ours_connect(const struct bench_args *args);

/* Blocking calls from --callers threads, each on its own resource. */
void ours_pair(const struct bench_args *args);

/* One acquire and release; false, and the first reason is said, when either fails. */
bool ours_one_pair(redlock_factory *factory, const char *resource, bool keep_alive);

/* One caller's pairs, with the options as given and with fair=off in turn. */
void ours_alternate(const struct bench_args *args);

/* --inflight operations at a time on one queue, from one thread. */
void ours_async(const struct bench_args *args);

/* Resident memory of pending acquires, and its growth over --pairs pairs. */
void ours_memory(const struct bench_args *args);

/* One lock, against all other processes of the same --resource-prefix; prints each turn. */
void ours_turns(const struct bench_args *args);

/* One lock, taken and given as stdin says. */
void ours_handover(const struct bench_args *args);

/* The first lock of one factory after the other. */
void ours_first(const struct bench_args *args);

/* Locks that are kept alive, and how many of them are lost. */
void ours_kept(const struct bench_args *args);

/* Acquires, waiting without end; ends the program when that fails. */
void ours_take(redlock_factory *factory, const char *resource, redlock_lock **lock);

/* Releases the lock and frees it. A release that too few nodes have answered is said on stderr, and ends nothing. */
void ours_give(redlock_lock *lock);

/* One pair on a resource that only this process knows, so that the connections are there. */
void ours_warm(const struct bench_args *args, redlock_factory *factory);

/* One stream of pairs on a queue: each slot acquires, releases and begins again. */
struct ours_stream {
  redlock_factory *factory;
  redlock_queue *queue;
  struct ours_slot *slots;
  size_t slot_count;
  size_t busy;                /* slots whose next event is still to come */
  struct bench_window window; /* the pairs that it counts are sampled */
  uint64_t pairs_left;        /* no new pair begins at 0 */
  uint64_t pairs_done;
  bool sampling;
  struct bench_result result;
};

void ours_stream_open(struct ours_stream *stream, redlock_factory *factory, const char *prefix, size_t slot_count);
/* Begins a pair in every slot. */
void ours_stream_start(struct ours_stream *stream);
/* Handles the events that are there, waiting for the first; false when no slot is busy any more. */
bool ours_stream_step(struct ours_stream *stream);
void ours_stream_close(struct ours_stream *stream);

/* Makes another owner hold PREFIX:held:0 to PREFIX:held:(count-1) on every node, or deletes those keys again. */
void ours_hold(const struct bench_args *args, size_t count);
void ours_unhold(const struct bench_args *args, size_t count);

#endif
