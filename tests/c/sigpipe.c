// Masters that die under a program that has not touched SIGPIPE, whose default is to end it.

#include <signal.h>
#include <stdio.h>

#include "test.h"

static redlock_factory *factory;

static void take_turns(int turns) {
  for (int i = 0; i < turns; i++) {
    redlock_lock *lock = lock_now(factory, "pipe", 60000);
    redlock_status status = redlock_release(lock, NULL);
    CHECK(status == REDLOCK_OK || status == REDLOCK_ERR_NO_QUORUM);
    redlock_lock_free(lock);
  }
}

// Writes go on to flow to the dead one's socket until its end is noticed.
static void kill_under_load(redlock_queue *queue, size_t victim) {
  char resource[32];
  const uint64_t operations = 2000;
  for (uint64_t id = 0; id < operations; id++) {
    if (id == operations / 2) CHECK(kill(node_pid(victim), SIGKILL) == 0);
    snprintf(resource, sizeof resource, "pipe-%d", (int)id);
    OK(redlock_submit_acquire(factory, resource, 60000, 10000, queue, id, &err));
  }
  for (uint64_t taken = 0; taken < operations; taken++) {
    redlock_event event = next_event(queue);
    SUCCEEDED(event);
    redlock_lock_free(event.lock);
  }
}

int main(void) {
  struct sigaction action;
  signal(SIGPIPE, SIG_DFL);
  factory = new_factory();
  redlock_queue *queue = new_queue();
  take_turns(10);
  kill_under_load(queue, 0);
  take_turns(10);
  kill_under_load(queue, node_count() - 1);
  take_turns(10);
  redlock_queue_free(queue);
  redlock_factory_free(factory);
  // The library has not hidden behind a handler of its own.
  CHECK(sigaction(SIGPIPE, NULL, &action) == 0 && action.sa_handler == SIG_DFL);
  return 0;
}
