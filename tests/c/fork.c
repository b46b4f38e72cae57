// Forks: a child uses its parent's factory with connections of its own; locks and queues stay with the
// parent.

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"

#define FORKED(call) FAILS(call, REDLOCK_ERR_FORKED, "")

enum { BUSY_THREADS = 3, FORKS = 100, CHILD_PATIENCE_S = 60 };

static redlock_factory *factory;
static redlock_lock *lock;
static redlock_reentrant *holder;
static redlock_queue *queue;
static redlock_error *error;
static atomic_bool stop;

// Forks; the child runs `body` and ends as programs do, by exit. One that hangs is ended by the alarm, and
// seen to be.
static pid_t start_child(void (*body)(void)) {
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    alarm(CHILD_PATIENCE_S);
    body();
    exit(0);
  }
  return child;
}

static void end_of_child(pid_t child) {
  int status = 0;
  CHECK(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void inherited_lock(void) {
  FORKED(redlock_release(lock, &err));
  FORKED(redlock_extend(lock, 60000, &err));
  FORKED(redlock_lock_keep_alive(lock, NULL, 1, &err));
  CHECK(redlock_lock_validity_ms(lock) == 0);
  CHECK(contains(redlock_lock_resource(lock), "inherited"));
  redlock_lock_free(lock);
}

static void inherited_holder(void) {
  FORKED(redlock_reentrant_acquire(holder, 0, &err));
  FORKED(redlock_reentrant_release(holder, &err));
  FORKED(redlock_reentrant_keep_alive(holder, NULL, 1, &err));
  CHECK(redlock_reentrant_count(holder) == 0);
  CHECK(redlock_reentrant_validity_ms(holder) == 0);
  CHECK(redlock_reentrant_fence(holder) == 0);
  redlock_reentrant_free(holder);
}

static void inherited_queue(void) {
  redlock_event event;
  size_t count = 1;
  FORKED(redlock_queue_next(queue, &event, 1, 0, &count, &err));
  CHECK(count == 0);
  FORKED(redlock_submit_acquire(factory, "child", 1000, 0, queue, 1, &err));
  FORKED(redlock_cancel(queue, 77, &err));
  redlock_queue_free(queue);
}

static void inherited_factory(void) {
  redlock_lock *own = NULL;
  FAILS(redlock_acquire(factory, "inherited", 1000, 0, &own, &err), REDLOCK_ERR_CONTENDED, "inherited");
  own = lock_now(factory, "child", 60000);
  OK(redlock_extend(own, 60000, &err));
  OK(redlock_release(own, &err));
  redlock_lock_free(own);
}

static void own_queue(void) {
  redlock_queue *own = new_queue();
  OK(redlock_submit_acquire(factory, "child", 60000, 10000, own, 1, &err));
  redlock_event event = next_event(own);
  SUCCEEDED(event);
  OK(redlock_release(event.lock, &err));
  redlock_lock_free(event.lock);
  redlock_queue_free(own);
}

static void use_everything(void) {
  CHECK(contains(redlock_error_message(error), "lock is NULL"));
  redlock_error_free(error);
  inherited_factory();
  inherited_lock();
  inherited_holder();
  own_queue();
  inherited_queue();
  redlock_factory_free(factory);
}

static void use_and_fork_again(void) {
  inherited_factory();
  end_of_child(start_child(use_everything));
  use_everything();
}

// What children do with their copies does not touch the parent's lock, queue and factory.
static void parents_things_stay_the_parents(void) {
  lock = lock_now(factory, "inherited", 60000);
  OK(redlock_reentrant_new(factory, "inherited by a holder", 60000, &holder, &err));
  OK(redlock_reentrant_acquire(holder, 60000, &err));
  queue = new_queue();
  CHECK(redlock_release(NULL, &error) == REDLOCK_ERR_INVALID_ARGUMENT);
  OK(redlock_submit_acquire(factory, "inherited", 60000, -1, queue, 77, &err));
  end_of_child(start_child(use_everything));
  end_of_child(start_child(use_and_fork_again));
  OK(redlock_extend(lock, 60000, &err));
  CHECK(nodes_holding("inherited") > node_count() / 2);
  CHECK(contains(redlock_error_message(error), "lock is NULL"));
  CHECK(redlock_reentrant_count(holder) == 1 && redlock_reentrant_validity_ms(holder) > 0);
  OK(redlock_reentrant_release(holder, &err));
  redlock_reentrant_free(holder);
  OK(redlock_release(lock, &err));
  redlock_event event = next_event(queue);
  SUCCEEDED(event);
  CHECK(event.id == 77);
  OK(redlock_release(event.lock, &err));
  redlock_lock_free(event.lock);
  redlock_lock_free(lock);
  redlock_error_free(error);
  redlock_queue_free(queue);
}

// A child that touches nothing, and one that ends without a word, take nothing away either.
static void do_nothing(void) {}
static void vanish(void) { _exit(0); }

static void silent_children(void) {
  lock = lock_now(factory, "silent", 60000);
  end_of_child(start_child(do_nothing));
  end_of_child(start_child(vanish));
  OK(redlock_release(lock, &err));
  redlock_lock_free(lock);
}

static void make_and_free_handles(int times) {
  for (int i = 0; i < times; i++) {
    redlock_options *options = NULL;
    OK(redlock_options_new(&options, &err));
    FAILS(redlock_release(NULL, &err), REDLOCK_ERR_INVALID_ARGUMENT, "lock is NULL");
    redlock_options_free(options);
  }
}

static void *keep_handles_busy(void *unused) {
  (void)unused;
  while (!atomic_load(&stop)) make_and_free_handles(100);
  return NULL;
}

static void *keep_nodes_busy(void *unused) {
  (void)unused;
  while (!atomic_load(&stop)) {
    redlock_lock *own = lock_now(factory, "busy", 60000);
    redlock_queue_free(new_queue());
    redlock_lock_free(own);
  }
  return NULL;
}

// Enough handles to come by every part of the tables.
static void use_handles(void) { make_and_free_handles(100); }

static void acquire_in_child(void) {
  char resource[32];
  snprintf(resource, sizeof resource, "child-%d", (int)getpid());
  redlock_lock *own = lock_now(factory, resource, 60000);
  OK(redlock_release(own, &err));
  redlock_lock_free(own);
  redlock_queue_free(new_queue());
  use_handles();
}

// Forks while other threads are inside of the library: nothing that they held stays locked in the child.
static void forks_among(void *(*busy)(void *), void (*body)(void)) {
  pthread_t threads[BUSY_THREADS];
  atomic_store(&stop, false);
  for (int i = 0; i < BUSY_THREADS; i++) CHECK(pthread_create(&threads[i], NULL, busy, NULL) == 0);
  for (int i = 0; i < FORKS; i++) end_of_child(start_child(body));
  atomic_store(&stop, true);
  for (int i = 0; i < BUSY_THREADS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
}

// A factory that was made, and never used, before the fork.
static void a_factory_first_used_in_the_child(void) {
  redlock_factory *old = factory;
  factory = new_factory();
  end_of_child(start_child(acquire_in_child));
  redlock_factory_free(factory);
  factory = old;
}

int main(void) {
  factory = new_factory();
  parents_things_stay_the_parents();
  silent_children();
  a_factory_first_used_in_the_child();
  forks_among(keep_nodes_busy, acquire_in_child);
  forks_among(keep_handles_busy, use_handles);
  redlock_factory_free(factory);
  WAIT_UNTIL(locks_on_nodes() == 0);
  return 0;
}
