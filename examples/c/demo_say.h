/* What the demo says to the person who watches it: steps, what was seen, and what that proves. Coloured on a
 * terminal. */
#ifndef DEMO_SAY_H
#define DEMO_SAY_H

/* Begins a step, with its number. */
void say_step(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A detail of the step. */
void say_detail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Each line of `text` as a detail. */
void say_lines(const char *text);

/* The step has happened as it should, and this was checked. */
void say_proven(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* It did not happen: says why, and ends the process with exit code 1. */
void say_failed(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

#endif
