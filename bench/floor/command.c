/* Commands as they go over the wire, and scripts. */
#define _GNU_SOURCE
#include "floor.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void add(struct floor_command *command, const char *word) {
  size_t room = sizeof command->text - command->length;
  int more = snprintf(command->text + command->length, room, "$%zu\r\n%s\r\n", strlen(word), word);
  if ((size_t)more >= room) bench_die("a command is too long");
  command->length += (size_t)more;
}

void floor_compose(struct floor_command *command, const char *const *words, size_t count) {
  command->length = (size_t)snprintf(command->text, sizeof command->text, "*%zu\r\n", count);
  for (size_t i = 0; i < count; i++) add(command, words[i]);
}

void floor_load_script(int fd, const char *script, char sha[FLOOR_SHA]) {
  struct floor_command command;
  char answer[128];
  floor_compose(&command, (const char *[]){"SCRIPT", "LOAD", script}, 3);
  if (write(fd, command.text, command.length) != (ssize_t)command.length) bench_die("SCRIPT LOAD");
  size_t got = 0;
  while (got < 47) { /* "$40\r\n" + 40 digits + "\r\n" */
    ssize_t n = read(fd, answer + got, sizeof answer - got);
    if (n <= 0) bench_die("SCRIPT LOAD");
    got += (size_t)n;
  }
  memcpy(sha, answer + 5, FLOOR_SHA - 1);
  sha[FLOOR_SHA - 1] = '\0';
}
