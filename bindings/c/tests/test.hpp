// What the tests of redlock.hpp share: checks that name their line, and the servers that `testkit run` started.
#ifndef REDLOCK_CPP_TEST_HPP
#define REDLOCK_CPP_TEST_HPP

#include <redlock.hpp>

#include <sys/types.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
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

void check_error(const redlock::error &failure, status wanted, const char *words, const char *expression,
                 const char *file, int line);

// The servers.
std::vector<std::string> urls();
pid_t pid_of_node(std::size_t i);

// What a server answers to a command: one line.
std::string ask_node(std::size_t i, const std::string &command);

// Takes a lock away behind the library's back.
void delete_on_nodes(const char *key);

// A factory over all servers, with patience for a busy machine.
redlock::factory patient_factory();

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
int run(const std::vector<named_test> &tests);

} // namespace test

// One entry of the list for run().
#define TEST(function)                                                                                                 \
  test::named_test { #function, function }

#endif
