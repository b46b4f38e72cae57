/* The command line of the C benchmark programs. */
#include "bench.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Noreturn void bench_die(const char *what) {
  fprintf(stderr, "%s: %s\n", what, strerror(errno));
  exit(1);
}

static _Noreturn void usage(const char *program, const char *complaint) {
  fprintf(stderr,
          "%s: %s\nusage: %s --urls redis://HOST:PORT,... --scenario NAME [--callers N] [--seconds S]\n"
          "       [--inflight N] [--pairs N] [--settle-ms MS] [--resource-prefix X] [--handshake] [--keep-alive]\n"
          "       [--option NAME=VALUE]...\n",
          program, complaint, program);
  exit(2);
}

/* Cuts the list at its commas, in place. */
static void split_urls(struct bench_args *args, char *list, const char *program) {
  for (char *url = strtok(list, ","); url != NULL; url = strtok(NULL, ",")) {
    if (args->node_count == BENCH_MAX_NODES) usage(program, "too many urls");
    args->urls[args->node_count++] = url;
  }
}

static long positive(const char *program, const char *text) {
  char *end;
  long value = strtol(text, &end, 10);
  if (*end != '\0' || value < 0) usage(program, "not a number");
  return value;
}

static void set(struct bench_args *args, const char *program, const char *name, char *value) {
  if (strcmp(name, "--urls") == 0) split_urls(args, value, program);
  else if (strcmp(name, "--scenario") == 0) args->scenario = value;
  else if (strcmp(name, "--resource-prefix") == 0) args->prefix = value;
  else if (strcmp(name, "--option") == 0 && args->option_count < BENCH_MAX_OPTIONS)
    args->options[args->option_count++] = value;
  else if (strcmp(name, "--callers") == 0) args->callers = positive(program, value);
  else if (strcmp(name, "--inflight") == 0) args->inflight = positive(program, value);
  else if (strcmp(name, "--pairs") == 0) args->pairs = positive(program, value);
  else if (strcmp(name, "--settle-ms") == 0) args->settle_ms = positive(program, value);
  else if (strcmp(name, "--seconds") == 0) args->seconds = atof(value);
  else usage(program, name);
}

void bench_args_parse(struct bench_args *args, int argc, char **argv) {
  *args = (struct bench_args){.scenario = "pair",
                              .prefix = "bench",
                              .callers = 1,
                              .inflight = 10000,
                              .pairs = 1000000,
                              .settle_ms = 200,
                              .seconds = 2.0};
  for (int i = 1; i < argc; i++) {
    if (strcmp(argv[i], "--handshake") == 0) {
      args->handshake = true;
      continue;
    }
    if (strcmp(argv[i], "--keep-alive") == 0) {
      args->keep_alive = true;
      continue;
    }
    if (i + 1 == argc) usage(argv[0], "an option lacks its value");
    set(args, argv[0], argv[i], argv[i + 1]);
    i++;
  }
  if (args->node_count == 0) usage(argv[0], "--urls is missing");
  if (args->callers < 1 || args->seconds <= 0) usage(argv[0], "--callers and --seconds must be positive");
}

bool bench_url_split(const char *url, char *host, size_t host_size, char *port, size_t port_size) {
  static const char scheme[] = "redis://";
  if (strncmp(url, scheme, sizeof scheme - 1) != 0) return false;
  const char *begin = url + sizeof scheme - 1;
  const char *colon = strrchr(begin, ':');
  if (colon == NULL || (size_t)(colon - begin) >= host_size) return false;
  memcpy(host, begin, (size_t)(colon - begin));
  host[colon - begin] = '\0';
  size_t digits = strspn(colon + 1, "0123456789");
  if (digits == 0 || digits >= port_size) return false;
  memcpy(port, colon + 1, digits);
  port[digits] = '\0';
  return true;
}
