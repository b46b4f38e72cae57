/* Says which version of the library runs; fails if it is another than the header's. */
#include <redlock.h>
#include <stdio.h>
#include <string.h>

int main(void) {
  printf("libredlock %s\n", redlock_version());
  return strcmp(redlock_version(), REDLOCK_VERSION) != 0;
}
