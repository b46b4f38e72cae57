// Codes have names and messages, and the versions of header and library agree.

#include <stdio.h>
#include <string.h>

#include "test.h"

#define NAMED(code) CHECK(strcmp(redlock_status_name(code), #code) == 0)

static void every_code_has_its_name(void) {
  NAMED(REDLOCK_OK);
  NAMED(REDLOCK_ERR_CONTENDED);
  NAMED(REDLOCK_ERR_NO_QUORUM);
  NAMED(REDLOCK_ERR_EXPIRED);
  NAMED(REDLOCK_ERR_CANCELLED);
  NAMED(REDLOCK_ERR_RELEASED);
  NAMED(REDLOCK_ERR_INVALID_ARGUMENT);
  NAMED(REDLOCK_ERR_FORKED);
  NAMED(REDLOCK_ERR_CLOSED);
  NAMED(REDLOCK_ERR_SYSTEM);
  NAMED(REDLOCK_ERR_INTERNAL);
  NAMED(REDLOCK_ERR_TIMEOUT);
  NAMED(REDLOCK_ERR_UNREACHABLE);
  NAMED(REDLOCK_ERR_SERVER);
  NAMED(REDLOCK_ERR_NOT_ADMITTED);
  NAMED(REDLOCK_ERR_UNANSWERED);
}

// Each code's message is its own; numbers that are no code have strings all the same.
static void every_number_has_strings(void) {
  for (redlock_status a = -100; a < 100; a++) {
    bool known = strcmp(redlock_status_name(a), "REDLOCK_ERR_UNKNOWN") != 0;
    CHECK(strlen(redlock_status_message(a)) > 0);
    CHECK(known == (strcmp(redlock_status_message(a), "unknown status") != 0));
    for (redlock_status b = -100; known && b < a; b++)
      CHECK(strcmp(redlock_status_message(a), redlock_status_message(b)) != 0);
  }
  CHECK(redlock_status_name(INT32_MIN) == redlock_status_name(INT32_MAX));
}

static void versions_agree(void) {
  char text[64];
  snprintf(text, sizeof text, "%d.%d.%d", REDLOCK_VERSION_MAJOR, REDLOCK_VERSION_MINOR, REDLOCK_VERSION_PATCH);
  CHECK(strcmp(redlock_version(), REDLOCK_VERSION) == 0);
  CHECK(strcmp(redlock_version(), text) == 0);
  CHECK(redlock_version_number() == REDLOCK_VERSION_NUMBER);
  CHECK(REDLOCK_VERSION_NUMBER == REDLOCK_VERSION_MAJOR * 10000 + REDLOCK_VERSION_MINOR * 100 + REDLOCK_VERSION_PATCH);
}

int main(void) {
  every_code_has_its_name();
  every_number_has_strings();
  versions_agree();
  return 0;
}
