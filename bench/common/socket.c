/* A plain TCP connection to one master, for the programs that speak to it without a library. */
#define _GNU_SOURCE
#include "bench.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

int bench_dial(const char *url) {
  char host[256], port[8];
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
  if (!bench_url_split(url, host, sizeof host, port, sizeof port) || getaddrinfo(host, port, &hints, &found) != 0)
    bench_die(url);
  int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
  if (fd < 0 || connect(fd, found->ai_addr, found->ai_addrlen) != 0) bench_die(url);
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  freeaddrinfo(found);
  return fd;
}
