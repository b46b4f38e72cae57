// Many threads at the same objects, also while these are closed.
#include "test.hpp"

#include <atomic>
#include <thread>

namespace {

using namespace test;

constexpr int thread_count = 8;

template <typename Body> void in_threads(Body body) {
  std::vector<std::thread> threads;
  for (int i = 0; i < thread_count; i++) threads.emplace_back(body, i);
  for (std::thread &thread : threads) thread.join();
}

void share_a_factory() {
  redlock::factory factory = patient_factory();
  in_threads([&](int i) {
    const std::string name = "own-" + std::to_string(i);
    for (int turn = 0; turn < 20; turn++) {
      redlock::lock lock = factory.acquire(name, long_ttl, patience);
      CHECK(lock.held());
      CHECK(got<bool>(factory.is_locked_async(name)));
      lock.keep_alive([](const redlock::error &) {});
      if (turn % 2 == 0) got<void>(lock.release_async());
    }
  });
}

void share_a_lock() {
  redlock::factory factory = patient_factory();
  redlock::lock lock = factory.acquire("shared", long_ttl);
  std::atomic<int> ready{0};
  std::atomic<int> released{0};
  in_threads([&](int) {
    redlock::loss_token token = lock.loss();
    for (int turn = 0; turn < 20; turn++) {
      lock.keep_alive([](const redlock::error &) {});
      lock.extend(long_ttl);
      CHECK(lock.held() && !token.lost() && lock.resource() == "shared");
    }
    ready++;
    while (ready < thread_count) std::this_thread::yield();
    if (lock.try_release().has_value()) released++;
  });
  // Exactly one of them released it.
  CHECK(released == 1);
}

void share_a_queue() {
  constexpr int turns = 50;
  redlock::factory factory = patient_factory();
  redlock::queue queue;
  std::atomic<int> taken{0};
  std::atomic<int> held{0};
  in_threads([&](int i) {
    for (int turn = 0; turn < turns; turn++) {
      const auto id = static_cast<std::uint64_t>(i * turns + turn);
      factory.submit_acquire("queue-" + std::to_string(id), long_ttl, patience, queue, id);
    }
    while (taken < thread_count * turns) {
      for (redlock::event &event : queue.next(8, 10ms)) {
        taken++;
        held += event.lock.held() ? 1 : 0;
      }
    }
  });
  CHECK(taken == thread_count * turns && held == taken);
}

void meet_a_factory_that_is_closed() {
  redlock::factory factory = patient_factory();
  redlock::lock lock = factory.acquire("busy", long_ttl);
  std::atomic<int> waiting{0};
  std::thread closer([&] {
    while (waiting < thread_count) std::this_thread::yield();
    factory.close();
  });
  in_threads([&](int i) {
    redlock::pending<redlock::lock> pending = factory.acquire_async("busy", long_ttl);
    waiting++;
    redlock::result<redlock::lock> outcome = factory.try_acquire("busy", long_ttl, redlock::forever);
    CHECK(outcome.status() == status::closed || outcome.status() == status::invalid_argument);
    if (i % 2 == 0) return;
    THROWS(got<redlock::lock>(std::move(pending)), status::closed, "");
  });
  closer.join();
  lock.release();
}

} // namespace

int main() {
  return test::run(
      {TEST(share_a_factory), TEST(share_a_lock), TEST(share_a_queue), TEST(meet_a_factory_that_is_closed)});
}
