/* Another owner's locks, written to the nodes without the library so that they cost this process no memory. */
#define _GNU_SOURCE
#include "ours.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Reads until `lines` lines have come; ends the program when the node refuses. */
static void read_lines(int fd, size_t lines) {
  char buffer[4096];
  while (lines > 0) {
    ssize_t n = read(fd, buffer, sizeof buffer);
    if (n <= 0) bench_die("a node hung up");
    for (ssize_t i = 0; i < n; i++) lines -= buffer[i] == '\n';
    if (memchr(buffer, '-', (size_t)n) != NULL) {
      fprintf(stderr, "a node refused: %.*s\n", (int)n, buffer);
      exit(1);
    }
  }
}

/* One inline command per held resource, one after the other: slow enough not to fill a buffer, quick enough for 10,000.
 */
static void for_each(const struct bench_args *args, size_t count, const char *format) {
  char command[256];
  for (size_t node = 0; node < args->node_count; node++) {
    int fd = bench_dial(args->urls[node]);
    for (size_t i = 0; i < count; i++) {
      int length = snprintf(command, sizeof command, format, args->prefix, i);
      if (send(fd, command, (size_t)length, MSG_NOSIGNAL) != length) bench_die("send");
      read_lines(fd, 1);
    }
    close(fd);
  }
}

void ours_hold(const struct bench_args *args, size_t count) {
  for_each(args, count, "SET %s:held:%zu another-owner PX 600000\r\n");
}

void ours_unhold(const struct bench_args *args, size_t count) { for_each(args, count, "DEL %s:held:%zu\r\n"); }
