// Prints the parts of the ABI that a compiler decides: sizes, offsets and the values of the constants.

#include <stdio.h>

#include "redlock.h"

#define SIZE(type) printf("size %s %zu\n", #type, sizeof(type))
#define OFFSET(member) printf("offset redlock_event.%s %zu\n", #member, offsetof(redlock_event, member))
#define CONSTANT(name) printf("constant %s %d\n", #name, (int)(name))

static void statuses(void) {
  CONSTANT(REDLOCK_OK);
  CONSTANT(REDLOCK_ERR_CONTENDED);
  CONSTANT(REDLOCK_ERR_NO_QUORUM);
  CONSTANT(REDLOCK_ERR_EXPIRED);
  CONSTANT(REDLOCK_ERR_CANCELLED);
  CONSTANT(REDLOCK_ERR_RELEASED);
  CONSTANT(REDLOCK_ERR_INVALID_ARGUMENT);
  CONSTANT(REDLOCK_ERR_FORKED);
  CONSTANT(REDLOCK_ERR_CLOSED);
  CONSTANT(REDLOCK_ERR_SYSTEM);
  CONSTANT(REDLOCK_ERR_INTERNAL);
  CONSTANT(REDLOCK_ERR_TIMEOUT);
  CONSTANT(REDLOCK_ERR_UNREACHABLE);
  CONSTANT(REDLOCK_ERR_SERVER);
  CONSTANT(REDLOCK_ERR_NOT_ADMITTED);
  CONSTANT(REDLOCK_ERR_UNANSWERED);
}

static void events(void) {
  CONSTANT(REDLOCK_EVENT_ACQUIRE);
  CONSTANT(REDLOCK_EVENT_RELEASE);
  CONSTANT(REDLOCK_EVENT_EXTEND);
  CONSTANT(REDLOCK_EVENT_IS_LOCKED);
  CONSTANT(REDLOCK_EVENT_LOST);
  CONSTANT(REDLOCK_EVENT_CREDENTIALS);
  OFFSET(id);
  OFFSET(status);
  OFFSET(kind);
  OFFSET(lock);
  OFFSET(error);
  OFFSET(validity_ms);
  OFFSET(value);
  OFFSET(fence);
  OFFSET(reserved);
}

int main(void) {
  SIZE(redlock_status);
  SIZE(redlock_event);
  statuses();
  events();
  CONSTANT(REDLOCK_LOG_ERROR);
  CONSTANT(REDLOCK_LOG_WARN);
  CONSTANT(REDLOCK_LOG_INFO);
  CONSTANT(REDLOCK_LOG_DEBUG);
  return 0;
}
