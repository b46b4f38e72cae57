// What the tests of redlock.hpp share: checks that name their line, and the servers that `testkit run` started.
#ifndef REDLOCK_CPP_TEST_HPP
#define REDLOCK_CPP_TEST_HPP

#include <redlock.hpp>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <sstream>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

extern "C" {
#include "../../../tests/c/test.h"
}

// An expression that must throw a redlock::error of a status, with a message that contains `words`.
#define THROWS(expression, wanted, words)                                                                              \
  do {                                                                                                                 \
    bool thrown_ = false;                                                                                              \
    try {                                                                                                              \
      static_cast<void>(expression);                                                                                   \
    } catch (const redlock::error &failure) {                                                                          \
      thrown_ = true;                                                                                                  \
      test::check_error(failure, wanted, words, #expression, __FILE__, __LINE__);                                      \
    }                                                                                                                  \
    test_check(thrown_, "to throw: " #expression, __FILE__, __LINE__);                                                 \
  } while (0)

// A result that must be a failure of a status, with a message that contains `words`.
#define REFUSED(expression, wanted, words)                                                                             \
  do {                                                                                                                 \
    auto &&result_ = (expression);                                                                                     \
    test_check(!result_.has_value(), "to fail: " #expression, __FILE__, __LINE__);                                     \
    test::check_error(result_.error(), wanted, words, #expression, __FILE__, __LINE__);                                \
  } while (0)

namespace test {

using namespace std::chrono_literals;
using redlock::status;

// Longer than anything takes on a busy machine.
constexpr auto patience = 60s;
constexpr auto long_ttl = 60s;

inline void check_error(const redlock::error &failure, status wanted, const char *words, const char *expression,
                        const char *file, int line) {
  if (failure.status() == wanted && contains(failure.what(), words)) return;
  std::fprintf(stderr, "%s: %s\nwanted %s: ...%s...\n", redlock::name(failure.status()), failure.what(),
               redlock::name(wanted), words);
  test_check(false, expression, file, line);
}

inline std::vector<std::string> urls() {
  return {node_urls(), std::next(node_urls(), static_cast<long>(node_count()))};
}

// The process of a server.
inline pid_t pid_of_node(std::size_t i) {
  const char *pids = std::getenv("REDLOCK_TEST_PIDS");
  CHECK(pids != nullptr);
  std::stringstream list(pids);
  std::string pid;
  for (std::size_t at = 0; at <= i; at++) CHECK(static_cast<bool>(std::getline(list, pid, ',')));
  return std::stoi(pid);
}

// What a server answers to a command: one line.
inline std::string ask_node(std::size_t i, const std::string &command) {
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

// Takes a lock away behind the library's back.
inline void delete_on_nodes(const char *key) {
  auto none_is_left = [key] {
    for (std::size_t i = 0; i < node_count(); i++) ask_node(i, std::string("DEL ") + key);
    return nodes_holding(key) == 0;
  };
  WAIT_UNTIL(none_is_left());
}

// A factory over all servers, with patience for a busy machine.
inline redlock::factory patient_factory() { return {urls(), {{"node_timeout_ms", "20000"}}}; }

// The value of a future that must come.
template <typename T> T got(std::future<T> future) {
  CHECK(future.wait_for(patience) == std::future_status::ready);
  return future.get();
}

// Runs the tests in turn, and says which one it is when something escapes.
struct named_test {
  const char *name;
  void (*run)();
};

inline int run(const std::vector<named_test> &tests) {
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

// One entry of the list for run().
#define TEST(function)                                                                                                 \
  test::named_test { #function, function }

#endif
