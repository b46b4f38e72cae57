/* A party of the tests across languages, in C: takes a lock and gives it back as standard input says. */
#define _POSIX_C_SOURCE 200809L
#include <inttypes.h>
#include <redlock.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_URLS = 16 };

/* Tells an outcome, and frees its error. */
static void answer(redlock_error *err) {
  if (err == NULL) puts("ok");
  else if (redlock_error_code(err) == REDLOCK_ERR_CONTENDED) puts("contended");
  else printf("error %s\n", redlock_error_message(err));
  redlock_error_free(err);
}

static void acquire(redlock_factory *factory, const char *resource, uint64_t ttl_ms, int64_t wait_ms,
                    redlock_lock **lock) {
  redlock_error *err = NULL;
  if (redlock_acquire(factory, resource, ttl_ms, wait_ms, lock, &err) == REDLOCK_OK)
    printf("ok %" PRIu64 "\n", redlock_lock_fence(*lock));
  else answer(err);
}

static void release(redlock_lock **lock) {
  redlock_error *err = NULL;
  redlock_release(*lock, &err);
  answer(err);
  redlock_lock_free(*lock);
  *lock = NULL;
}

/* try RESOURCE TTL | wait RESOURCE TTL | release */
static void obey(redlock_factory *factory, char *line, redlock_lock **lock) {
  char word[8], resource[256];
  uint64_t ttl_ms = 0;
  int words = sscanf(line, "%7s %255s %" SCNu64, word, resource, &ttl_ms);
  if (words == 3 && strcmp(word, "try") == 0) acquire(factory, resource, ttl_ms, 0, lock);
  else if (words == 3 && strcmp(word, "wait") == 0) acquire(factory, resource, ttl_ms, -1, lock);
  else if (words == 1 && strcmp(word, "release") == 0) release(lock);
  else printf("error: what is %s", line);
  fflush(stdout);
}

/* The settings are arguments: NAME=VALUE... */
static redlock_options *options_of(char **arguments, redlock_error **err) {
  redlock_options *options = NULL;
  redlock_status status = redlock_options_new(&options, err);
  for (; status == REDLOCK_OK && *arguments != NULL; arguments++) {
    char *value = strchr(*arguments, '=');
    if (value == NULL) exit(2);
    *value = '\0';
    status = redlock_options_set(options, *arguments, value + 1, err);
  }
  return options;
}

static redlock_factory *factory_of(char *urls, char **arguments) {
  const char *list[MAX_URLS];
  size_t count = 0;
  for (char *url = strtok(urls, ","); url != NULL && count < MAX_URLS; url = strtok(NULL, ",")) list[count++] = url;

  redlock_error *err = NULL;
  redlock_factory *factory = NULL;
  redlock_options *options = options_of(arguments, &err);
  if (err == NULL) redlock_factory_new(list, count, options, &factory, &err);
  redlock_options_free(options);
  if (err != NULL) fprintf(stderr, "%s\n", redlock_error_message(err));
  redlock_error_free(err);
  return factory;
}

int main(int argc, char **argv) {
  char *urls = getenv("REDLOCK_TEST_URLS");
  redlock_factory *factory = argc > 0 && urls != NULL ? factory_of(urls, argv + 1) : NULL;
  if (factory == NULL) return 2;

  redlock_lock *lock = NULL;
  char line[512];
  while (fgets(line, sizeof line, stdin) != NULL) obey(factory, line, &lock);
  redlock_lock_free(lock);
  redlock_factory_free(factory);
  return 0;
}
