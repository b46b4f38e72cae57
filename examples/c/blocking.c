/* The shortest useful program: takes a lock, says for how long it is proven held, and gives it back. */
#include <redlock.h>
#include <stdio.h>

int main(int argc, char **argv) { /* blocking [URL...]; without any: redis://127.0.0.1:6379/0 */
  redlock_factory *factory = NULL;
  redlock_lock *lock = NULL;
  redlock_error *err = NULL;
  if (redlock_factory_new((const char *const *)argv + 1, argc - 1, NULL, &factory, &err) == REDLOCK_OK &&
      redlock_acquire(factory, "invoice:17", 10000, 2000, &lock, &err) == REDLOCK_OK) {
    printf("invoice:17 is ours for %d s\n", (int)redlock_lock_validity_ms(lock) / 1000);
    redlock_release(lock, &err);
  }
  puts(err == NULL ? "released" : redlock_error_message(err));
  redlock_status status = redlock_error_code(err);
  redlock_error_free(err);
  redlock_lock_free(lock);
  redlock_factory_free(factory);
  return status;
}
