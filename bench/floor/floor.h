/* The parts of the floor: bare sockets to masters, and one function for what two processes do. */
#ifndef FLOOR_H
#define FLOOR_H

#include "../common/bench.h"

/* A digest of a script: 40 digits and a NUL. */
#define FLOOR_SHA 41

/* A command as it goes over the wire. */
struct floor_command {
  char text[1024];
  size_t length;
};

void floor_compose(struct floor_command *command, const char *const *words, size_t count);

/* Loads the script on one node and returns its digest. */
void floor_load_script(int fd, const char *script, char sha[FLOOR_SHA]);

/* One lock between two processes, taken and given as stdin says. */
void floor_handover(const struct bench_args *args);

#endif
