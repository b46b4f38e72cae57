// The log: what it tells, and that a function which throws does no harm.
#include "test.hpp"

#include <mutex>

namespace {

using namespace test;

void tells_of_a_node_that_is_gone() {
  std::mutex mutex;
  std::string told;
  redlock::set_log(redlock::log_level::debug, [&](redlock::log_level level, const char *message) {
    CHECK(level >= redlock::log_level::error && level <= redlock::log_level::debug);
    std::lock_guard<std::mutex> guard(mutex);
    told += message;
    throw 1;
  });
  redlock::factory factory({"redis://127.0.0.1:1"});
  CHECK(!factory.try_acquire("a", 1s).has_value());
  auto is_told = [&] {
    std::lock_guard<std::mutex> guard(mutex);
    return told.find("127.0.0.1:1") != std::string::npos;
  };
  WAIT_UNTIL(is_told());
  factory.close();
  redlock::set_log(redlock::log_level::info, nullptr);
}

void refuses_what_is_no_level() {
  REFUSED(redlock::try_set_log(static_cast<redlock::log_level>(9), nullptr), status::invalid_argument, "9");
}

// What the function refers to lives as long as the program: a message may come at any time.
std::mutex log_mutex;
int messages = 0;

void is_set_anew() {
  redlock::set_log(redlock::log_level::debug, [](redlock::log_level, const char *) {
    std::lock_guard<std::mutex> guard(log_mutex);
    messages++;
  });
  redlock::factory factory({"redis://127.0.0.1:1"});
  CHECK(!factory.try_acquire("a", 1s).has_value());
  auto some_came = [] {
    std::lock_guard<std::mutex> guard(log_mutex);
    return messages > 0;
  };
  WAIT_UNTIL(some_came());
  redlock::set_log(redlock::log_level::error, nullptr);
}

} // namespace

int main() {
  return test::run({TEST(refuses_what_is_no_level), TEST(is_set_anew), TEST(tells_of_a_node_that_is_gone)});
}
