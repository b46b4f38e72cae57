// Keeping alive, and the notice of a loss: flag, wait, callback, stop token and event.
#include "test.hpp"

#include <signal.h>

#include <atomic>
#include <thread>

namespace {

using namespace test;

void is_put_off() {
  redlock::factory factory = patient_factory();
  redlock::lock lock = factory.acquire("kept", 1s, patience);
  redlock::lock clock = factory.acquire("clock", 2s, patience);
  lock.keep_alive();
  WAIT_UNTIL(!clock.held());
  CHECK(lock.held() && !lock.lost());
  lock.release();
  CHECK(!lock.lost());
  CHECK(nodes_holding("kept") <= node_count() / 2);
}

void calls_back_in_time() {
  redlock::factory factory = patient_factory();
  std::promise<status> called;
  redlock::lock lock = factory.acquire("a", 3s, patience);
  lock.keep_alive([&](const redlock::error &reason) { called.set_value(reason.status()); });
  std::promise<void> called_too;
  lock.loss().on_loss([&](const redlock::error &) { called_too.set_value(); });
  delete_on_nodes("a");
  const status reason = got(called.get_future());
  CHECK(reason == status::expired || reason == status::no_quorum);
  got(called_too.get_future());
  CHECK(lock.lost() && lock.loss().stop_requested());
  CHECK(lock.loss().reason()->status() == reason);
  // Whoever comes later is told at once.
  bool told = false;
  lock.loss().on_loss([&](const redlock::error &) { told = true; });
  CHECK(told);
  CHECK(!lock.try_release().has_value());
}

void is_seen_through_tokens() {
  redlock::factory factory = patient_factory();
  redlock::lock lock = factory.acquire("a", 300ms, patience);
  redlock::loss_token token = lock.loss();
  redlock::loss_token copy = token;
  CHECK(token.wait_for(patience));
  CHECK(copy.lost());
  CHECK(!lock.held());
  redlock::lock held = factory.acquire("b", long_ttl);
  CHECK(!held.loss().wait_for(1ms));
  CHECK(!held.loss().wait_for(-1s));
  CHECK(!redlock::loss_token().lost() && !redlock::loss_token().wait_for(1ms));
}

void tokens_end_their_wait_at_the_release() {
  redlock::factory factory = patient_factory();
  redlock::lock lock = factory.acquire("a", long_ttl);
  std::promise<bool> lost;
  std::thread thread([&, token = lock.loss()] {
    about_to_sleep();
    lost.set_value(token.wait_for(redlock::forever));
  });
  wait_for_sleepers(1);
  lock.release();
  CHECK(!got(lost.get_future()));
  thread.join();
}

void is_not_told_after_the_release() {
  redlock::factory factory = patient_factory();
  std::atomic<int> calls{0};
  redlock::loss_token token;
  {
    redlock::lock lock = factory.acquire("a", 1s, patience);
    token = lock.loss();
    lock.keep_alive([&](const redlock::error &) { calls++; });
    token.on_loss([&](const redlock::error &) { calls++; });
  }
  redlock::lock clock = factory.acquire("clock", 2s, patience);
  WAIT_UNTIL(!clock.held());
  token.on_loss([&](const redlock::error &) { calls++; });
  CHECK(calls == 0 && !token.lost());
}

void callbacks_may_release_and_throw() {
  redlock::factory factory = patient_factory();
  std::promise<status> released;
  redlock::lock lock = factory.acquire("a", 3s, patience);
  lock.loss().on_loss([&](const redlock::error &) { released.set_value(lock.try_release().status()); });
  lock.keep_alive([](const redlock::error &) { throw 1; });
  delete_on_nodes("a");
  CHECK(got(released.get_future()) == status::expired);
  // The thread goes on.
  CHECK(got<redlock::lock>(factory.acquire_async("b", long_ttl)).held());
}

// SIGUSR1 would end the program in a thread that does not block it.
void callbacks_get_no_signals() {
  redlock::factory factory = patient_factory();
  std::promise<bool> blocked;
  redlock::lock lock = factory.acquire("a", 3s, patience);
  lock.keep_alive([&](const redlock::error &) {
    sigset_t mask;
    blocked.set_value(pthread_sigmask(SIG_SETMASK, nullptr, &mask) == 0 && sigismember(&mask, SIGUSR1) == 1);
  });
  sigset_t mask;
  CHECK(pthread_sigmask(SIG_SETMASK, nullptr, &mask) == 0 && sigismember(&mask, SIGUSR1) == 0);
  delete_on_nodes("a");
  CHECK(got(blocked.get_future()));
}

void comes_as_an_event() {
  redlock::factory factory = patient_factory();
  redlock::queue queue;
  redlock::lock lock = factory.acquire("a", 3s, patience);
  lock.keep_alive();
  lock.keep_alive(queue, 5);
  delete_on_nodes("a");
  std::vector<redlock::event> events = queue.next(1, patience);
  CHECK(events.size() == 1 && events[0].id == 5 && events[0].kind == redlock::event_kind::lost);
  CHECK(events[0].failure && !events[0].lock.held());
  redlock::queue moved = std::move(queue);
  redlock::lock other = factory.acquire("b", long_ttl);
  THROWS(other.keep_alive(queue, 6), status::invalid_argument, "moved"); // NOLINT(bugprone-use-after-move)
}

void is_refused_to_what_is_not_held() {
  redlock::factory factory = patient_factory();
  redlock::lock lock = factory.acquire("a", 200ms, patience);
  WAIT_UNTIL(nodes_holding("a") == 0);
  THROWS(lock.keep_alive(), status::expired, "a");
  static_cast<void>(lock.try_release());
  THROWS(lock.keep_alive(), status::released, "a");
  THROWS(redlock::lock().keep_alive(), status::invalid_argument, "never acquired");
}

#if defined(__cpp_lib_jthread)
void requests_a_stop() {
  redlock::factory factory = patient_factory();
  redlock::lock lock = factory.acquire("a", 3s, patience);
  std::stop_token stop = lock.loss().stop_token();
  lock.keep_alive();
  CHECK(!stop.stop_requested());
  std::promise<void> stopped;
  std::stop_callback callback(stop, [&] { stopped.set_value(); });
  delete_on_nodes("a");
  got(stopped.get_future());
}
#endif

} // namespace

int main() {
  return test::run({
    TEST(is_put_off), TEST(calls_back_in_time), TEST(is_seen_through_tokens),
        TEST(tokens_end_their_wait_at_the_release), TEST(is_not_told_after_the_release),
        TEST(callbacks_may_release_and_throw), TEST(callbacks_get_no_signals), TEST(comes_as_an_event),
#if defined(__cpp_lib_jthread)
        TEST(requests_a_stop),
#endif
        TEST(is_refused_to_what_is_not_held)
  });
}
