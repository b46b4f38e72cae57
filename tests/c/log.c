// The log: levels, who hears what, and that no password is ever in it.

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "test.h"

static atomic_int heard, important, wrong;
static int marker;

static void hear(int32_t level, const char *message, void *user_data) {
  atomic_fetch_add(&heard, 1);
  if (level == REDLOCK_LOG_ERROR || level == REDLOCK_LOG_WARN) atomic_fetch_add(&important, 1);
  if (user_data != &marker || level < REDLOCK_LOG_ERROR || level > REDLOCK_LOG_DEBUG) atomic_fetch_add(&wrong, 1);
  if (strlen(message) == 0 || strchr(message, '\n') != NULL || contains(message, "sesame")) atomic_fetch_add(&wrong, 1);
}

static void wrong_levels(void) {
  FAILS(redlock_log_set(hear, 0, NULL, &err), REDLOCK_ERR_INVALID_ARGUMENT, "level is 0");
  FAILS(redlock_log_set(hear, 5, NULL, &err), REDLOCK_ERR_INVALID_ARGUMENT, "level is 5");
  FAILS(redlock_log_set(hear, -1, NULL, &err), REDLOCK_ERR_INVALID_ARGUMENT, "level is -1");
}

// A factory whose first node wants no password, or another: the log says so, and not the password.
static void a_node_that_is_lost_is_reported(void) {
  char url[128];
  redlock_factory *factory = NULL;
  const char *port = strrchr(node_urls()[0], ':') + 1;
  snprintf(url, sizeof url, "redis://nobody:sesame@127.0.0.1:%s", port);
  const char *const urls[] = {url, node_urls()[1], node_urls()[2]};
  OK(redlock_log_set(hear, REDLOCK_LOG_DEBUG, &marker, &err));
  OK(redlock_factory_new(urls, 3, NULL, &factory, &err));
  redlock_lock *lock = lock_now(factory, "log", 60000);
  OK(redlock_release(lock, &err));
  WAIT_UNTIL(atomic_load(&heard) > 0);
  CHECK(kill(node_pid(1), SIGKILL) == 0);
  WAIT_UNTIL(atomic_load(&important) > 0);
  redlock_lock_free(lock);
  redlock_factory_free(factory);
  CHECK(atomic_load(&wrong) == 0);
}

// A new listener takes the old one's place; with none, work goes on in silence.
static void silence(void) {
  redlock_factory *factory = new_factory();
  OK(redlock_log_set(NULL, REDLOCK_LOG_DEBUG, NULL, &err));
  redlock_lock *lock = lock_now(factory, "silence", 60000);
  OK(redlock_release(lock, &err));
  redlock_lock_free(lock);
  redlock_factory_free(factory);
}

int main(void) {
  wrong_levels();
  a_node_that_is_lost_is_reported();
  silence();
  return 0;
}
