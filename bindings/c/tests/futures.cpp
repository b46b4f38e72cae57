// Futures: their values and errors, cancelling, dropping, and what closing a factory does to them.
#include "test.hpp"

#include <thread>

namespace {

using namespace test;

void bring_what_the_blocking_functions_return() {
  redlock::factory factory = patient_factory();
  redlock::lock lock = got<redlock::lock>(factory.acquire_async("a", long_ttl));
  CHECK(lock.held() && lock.resource() == "a");
  CHECK(got<bool>(factory.is_locked_async("a")));
  got<void>(lock.extend_async(100s));
  CHECK(lock.validity() > long_ttl);
  THROWS(got<redlock::lock>(factory.acquire_async("a", 1s, 0s)), status::contended, "a");
  got<void>(lock.release_async());
  CHECK(!lock.held());
  THROWS(got<void>(lock.release_async()), status::released, "a");
  CHECK(!got<bool>(factory.is_locked_async("a")));
}

void bring_results() {
  redlock::factory factory = patient_factory();
  redlock::lock lock = got<redlock::result<redlock::lock>>(factory.try_acquire_async("a", long_ttl)).value();
  REFUSED(got<redlock::result<redlock::lock>>(factory.try_acquire_async("a", 1s)), status::contended, "a");
  CHECK(got<redlock::result<bool>>(factory.try_is_locked_async("a")).value());
  CHECK(got<redlock::result<void>>(lock.try_extend_async(long_ttl)).has_value());
  CHECK(got<redlock::result<void>>(lock.try_release_async()).has_value());
  REFUSED(got<redlock::result<void>>(lock.try_release_async()), status::released, "a");
}

void wait_side_by_side() {
  constexpr int count = 2000;
  redlock::factory factory = patient_factory();
  std::vector<redlock::pending<redlock::lock>> pending;
  for (int i = 0; i < count; i++) pending.push_back(factory.acquire_async("many-" + std::to_string(i), long_ttl));
  std::vector<redlock::pending<void>> releases;
  for (redlock::pending<redlock::lock> &acquire : pending) {
    redlock::lock lock = got<redlock::lock>(std::move(acquire));
    CHECK(lock.held());
    releases.push_back(lock.release_async());
  }
  for (redlock::pending<void> &release : releases) got<void>(std::move(release));
}

void are_cancelled() {
  redlock::factory factory = patient_factory();
  redlock::lock lock = factory.acquire("a", long_ttl);
  redlock::pending<redlock::lock> waiting = factory.acquire_async("a", long_ttl);
  CHECK(waiting.wait_for(0s) == std::future_status::timeout);
  waiting.cancel();
  waiting.cancel();
  THROWS(got<redlock::lock>(std::move(waiting)), status::cancelled, "a");
  redlock::pending<redlock::lock> nothing;
  nothing.cancel();
  CHECK(!nothing.valid());
  lock.release();
  CHECK(factory.try_acquire("a", long_ttl).has_value());
}

void that_are_dropped_take_nothing() {
  redlock::factory factory = patient_factory();
  redlock::lock lock = factory.acquire("a", long_ttl);
  for (int i = 0; i < 20; i++) {
    redlock::pending<redlock::lock> dropped = factory.acquire_async("a", long_ttl);
    dropped = factory.acquire_async("free-" + std::to_string(i), long_ttl);
  }
  lock.release();
  WAIT_UNTIL(factory.try_acquire("a", long_ttl, patience).has_value());
  for (int i = 0; i < 20; i++) {
    CHECK(factory.try_acquire("free-" + std::to_string(i), long_ttl, patience).has_value());
  }
}

void of_the_standard_give_back_what_nobody_took() {
  redlock::factory factory = patient_factory();
  redlock::lock lock = factory.acquire("a", long_ttl);
  { std::future<redlock::lock> dropped = factory.acquire_async("a", long_ttl); }
  lock.release();
  CHECK(factory.try_acquire("a", long_ttl, patience).has_value());
}

void end_with_their_factory() {
  redlock::pending<redlock::lock> waiting;
  redlock::lock lock;
  {
    redlock::factory factory = patient_factory();
    lock = factory.acquire("a", long_ttl);
    waiting = factory.acquire_async("a", long_ttl);
  }
  THROWS(got<redlock::lock>(std::move(waiting)), status::closed, "");
  // The lock's futures do not need the factory.
  got<void>(lock.release_async());
}

void may_be_the_last_to_live() {
  redlock::pending<void> releasing;
  {
    redlock::factory factory = patient_factory();
    releasing = factory.acquire("a", long_ttl).release_async();
  }
  got<void>(std::move(releasing));
}

#if defined(__cpp_lib_jthread)
void end_when_a_stop_is_requested() {
  redlock::factory factory = patient_factory();
  redlock::lock lock = factory.acquire("a", long_ttl);
  std::promise<redlock::result<redlock::lock>> outcome;
  std::jthread thread([&](std::stop_token stop) {
    about_to_sleep();
    outcome.set_value(factory.try_acquire("a", long_ttl, redlock::forever, std::move(stop)));
  });
  wait_for_sleepers(1);
  thread.request_stop();
  REFUSED(got(outcome.get_future()), status::cancelled, "a");
  std::stop_source stopped;
  stopped.request_stop();
  THROWS(factory.acquire("a", 1s, redlock::forever, stopped.get_token()), status::cancelled, "a");
  CHECK(factory.acquire("b", long_ttl, 0s, std::stop_token()).held());
}
#endif

} // namespace

int main() {
  return test::run({
    TEST(bring_what_the_blocking_functions_return), TEST(bring_results), TEST(wait_side_by_side), TEST(are_cancelled),
        TEST(that_are_dropped_take_nothing), TEST(of_the_standard_give_back_what_nobody_took),
        TEST(end_with_their_factory),
#if defined(__cpp_lib_jthread)
        TEST(end_when_a_stop_is_requested),
#endif
        TEST(may_be_the_last_to_live)
  });
}
