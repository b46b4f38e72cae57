// The recursive mutex: only the outermost lock asks the nodes, and none after a loss.
#include "test.hpp"

#include <mutex>
#include <thread>

namespace {

using namespace test;

void is_locked_again_by_its_owner() {
  redlock::factory factory = patient_factory();
  redlock::recursive_mutex mutex(factory, "a");
  std::unique_lock<redlock::recursive_mutex> outer(mutex);
  const std::uint64_t fence = mutex.fence();
  {
    std::lock_guard<redlock::recursive_mutex> inner(mutex);
    CHECK(std::unique_lock<redlock::recursive_mutex>(mutex, std::try_to_lock).owns_lock());
    CHECK(std::unique_lock<redlock::recursive_mutex>(mutex, 1s).owns_lock());
    CHECK(std::unique_lock<redlock::recursive_mutex>(mutex, std::chrono::system_clock::now()).owns_lock());
    std::scoped_lock innermost(mutex);
    CHECK(mutex.fence() == fence);
  }
  CHECK(mutex.validity() > 0s && factory.is_locked("a"));
  outer.unlock();
  CHECK(!factory.is_locked("a"));
}

void excludes_other_threads() {
  redlock::factory factory = patient_factory();
  redlock::recursive_mutex mutex(factory, "a");
  std::unique_lock<redlock::recursive_mutex> outer(mutex);
  std::unique_lock<redlock::recursive_mutex> inner(mutex);
  std::thread([&] {
    CHECK(!mutex.try_lock());
    CHECK(!mutex.try_lock_for(10ms));
    THROWS(mutex.unlock(), status::released, "not locked by this thread");
  }).join();
  inner.unlock();
  std::thread([&] { CHECK(!mutex.try_lock()); }).join();
  outer.unlock();
  std::thread([&] {
    CHECK(mutex.try_lock_for(patience));
    mutex.unlock();
  }).join();
}

void is_not_locked_again_after_a_loss() {
  redlock::factory factory = patient_factory();
  redlock::recursive_mutex mutex(factory, "a", 200ms, redlock::mutex::holding::until_ttl);
  CHECK(mutex.try_lock_for(patience));
  WAIT_UNTIL(mutex.lost());
  THROWS(mutex.lock(), status::expired, "lost");
  THROWS(static_cast<void>(mutex.try_lock()), status::expired, "lost");
  THROWS(static_cast<void>(mutex.try_lock_for(1s)), status::expired, "lost");
  mutex.unlock();
  THROWS(mutex.unlock(), status::released, "not locked");
  CHECK(mutex.try_lock_for(patience));
  mutex.unlock();
}

} // namespace

int main() {
  return test::run(
      {TEST(is_locked_again_by_its_owner), TEST(excludes_other_threads), TEST(is_not_locked_again_after_a_loss)});
}
