/* A thousand locks at once in one thread: acquires are submitted to a queue, and epoll says when events wait
 * in it.
 *
 * An application adds the queue's descriptor to the event loop that it has already; here it is the only one.
 */
#include <inttypes.h>
#include <redlock.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#define JOBS 1000
#define EVENTS_AT_ONCE 64
#define TTL_MS 10000
#define WAIT_MS 5000
/* Far longer than anything here takes. */
#define DEADLINE_MS 30000

/* What the example knows of its jobs; the id of an operation is the number of its job. */
struct jobs {
  redlock_queue *queue;
  redlock_lock *locks[JOBS];
  int unfinished, held, most_held, failed;
};

static void die(const char *what, redlock_error *err) {
  fprintf(stderr, "%s: %s\n", what, redlock_error_message(err));
  exit(EXIT_FAILURE);
}

static void submit_all(struct jobs *jobs, redlock_factory *factory) {
  for (uint64_t id = 0; id < JOBS; id++) {
    char resource[32];
    redlock_error *err = NULL;
    snprintf(resource, sizeof resource, "job:%" PRIu64, id);
    if (redlock_submit_acquire(factory, resource, TTL_MS, WAIT_MS, jobs->queue, id, &err) != REDLOCK_OK)
      die("submitting an acquire", err);
    jobs->unfinished++;
  }
}

/* A lock is held. A real job would begin its work now; this one has none, and gives the lock back. */
static void acquired(struct jobs *jobs, const redlock_event *event) {
  redlock_error *err = NULL;
  jobs->locks[event->id] = event->lock;
  if (++jobs->held > jobs->most_held) jobs->most_held = jobs->held;
  if (redlock_submit_release(event->lock, jobs->queue, event->id, &err) != REDLOCK_OK) die("submitting a release", err);
}

static void released(struct jobs *jobs, const redlock_event *event) {
  redlock_lock_free(jobs->locks[event->id]);
  jobs->held--;
  jobs->unfinished--;
}

static void failed(struct jobs *jobs, const redlock_event *event) {
  fprintf(stderr, "job %" PRIu64 ": %s\n", event->id, redlock_error_message(event->error));
  redlock_error_free(event->error);
  jobs->failed++;
}

/* Every operation ends in exactly one event, so an event is either the next step of its job or the end of it.
 */
static void handle(struct jobs *jobs, const redlock_event *event) {
  if (event->status != REDLOCK_OK) failed(jobs, event);
  if (event->kind == REDLOCK_EVENT_RELEASE) released(jobs, event);
  else if (event->status == REDLOCK_OK) acquired(jobs, event);
  else jobs->unfinished--;
}

/* Takes all events that wait; with a timeout of 0 this never blocks. */
static void drain(struct jobs *jobs) {
  redlock_event events[EVENTS_AT_ONCE];
  redlock_error *err = NULL;
  size_t count = 0;
  do {
    if (redlock_queue_next(jobs->queue, events, EVENTS_AT_ONCE, 0, &count, &err) != REDLOCK_OK)
      die("taking events", err);
    for (size_t i = 0; i < count; i++) handle(jobs, &events[i]);
  } while (count > 0);
}

static void run_event_loop(struct jobs *jobs) {
  struct epoll_event ready, readable = {.events = EPOLLIN};
  int epoll = epoll_create1(EPOLL_CLOEXEC);
  if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, redlock_queue_fd(jobs->queue), &readable) != 0) {
    perror("epoll");
    exit(EXIT_FAILURE);
  }
  while (jobs->unfinished > 0) {
    if (epoll_wait(epoll, &ready, 1, DEADLINE_MS) == 0) {
      fprintf(stderr, "%d jobs have not ended within %d ms\n", jobs->unfinished, DEADLINE_MS);
      exit(EXIT_FAILURE);
    }
    drain(jobs);
  }
  close(epoll);
}

int main(int argc, char **argv) { /* epoll [URL...]; without any: redis://127.0.0.1:6379/0 */
  static struct jobs jobs;
  redlock_factory *factory = NULL;
  redlock_error *err = NULL;
  if (redlock_factory_new((const char *const *)argv + 1, (size_t)argc - 1, NULL, &factory, &err) != REDLOCK_OK)
    die("making a factory", err);
  if (redlock_queue_new(&jobs.queue, &err) != REDLOCK_OK) die("making a queue", err);
  submit_all(&jobs, factory);
  printf("%d acquires are under way, and this thread is free\n", jobs.unfinished);
  run_event_loop(&jobs);
  printf("%d locks were taken and given back, %d failed; up to %d were held at once\n", JOBS - jobs.failed, jobs.failed,
         jobs.most_held);
  redlock_queue_free(jobs.queue);
  redlock_factory_free(factory);
  return jobs.failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
