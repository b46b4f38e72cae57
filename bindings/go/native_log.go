package redlock

// The library's log, by a pipe: so that none of its threads ever runs Go or waits for it.

/*
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
#include <redlock.h>

// A message is written at once, so that those of several threads do not mix; a pipe does that up to PIPE_BUF bytes.
enum { REDLOCK_GO_LOG_MAX = 4096 };

// Writes the level as a digit, the message and a line feed. A full pipe loses the message.
static void redlock_go_log(int32_t level, const char *message, void *descriptor) {
  char line[REDLOCK_GO_LOG_MAX];
  size_t length = strlen(message);
  int saved = errno;
  if (length > sizeof line - 2) length = sizeof line - 2;
  line[0] = (char)('0' + level);
  memcpy(line + 1, message, length);
  line[length + 1] = '\n';
  ssize_t written = write((int)(intptr_t)descriptor, line, length + 2);
  (void)written;
  errno = saved;
}

static redlock_status redlock_go_log_to(int descriptor, int32_t level) {
  return redlock_log_set(redlock_go_log, level, (void *)(intptr_t)descriptor, NULL);
}

static redlock_status redlock_go_log_off(void) {
  return redlock_log_set(NULL, REDLOCK_LOG_ERROR, NULL, NULL);
}
*/
import "C"

// logTo sends messages of the level and more important ones to a pipe, for ever.
func logTo(descriptor uintptr, level int32) {
	C.redlock_go_log_to(C.int(descriptor), C.int32_t(level))
}

func logOff() {
	C.redlock_go_log_off()
}

const (
	logError = C.REDLOCK_LOG_ERROR
	logWarn  = C.REDLOCK_LOG_WARN
	logInfo  = C.REDLOCK_LOG_INFO
	logDebug = C.REDLOCK_LOG_DEBUG
)
