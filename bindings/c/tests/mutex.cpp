// The mutex: with each of the standard's guards, among threads and among objects, and when it is lost.
#include "test.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <memory>
#include <mutex>
#include <thread>

namespace {

using namespace test;

static_assert(!std::is_copy_constructible_v<redlock::mutex> && !std::is_move_constructible_v<redlock::mutex>);

void serves_lock_guard() {
  redlock::factory factory = patient_factory();
  redlock::mutex mutex(factory, "a");
  {
    std::lock_guard<redlock::mutex> guard(mutex);
    CHECK(mutex.validity() > 0s && mutex.fence() > 0 && !mutex.lost());
    CHECK(factory.is_locked("a"));
  }
  CHECK(mutex.validity() == 0s && mutex.fence() == 0 && !mutex.lost());
  CHECK(!factory.is_locked("a"));
}

void serves_unique_lock() {
  redlock::factory factory = patient_factory();
  redlock::mutex mutex(factory, "a", 20s);
  redlock::mutex other(factory, "a", 20s);
  std::unique_lock<redlock::mutex> guard(mutex);
  CHECK(guard.owns_lock());
  CHECK(!std::unique_lock<redlock::mutex>(other, std::try_to_lock).owns_lock());
  CHECK(!std::unique_lock<redlock::mutex>(other, 10ms).owns_lock());
  CHECK(!std::unique_lock<redlock::mutex>(other, std::chrono::system_clock::now() + 10ms).owns_lock());
  CHECK(!std::unique_lock<redlock::mutex>(other, std::chrono::steady_clock::now() - 10ms).owns_lock());
  guard.unlock();
  CHECK(std::unique_lock<redlock::mutex>(other, std::try_to_lock).owns_lock());
  std::unique_lock<redlock::mutex> deferred(other, std::defer_lock);
  CHECK(deferred.try_lock_for(patience));
  deferred.unlock();
  CHECK(deferred.try_lock_until(std::chrono::system_clock::now() + patience));
  deferred.unlock();
  CHECK(deferred.try_lock_for(std::chrono::hours::max()));
}

void serves_scoped_lock() {
  redlock::factory factory = patient_factory();
  redlock::mutex a(factory, "a");
  redlock::mutex b(factory, "b");
  std::mutex local;
  int turns = 0;
  // In opposite orders, which std::scoped_lock keeps from waiting for each other.
  auto work = [&](redlock::mutex &first, redlock::mutex &second) {
    for (int i = 0; i < 10; i++) {
      std::scoped_lock guard(first, second, local);
      turns++;
    }
  };
  std::thread thread([&] { work(b, a); });
  work(a, b);
  thread.join();
  CHECK(turns == 20);
  CHECK(!factory.is_locked("a") && !factory.is_locked("b"));
}

void queues_up_threads() {
  constexpr int threads = 8;
  constexpr int turns = 10;
  redlock::factory factory = patient_factory();
  redlock::mutex mutex(factory, "a");
  int inside = 0;
  std::vector<std::thread> workers;
  for (int i = 0; i < threads; i++) {
    workers.emplace_back([&] {
      for (int turn = 0; turn < turns; turn++) {
        std::lock_guard<redlock::mutex> guard(mutex);
        inside++;
      }
    });
  }
  for (std::thread &worker : workers) worker.join();
  CHECK(inside == threads * turns);
}

// A number in a file: reading, adding and writing is not atomic, so a lock that does not exclude loses some.
class outside_counter {
public:
  outside_counter() : file_(open(".", O_TMPFILE | O_RDWR, 0600)) { CHECK(file_ >= 0); }
  outside_counter(const outside_counter &) = delete;
  outside_counter &operator=(const outside_counter &) = delete;
  ~outside_counter() { close(file_); }

