// Options: the table that documents them, and what is said about a wrong one.

#include <string.h>

#include "test.h"

static redlock_options *new_options(void) {
  redlock_options *options = NULL;
  OK(redlock_options_new(&options, &err));
  CHECK(options != NULL);
  return options;
}

static void the_table_is_whole(void) {
  redlock_options *options = new_options();
  size_t n = redlock_option_count();
  CHECK(n > 0);
  for (size_t i = 0; i < n; i++) {
    CHECK(strlen(redlock_option_name(i)) > 0);
    CHECK(strlen(redlock_option_description(i)) > 0);
    // What the table calls the default is a value that can be set.
    OK(redlock_options_set(options, redlock_option_name(i), redlock_option_default(i), &err));
  }
  CHECK(redlock_option_name(n) == NULL);
  CHECK(redlock_option_default(n) == NULL);
  CHECK(redlock_option_description(SIZE_MAX) == NULL);
  redlock_options_free(options);
}

static void a_wrong_option_is_told_what_is_right(void) {
  redlock_options *options = new_options();
  const redlock_status invalid = REDLOCK_ERR_INVALID_ARGUMENT;
  FAILS(redlock_options_set(options, "frobnicate", "1", &err), invalid, "frobnicate");
  // It says what there is.
  for (size_t i = 0; i < redlock_option_count(); i++)
    FAILS(redlock_options_set(options, "frobnicate", "1", &err), invalid, redlock_option_name(i));
  FAILS(redlock_options_set(options, "", "1", &err), invalid, "node_timeout_ms");
  FAILS(redlock_options_set(options, "NODE_TIMEOUT_MS", "1", &err), invalid, "node_timeout_ms");
  FAILS(redlock_options_set(options, "node_timeout_ms", "soon", &err), invalid, "node_timeout_ms");
  FAILS(redlock_options_set(options, "node_timeout_ms", "", &err), invalid, "node_timeout_ms");
  FAILS(redlock_options_set(options, "node_timeout_ms", "-1", &err), invalid, "node_timeout_ms");
  FAILS(redlock_options_set(options, "node_timeout_ms", "99999999999999999999", &err), invalid, "node_timeout_ms");
  FAILS(redlock_options_set(options, "node_timeout_ms", "\xff", &err), invalid, "value is not valid UTF-8");
  FAILS(redlock_options_set(options, "\xc3", "1", &err), invalid, "name is not valid UTF-8");
  redlock_options_free(options);
}

// A factory takes a copy: what happens to the options afterwards does not matter to it.
static void options_serve_factories(void) {
  redlock_options *options = new_options();
  redlock_factory *factory = NULL;
  OK(redlock_options_set(options, "key_prefix", "prefix:", &err));
  OK(redlock_factory_new(node_urls(), node_count(), options, &factory, &err));
  OK(redlock_options_set(options, "key_prefix", "other:", &err));
  redlock_options_free(options);
  redlock_lock *lock = lock_now(factory, "resource", 60000);
  WAIT_UNTIL(nodes_holding("prefix:resource") == node_count());
  CHECK(nodes_holding("resource") == 0 && nodes_holding("other:resource") == 0);
  CHECK(strcmp(redlock_lock_resource(lock), "resource") == 0);
  OK(redlock_release(lock, &err));
  redlock_lock_free(lock);
  redlock_factory_free(factory);
}

int main(void) {
  the_table_is_whole();
  a_wrong_option_is_told_what_is_right();
  options_serve_factories();
  return 0;
}
