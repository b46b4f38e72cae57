// Forks: the child makes connections and threads of its own, and leaves the parent's locks alone.
#include "test.hpp"

#include <sys/wait.h>

namespace {

using namespace test;

// Runs a function in a child, which must end well.
template <typename Body> void in_a_child(Body body) {
  std::fflush(nullptr);
  const pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    try {
      body();
    } catch (const std::exception &failure) {
      std::fprintf(stderr, "in the child: %s\n", failure.what());
      _exit(1);
    }
    _exit(0);
  }
  int ended = 0;
  CHECK(waitpid(child, &ended, 0) == child);
  CHECK(WIFEXITED(ended) && WEXITSTATUS(ended) == 0);
}

void leave_the_locks_to_the_parent() {
  redlock::factory factory = patient_factory();
  redlock::lock lock = factory.acquire("a", long_ttl);
  redlock::lock kept = factory.acquire("b", long_ttl);
  kept.keep_alive([](const redlock::error &) {});
  in_a_child([&] {
    CHECK(!lock.held());
    THROWS(lock.extend(1s), status::forked, "a");
    { redlock::lock dropped = std::move(lock); }
    THROWS(kept.release(), status::forked, "b");
  });
  CHECK(lock.held() && kept.held());
  CHECK(nodes_holding("a") > node_count() / 2);
  lock.release();
  kept.release();
}

void serve_the_child_with_futures_of_its_own() {
  redlock::factory factory = patient_factory();
  CHECK(got<redlock::lock>(factory.acquire_async("a", long_ttl)).held());
  in_a_child([&] {
    CHECK(got<redlock::lock>(factory.acquire_async("child", long_ttl)).held());
    redlock::mutex mutex(factory, "child");
    mutex.lock();
    CHECK(!mutex.lost());
    mutex.unlock();
    factory.close();
  });
  CHECK(got<redlock::lock>(factory.acquire_async("a", long_ttl)).held());
}

void release_the_mutex_in_the_parent_only() {
  redlock::factory factory = patient_factory();
  redlock::mutex mutex(factory, "a");
  mutex.lock();
  in_a_child([&] {
    mutex.unlock();
    CHECK(!mutex.try_lock());
  });
  CHECK(mutex.validity() > 0s);
  mutex.unlock();
}

} // namespace

int main() {
  return test::run({TEST(leave_the_locks_to_the_parent), TEST(serve_the_child_with_futures_of_its_own),
                    TEST(release_the_mutex_in_the_parent_only)});
}
