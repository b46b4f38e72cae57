/* The samples in C of README.md, each in its place. */
#include <redlock.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *urls[5];
static redlock_factory *factory;
static redlock_error *err;

static void fail(const char *what) {
  fprintf(stderr, "%s: %s\n", what, err == NULL ? "no error" : redlock_error_message(err));
  exit(1);
}

static void check(redlock_status status, const char *what) {
  if (status != REDLOCK_OK) fail(what);
}

static void sample_options(void) {
  redlock_factory *factory = NULL;
  // @sample options
  /* There is no such certificate on this machine, and one server is given under several names; the call is what counts.
   */
  redlock_error_free(err);
  err = NULL;
  redlock_factory_free(factory);
}

static void sample_why(void) {
  redlock_lock *held = NULL, *lock = NULL;
  check(redlock_acquire(factory, "invoice:17", 10000, 2000, &held, &err), "acquire");
  // @sample why
  if (lock != NULL) fail("a held lock was taken");
  redlock_lock_free(held);
}

static int worked;

static void work_on(uint64_t id, redlock_lock *lock) {
  worked += (int)id;
  redlock_lock_free(lock);
}

static void sample_queue(void) {
  worked = 0;
  // @sample queue
  while (worked == 0) {
    check(redlock_queue_next(queue, events, 64, 10000, &count, &err), "next");
    for (size_t i = 0; i < count; i++) {
      if (events[i].status == REDLOCK_OK) work_on(events[i].id, events[i].lock);
      redlock_error_free(events[i].error);
    }
  }
  redlock_queue_free(queue);
}

static uint64_t stored;

static void store(const char *document, uint64_t fence) {
  (void)document;
  stored = fence;
}

static void sample_fence(void) {
  const char *document = "a document";
  redlock_queue *queue = NULL;
  check(redlock_queue_new(&queue, &err), "queue");
  // @sample fence
  if (stored == 0) fail("nothing was stored");
  redlock_lock_free(lock);
  redlock_queue_free(queue);
}

int main(void) {
  char *list = getenv("REDLOCK_TEST_URLS");
  size_t count = 0;
  for (char *url = strtok(list, ","); url != NULL && count < 5; url = strtok(NULL, ",")) urls[count++] = url;
  for (size_t i = count; i < 5; i++) urls[i] = "redis://127.0.0.1:1";
  check(redlock_factory_new(urls, count, NULL, &factory, &err), "factory");
  sample_options();
  sample_why();
  err = NULL;
  sample_queue();
  sample_fence();
  redlock_factory_free(factory);
  return 0;
}
