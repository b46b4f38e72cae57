/* A C program that uses an installed libredlock: takes and gives back a lock on REDLOCK_TEST_URLS. */
#include <redlock.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_URLS = 16 };

static void require(int holds, const char *what, redlock_error *error) {
  if (holds) {
    return;
  }
  fprintf(stderr, "%s: not so; %s\n", what, error == NULL ? "there was no error" : redlock_error_message(error));
  exit(1);
}

static size_t split(char *list, const char **urls) {
  size_t count = 0;
  for (char *url = strtok(list, ","); url != NULL && count < MAX_URLS; url = strtok(NULL, ",")) {
    urls[count++] = url;
  }
  return count;
}

int main(void) {
  char *list = getenv("REDLOCK_TEST_URLS");
  const char *urls[MAX_URLS];
  redlock_error *error = NULL;
  redlock_factory *factory = NULL;
  redlock_lock *lock = NULL;
  redlock_lock *second = NULL;

  require(list != NULL, "REDLOCK_TEST_URLS is set", NULL);
  require(strcmp(redlock_version(), REDLOCK_VERSION) == 0, "library and header are of one version", NULL);

  redlock_status status = redlock_factory_new(urls, split(list, urls), NULL, &factory, &error);
  require(status == REDLOCK_OK, "a factory is made", error);
  status = redlock_acquire(factory, "install-c", 10000, 0, &lock, &error);
  require(status == REDLOCK_OK, "the lock is taken", error);

  status = redlock_acquire(factory, "install-c", 10000, 0, &second, &error);
  require(status == REDLOCK_ERR_CONTENDED, "a held lock is not taken again", error);
  redlock_error_free(error);
  error = NULL;

  require(redlock_release(lock, &error) == REDLOCK_OK, "the lock is given back", error);
  redlock_lock_free(lock);
  redlock_factory_free(factory);
  printf("C, libredlock %s: took and gave back a lock\n", redlock_version());
  return 0;
}
