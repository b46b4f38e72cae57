/* Prints the demo's story. Every line is flushed, because several processes tell it. */
#include "demo_say.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BOLD "1"
#define DIM "2"
#define GREEN "32"
#define RED "31"

static int coloured(void) { return isatty(STDOUT_FILENO) && getenv("NO_COLOR") == NULL; }

/* One line: a coloured prefix and a text, the text coloured too if `whole`. */
static void line(const char *colour, const char *prefix, int whole, const char *format, va_list arguments) {
  const int in_colour = coloured();
  if (in_colour) printf("\033[%sm", colour);
  fputs(prefix, stdout);
  if (in_colour && !whole) fputs("\033[0m", stdout);
  vprintf(format, arguments);
  puts(in_colour && whole ? "\033[0m" : "");
  fflush(stdout);
}

void say_step(const char *format, ...) {
  static int number = 0;
  char prefix[16];
  va_list arguments;
  snprintf(prefix, sizeof prefix, "\n%d. ", ++number);
  va_start(arguments, format);
  line(BOLD, prefix, 1, format, arguments);
  va_end(arguments);
}

void say_detail(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  line(DIM, "   ", 1, format, arguments);
  va_end(arguments);
}

void say_lines(const char *text) {
  while (*text != '\0') {
    const int length = (int)strcspn(text, "\n");
    say_detail("%.*s", length, text);
    text += length + (text[length] == '\n');
  }
}

void say_proven(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  line(GREEN, "   ok: ", 0, format, arguments);
  va_end(arguments);
}

void say_failed(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  line(RED, "   FAILED: ", 0, format, arguments);
  va_end(arguments);
  exit(EXIT_FAILURE);
}