  int value() const {
    int number = 0;
    CHECK(pread(file_, &number, sizeof number, 0) >= 0);
    return number;
  }
  void add_one() {
    int number = value() + 1;
    std::this_thread::yield();
    CHECK(pwrite(file_, &number, sizeof number, 0) == sizeof number);
  }

private:
  int file_;
};

void excludes_other_objects() {
  constexpr int threads = 6;
  constexpr int turns = 15;
  outside_counter counter;
  std::vector<std::thread> workers;
  for (int i = 0; i < threads; i++) {
    workers.emplace_back([&] {
      redlock::factory factory = patient_factory();
      redlock::mutex mutex(factory, "counter");
      for (int turn = 0; turn < turns; turn++) {
        std::lock_guard<redlock::mutex> guard(mutex);
        counter.add_one();
      }
    });
  }
  for (std::thread &worker : workers) worker.join();
  CHECK(counter.value() == threads * turns);
}

void is_kept_alive() {
  redlock::factory factory = patient_factory();
  redlock::mutex kept(factory, "kept", 1s);
  redlock::mutex limited(factory, "limited", 1s, redlock::mutex::holding::until_ttl);
  std::lock_guard<redlock::mutex> guard(kept);
  std::lock_guard<redlock::mutex> other_guard(limited);
  redlock::loss_token loss = kept.loss();
  // Both were locked for a second: when the one has run out, only extending has kept the other.
  WAIT_UNTIL(limited.lost());
  WAIT_UNTIL(!factory.is_locked("limited"));
  CHECK(kept.validity() > 0s && !kept.lost() && !loss.lost());
  CHECK(factory.is_locked("kept"));
}

void does_not_throw_from_guards_when_lost() {
  redlock::factory factory = patient_factory();
  redlock::mutex mutex(factory, "a", 200ms, redlock::mutex::holding::until_ttl);
  {
    std::unique_lock<redlock::mutex> guard(mutex, std::defer_lock);
    CHECK(guard.try_lock_for(patience));
    WAIT_UNTIL(mutex.lost());
  }
  CHECK(mutex.try_lock_for(patience));
  WAIT_UNTIL(nodes_holding("a") == 0);
  THROWS(mutex.extend(1s), status::expired, "a");
  REFUSED(mutex.try_release(), status::expired, "a");
  // And is as new after that.
  CHECK(mutex.try_lock_for(patience));
  mutex.extend(10s);
  mutex.release();
}

void complains_of_misuse() {
  redlock::factory factory = patient_factory();
  redlock::mutex mutex(factory, "a");
  THROWS(mutex.unlock(), status::released, "not locked");
  THROWS(mutex.release(), status::released, "not locked");
  THROWS(mutex.extend(1s), status::released, "not locked");
  mutex.lock();
  CHECK(!mutex.try_lock());
  mutex.unlock();
  THROWS(mutex.unlock(), status::released, "not locked");
  redlock::mutex nameless(factory, "");
  THROWS(nameless.lock(), status::invalid_argument, "empty");
  THROWS(static_cast<void>(nameless.try_lock()), status::invalid_argument, "empty");
  redlock::mutex endless(factory, "a", redlock::forever);
  THROWS(endless.lock(), status::invalid_argument, "end");
  factory.close();
  THROWS(mutex.lock(), status::closed, "closed");
  THROWS(static_cast<void>(mutex.try_lock_for(1s)), status::closed, "closed");
}

void outlives_its_factory() {
  auto factory = std::make_unique<redlock::factory>(patient_factory());
  redlock::mutex mutex(*factory, "a");
  mutex.lock();
  factory.reset();
  mutex.unlock();
  THROWS(mutex.lock(), status::closed, "closed");
}

} // namespace

int main() {
  return test::run({TEST(serves_lock_guard), TEST(serves_unique_lock), TEST(serves_scoped_lock),
                    TEST(queues_up_threads), TEST(excludes_other_objects), TEST(is_kept_alive),
                    TEST(does_not_throw_from_guards_when_lost), TEST(complains_of_misuse), TEST(outlives_its_factory)});
}
