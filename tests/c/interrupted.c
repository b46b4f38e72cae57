// Calls that something cuts short: pthread_cancel waits until they are over, and a siglongjmp out of one, which is not
// allowed, leaves the other threads at work.

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>

#include "test.h"

static redlock_factory *factory;
static sigjmp_buf outside;
static atomic_int released;

static void take_turns(int turns) {
  for (int i = 0; i < turns; i++) {
    redlock_lock *lock = lock_now(factory, "turns", 60000);
    OK(redlock_release(lock, &err));
    redlock_lock_free(lock);
  }
}

static void give_back(void *lock) {
  OK(redlock_release(lock, &err));
  redlock_lock_free(lock);
  atomic_fetch_add(&released, 1);
}

// The call ends with its lock, and the thread after it, where it may be ended.
static void *wait_for_it(void *unused) {
  redlock_lock *lock = NULL;
  (void)unused;
  about_to_sleep();
  OK(redlock_acquire(factory, "cancelled", 60000, -1, &lock, &err));
  pthread_cleanup_push(give_back, lock);
  for (;;) pthread_testcancel();
  pthread_cleanup_pop(0);
  return NULL;
}

// `driving`: the thread waits for so long that it drives the engine itself, and waits for sockets.
static void a_cancellation_waits_for_the_call(bool driving) {
  pthread_t thread;
  void *end = NULL;
  int before = atomic_load(&released);
  redlock_lock *held = lock_now(factory, "cancelled", 60000);
  CHECK(pthread_create(&thread, NULL, wait_for_it, NULL) == 0);
  wait_for_sleepers(1);
  if (driving) {
    redlock_lock *clock = lock_now(factory, "clock", 300);
    WAIT_UNTIL(redlock_lock_validity_ms(clock) == 0);
    redlock_lock_free(clock);
  }
  CHECK(pthread_cancel(thread) == 0);
  take_turns(20);
  CHECK(atomic_load(&released) == before);
  OK(redlock_release(held, &err));
  CHECK(pthread_join(thread, &end) == 0 && end == PTHREAD_CANCELED);
  CHECK(atomic_load(&released) == before + 1);
  redlock_lock_free(held);
  take_turns(20);
}

// A thread that is cancelled between its calls.
static void *call_for_ever(void *unused) {
  (void)unused;
  for (;;) {
    take_turns(1);
    pthread_testcancel();
  }
  return NULL;
}

static void a_cancellation_of_one_who_calls_again_and_again(void) {
  for (int round = 0; round < 20; round++) {
    pthread_t thread;
    void *end = NULL;
    CHECK(pthread_create(&thread, NULL, call_for_ever, NULL) == 0);
    take_turns(round);
    CHECK(pthread_cancel(thread) == 0);
    CHECK(pthread_join(thread, &end) == 0 && end == PTHREAD_CANCELED);
    take_turns(1);
  }
}

static void leave(int signal_number) {
  (void)signal_number;
  siglongjmp(outside, 1);
}

static void *is_thrown_out(void *unused) {
  redlock_lock *lock = NULL;
  (void)unused;
  about_to_sleep();
  if (sigsetjmp(outside, 1) == 0) {
    redlock_acquire(factory, "left", 60000, -1, &lock, NULL);
    CHECK(false);
  }
  return NULL;
}

static void who_leaves_a_call_does_not_stop_the_others(void) {
  redlock_queue *queue = new_queue();
  redlock_lock *held = lock_now(factory, "left", 60000);
  redlock_lock *kept = lock_now(factory, "kept", 2000);
  pthread_t thread;
  CHECK(signal(SIGUSR1, leave) != SIG_ERR);
  CHECK(pthread_create(&thread, NULL, is_thrown_out, NULL) == 0);
  wait_for_sleepers(1);
  redlock_lock *clock = lock_now(factory, "clock", 300);
  WAIT_UNTIL(redlock_lock_validity_ms(clock) == 0);
  redlock_lock_free(clock);
  OK(redlock_lock_keep_alive(kept, queue, 7, &err));
  CHECK(pthread_kill(thread, SIGUSR1) == 0);
  CHECK(pthread_join(thread, NULL) == 0);
  // Nobody calls: the lock is kept all the same, and its loss told.
  clock = lock_now(factory, "clock", 3000);
  WAIT_UNTIL(redlock_lock_validity_ms(clock) == 0);
  redlock_lock_free(clock);
  CHECK(redlock_lock_validity_ms(kept) > 0 && no_event(queue));
  lose_on_nodes("kept");
  redlock_event event = next_event(queue);
  CHECK(event.kind == REDLOCK_EVENT_LOST && event.id == 7);
  redlock_error_free(event.error);
  take_turns(20);
  OK(redlock_release(held, &err));
  redlock_lock_free(held);
  redlock_lock_free(kept);
  redlock_queue_free(queue);
}

int main(void) {
  factory = new_factory();
  take_turns(20);
  a_cancellation_waits_for_the_call(false);
  a_cancellation_waits_for_the_call(true);
  a_cancellation_of_one_who_calls_again_and_again();
  who_leaves_a_call_does_not_stop_the_others();
  return 0;
}
