// What the tests of redlock.hpp share; test.hpp says what for.
#include "test.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <exception>
#include <iterator>
#include <sstream>

namespace test {

void check_error(const redlock::error &failure, status wanted, const char *words, const char *expression,
                 const char *file, int line) {
  if (failure.status() == wanted && contains(failure.what(), words)) return;
  std::fprintf(stderr, "%s: %s\nwanted %s: ...%s...\n", redlock::name(failure.status()), failure.what(),
               redlock::name(wanted), words);
  test_check(false, expression, file, line);
}

std::vector<std::string> urls() { return {node_urls(), std::next(node_urls(), static_cast<long>(node_count()))}; }

pid_t pid_of_node(std::size_t i) {
  const char *pids = std::getenv("REDLOCK_TEST_PIDS");
  CHECK(pids != nullptr);
  std::stringstream list(pids);
  std::string pid;
  for (std::size_t at = 0; at <= i; at++) CHECK(static_cast<bool>(std::getline(list, pid, ',')));
  return std::stoi(pid);
}

std::string ask_node(std::size_t i, const std::string &command) {
  const std::string url = urls()[i];
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(std::stoi(url.substr(url.rfind(':') + 1))));
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  CHECK(fd >= 0 && connect(fd, reinterpret_cast<sockaddr *>(&address), sizeof address) == 0);
  const std::string line = command + "\r\n";
  CHECK(write(fd, line.data(), line.size()) == static_cast<ssize_t>(line.size()));
  std::string answer;
  for (char c = 0; read(fd, &c, 1) == 1 && c != '\n';) answer += c;
  close(fd);
  return answer.substr(0, answer.find('\r'));
}

void delete_on_nodes(const char *key) {
  auto none_is_left = [key] {
    for (std::size_t i = 0; i < node_count(); i++) ask_node(i, std::string("DEL ") + key);
    return nodes_holding(key) == 0;
  };
  WAIT_UNTIL(none_is_left());
}

redlock::factory patient_factory() { return {urls(), {{"node_timeout_ms", "20000"}}}; }

int run(const std::vector<named_test> &tests) {
  for (const named_test &each : tests) {
    std::printf("%s\n", each.name);
    std::fflush(stdout);
#if defined(__cpp_exceptions)
    try {
      each.run();
    } catch (const std::exception &escaped) {
      std::fprintf(stderr, "%s: %s\n", each.name, escaped.what());
      return 1;
    }
#else
    each.run();
#endif
  }
  return 0;
}

} // namespace test
