// Arguments that are not NULL and wrong all the same: names, times, URLs.

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "test.h"

#define INVALID(call, words) FAILS(call, REDLOCK_ERR_INVALID_ARGUMENT, words)

enum { LONGEST_RESOURCE = 512, TOO_MANY = 65 };

static redlock_factory *factory;

static void refuse_resource(const char *resource, const char *words) {
  redlock_queue *queue = new_queue();
  redlock_lock *lock = NULL;
  int32_t locked = 0;
  INVALID(redlock_acquire(factory, resource, 1000, 0, &lock, &err), words);
  INVALID(redlock_is_locked(factory, resource, &locked, &err), words);
  INVALID(redlock_submit_acquire(factory, resource, 1000, 0, queue, 1, &err), words);
  INVALID(redlock_submit_is_locked(factory, resource, queue, 1, &err), words);
  CHECK(lock == NULL && no_event(queue));
  redlock_queue_free(queue);
}

static void resources(void) {
  char name[LONGEST_RESOURCE + 2];
  memset(name, 'x', sizeof name);
  name[LONGEST_RESOURCE + 1] = '\0';
  refuse_resource(name, "512");
  refuse_resource("", "resource");
  refuse_resource("bad \xff\xfe name", "resource is not valid UTF-8 (at byte 4)");
  refuse_resource("\xc3", "not valid UTF-8");
  // One byte less is allowed, and so is every character of UTF-8.
  name[LONGEST_RESOURCE] = '\0';
  redlock_lock *longest = lock_now(factory, name, 60000);
  redlock_lock *foreign = lock_now(factory, "\xc3\xa4 \xe2\x82\xac {x}\r\n\t\"'*", 60000);
  CHECK(strcmp(redlock_lock_resource(longest), name) == 0);
  OK(redlock_release(longest, &err));
  OK(redlock_release(foreign, &err));
  redlock_lock_free(longest);
  redlock_lock_free(foreign);
}

static void times(void) {
  redlock_lock *lock = NULL;
  INVALID(redlock_acquire(factory, "t", 0, 0, &lock, &err), "0");
  INVALID(redlock_acquire(factory, "t", 2592000001, 0, &lock, &err), "30 days");
  INVALID(redlock_acquire(factory, "t", UINT64_MAX, 0, &lock, &err), "30 days");
  INVALID(redlock_acquire(factory, "t", 1000, -2, &lock, &err), "wait_ms is -2");
  INVALID(redlock_acquire(factory, "t", 1000, INT64_MIN, &lock, &err), "wait_ms");
  CHECK(lock == NULL && nodes_holding("t") == 0);
  // The longest wait is one, not an overflow.
  OK(redlock_acquire(factory, "t", 60000, INT64_MAX, &lock, &err));
  INVALID(redlock_extend(lock, 0, &err), "0");
  INVALID(redlock_extend(lock, UINT64_MAX, &err), "30 days");
  OK(redlock_release(lock, &err));
  redlock_lock_free(lock);
}

static void refuse_url(const char *url, const char *words) {
  redlock_factory *made = NULL;
  redlock_error *error = NULL;
  INVALID(redlock_factory_new(&url, 1, NULL, &made, &err), words);
  CHECK(made == NULL);
  CHECK(redlock_factory_new(&url, 1, NULL, &made, &error) == REDLOCK_ERR_INVALID_ARGUMENT);
  CHECK(!contains(redlock_error_message(error), "sesame"));
  redlock_error_free(error);
}

static void urls(void) {
  refuse_url("", "URL");
  refuse_url("127.0.0.1:6379", "it has no scheme");
  refuse_url("redis://", "redis://");
  refuse_url("http://user:sesame@127.0.0.1", "unknown scheme");
  refuse_url("redis://user:sesame@127.0.0.1:99999", "port");
  refuse_url("redis://:sesame@127.0.0.1/zero", "database");
  refuse_url("redis://127.0.0.1:6379/-1", "database");
  refuse_url("rediss://:sesame@127.0.0.1/#insecure", "insecure");
  refuse_url("redis://\xff", "urls[0] is not valid UTF-8");
}

static void sets_of_nodes(void) {
  char text[TOO_MANY][64];
  char aliased[256];
  const char *many[TOO_MANY];
  redlock_factory *made = NULL;
  snprintf(aliased, sizeof aliased, "%s/0", node_urls()[0]);
  const char *const twice[] = {node_urls()[0], node_urls()[1], aliased};
  INVALID(redlock_factory_new(twice, 3, NULL, &made, &err), "twice");
  for (int i = 0; i < TOO_MANY; i++) {
    snprintf(text[i], sizeof text[i], "redis://127.0.0.1:%d", 1000 + i);
    many[i] = text[i];
  }
  INVALID(redlock_factory_new(many, TOO_MANY, NULL, &made, &err), "64");
  CHECK(made == NULL);
}

int main(void) {
  factory = new_factory();
  resources();
  times();
  urls();
  sets_of_nodes();
  redlock_factory_free(factory);
  return 0;
}
