/* Measures libredlock through its C ABI, as a C program would use it. */
#include "ours.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void ours_check(redlock_status status, redlock_error *error, const char *what) {
  if (status == REDLOCK_OK) return;
  fprintf(stderr, "%s: %s: %s\n", what, redlock_status_name(status), error ? redlock_error_message(error) : "");
  exit(1);
}

void ours_failed(redlock_error *error) {
  static atomic_flag said = ATOMIC_FLAG_INIT;
  if (error != NULL && !atomic_flag_test_and_set(&said)) {
    fprintf(stderr, "first failure: %s: %s\n", redlock_status_name(redlock_error_code(error)),
            redlock_error_message(error));
    for (size_t i = 0; i < redlock_error_node_count(error); i++)
      fprintf(stderr, "  %s: %s: %s\n", redlock_error_node_address(error, i),
              redlock_status_name(redlock_error_node_status(error, i)), redlock_error_node_message(error, i));
  }
  redlock_error_free(error);
}

static void set_option(redlock_options *options, const char *assignment) {
  char name[64];
  redlock_error *error = NULL;
  const char *equals = strchr(assignment, '=');
  if (equals == NULL) bench_die("--option takes NAME=VALUE");
  snprintf(name, sizeof name, "%.*s", (int)(equals - assignment), assignment);
  ours_check(redlock_options_set(options, name, equals + 1, &error), error, "redlock_options_set");
}

redlock_factory *ours_connect(const struct bench_args *args) {
  redlock_factory *factory = NULL;
  redlock_options *options = NULL;
  redlock_error *error = NULL;
  ours_check(redlock_options_new(&options, &error), error, "redlock_options_new");
  for (size_t i = 0; i < args->option_count; i++) set_option(options, args->options[i]);
  ours_check(redlock_factory_new(args->urls, args->node_count, options, &factory, &error), error,
             "redlock_factory_new");
  redlock_options_free(options);
  return factory;
}

int main(int argc, char **argv) {
  struct bench_args args;
  bench_args_parse(&args, argc, argv);
  if (strcmp(args.scenario, "pair") == 0) ours_pair(&args);
  else if (strcmp(args.scenario, "alternate") == 0) ours_alternate(&args);
  else if (strcmp(args.scenario, "async") == 0) ours_async(&args);
  else if (strcmp(args.scenario, "memory") == 0) ours_memory(&args);
  else if (strcmp(args.scenario, "turns") == 0) ours_turns(&args);
  else if (strcmp(args.scenario, "handover") == 0) ours_handover(&args);
  else if (strcmp(args.scenario, "first") == 0) ours_first(&args);
  else if (strcmp(args.scenario, "kept") == 0) ours_kept(&args);
  else {
    fprintf(stderr, "scenarios: pair, alternate, async, memory, turns, handover, first, kept; not %s\n", args.scenario);
    return 2;
  }
  return 0;
}
