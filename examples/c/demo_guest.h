/* The demo's other processes: the same program, started anew, with a factory of its own, that wants the same
 * lock. */
#ifndef DEMO_GUEST_H
#define DEMO_GUEST_H

#include <redlock.h>
#include <stdint.h>
#include <sys/types.h>

/* A process that was started, and the pipe that its words come through. */
struct guest {
  pid_t pid;
  int words;
};

/* Starts `program` in a role: "try" or "wait". What it does is said by guest_main(). */
struct guest guest_start(const char *program, const char *role);

/* Waits until the guest says a number; at most `deadline_ms`, then the demo has failed. */
int64_t guest_listen(const struct guest *guest, int deadline_ms);

/* Waits until the guest has ended with exit code 0; anything else, and another end, fails the demo. */
void guest_finish(const struct guest *guest, int deadline_ms);

/* The guest's own side. "try" tries once and succeeds if it is refused. "wait" says 0 when it is waiting, and
 * the time (guest_clock_ns) when it has the lock; then it gives the lock back. Returns the exit code. */
int guest_main(redlock_factory *factory, const char *resource, const char *role, int words);

/* A clock that all processes of the machine share, in nanoseconds. */
int64_t guest_clock_ns(void);

#endif
