// Bad input: each kind is a redlock::error that names what is wrong, and never a crash.
#include "test.hpp"

#include <limits>
#include <string_view>

namespace {

using namespace test;

void names() {
  redlock::factory factory = patient_factory();
  const std::string nul("a\0b", 3);
  THROWS(factory.acquire("", 1s), status::invalid_argument, "empty");
  THROWS(factory.acquire(nullptr, 1s), status::invalid_argument, "NULL");
  THROWS(factory.acquire(std::string(513, 'x'), 1s), status::invalid_argument, "513");
  THROWS(factory.acquire(nul, 1s), status::invalid_argument, "NUL");
  THROWS(factory.acquire(std::string_view(nul), 1s), status::invalid_argument, "NUL");
  THROWS(factory.acquire("\xff", 1s), status::invalid_argument, "UTF-8");
  THROWS(factory.is_locked(""), status::invalid_argument, "empty");
  THROWS(factory.is_locked(nul), status::invalid_argument, "NUL");
  THROWS(got(factory.acquire_async("", 1s)), status::invalid_argument, "empty");
  THROWS(got(factory.acquire_async(nul, 1s)), status::invalid_argument, "NUL");
  THROWS(got(factory.is_locked_async(nullptr)), status::invalid_argument, "NULL");
  REFUSED(got(factory.try_acquire_async("", 1s)), status::invalid_argument, "empty");
  // The longest that there is, and a view that does not end where its text does.
  CHECK(factory.acquire(std::string(512, 'x'), long_ttl).held());
  CHECK(factory.acquire(std::string_view("abcdef").substr(0, 3), long_ttl).resource() == "abc");
}

void ttls() {
  constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();
  constexpr double infinite = std::numeric_limits<double>::infinity();
  using seconds = std::chrono::duration<double>;
  redlock::factory factory = patient_factory();
  THROWS(factory.acquire("a", 0s), status::invalid_argument, "TTL");
  THROWS(factory.acquire("a", -1ms), status::invalid_argument, "negative");
  CHECK(factory.acquire("a", std::chrono::hours(30 * 24)).validity() > std::chrono::hours(24));
  THROWS(factory.acquire("a", std::chrono::hours(30 * 24 + 1)), status::invalid_argument, "30 days");
  THROWS(factory.acquire("a", std::chrono::hours::max()), status::invalid_argument, "30 days");
  THROWS(factory.acquire("a", std::chrono::hours::min()), status::invalid_argument, "negative");
  THROWS(factory.acquire("a", seconds(not_a_number)), status::invalid_argument, "not a number");
  THROWS(factory.acquire("a", seconds(infinite)), status::invalid_argument, "30 days");
  THROWS(factory.acquire("a", redlock::forever), status::invalid_argument, "end");
  THROWS(got(factory.acquire_async("a", 0s)), status::invalid_argument, "TTL");
  redlock::lock lock = factory.acquire("a", seconds(59.5));
  THROWS(lock.extend(0s), status::invalid_argument, "TTL");
  THROWS(lock.extend(-1s), status::invalid_argument, "negative");
  THROWS(lock.extend(seconds(not_a_number)), status::invalid_argument, "not a number");
  THROWS(got(lock.extend_async(redlock::forever)), status::invalid_argument, "end");
  CHECK(lock.held());
}

void waits() {
  constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();
  redlock::factory factory = patient_factory();
  redlock::lock lock = factory.acquire("a", long_ttl);
  THROWS(factory.acquire("a", 1s, std::chrono::duration<double>(not_a_number)), status::invalid_argument,
         "not a number");
  // A wait that has passed already is one try; it must not be taken for C's "for ever".
  THROWS(factory.acquire("a", 1s, -1ms), status::contended, "a");
  THROWS(factory.acquire("a", 1s, std::chrono::hours::min()), status::contended, "a");
  CHECK(factory.acquire("b", long_ttl, std::chrono::hours::max()).held());
}

void durations() {
  using redlock::duration;
  static_assert(duration(1s).wait_ms() == 1000 && duration(1s).ttl_ms() == 1000);
  static_assert(duration(std::chrono::microseconds(1)).wait_ms() == 1);
  static_assert(duration(std::chrono::nanoseconds(-1)).wait_ms() == 0);
  static_assert(duration(std::chrono::hours::max()).wait_ms() == std::numeric_limits<std::int64_t>::max());
  static_assert(redlock::forever.wait_ms() == -1 && redlock::no_wait.wait_ms() == 0);
  CHECK(duration(std::chrono::duration<float>(1.5F)).wait_ms() == 1500);
}

void node_urls_and_options() {
  using redlock::factory;
  THROWS(factory({"nonsense"}), status::invalid_argument, "it has no scheme");
  THROWS(factory({"http://a:1"}), status::invalid_argument, "unknown scheme");
  THROWS(factory({"redis://a:1", "redis://a:1"}), status::invalid_argument, "twice");
  THROWS(factory({std::string("redis://a\0:1", 12)}), status::invalid_argument, "NUL");
  THROWS(factory(std::vector<std::string>(65, "redis://a:1")), status::invalid_argument, "65");
  THROWS(factory({"redis://a:1"}, {{"nonsense", "1"}}), status::invalid_argument, "nonsense");
  THROWS(factory({"redis://a:1"}, {{"node_timeout_ms", "0"}}), status::invalid_argument, "node_timeout_ms");
  THROWS(factory({"redis://a:1"}, {{"key_prefix", std::string("a\0b", 3)}}), status::invalid_argument, "NUL");
  REFUSED(factory::try_make({"nonsense"}), status::invalid_argument, "it has no scheme");
  redlock::options settings;
  THROWS(settings.set("node_timeout_ms", "soon"), status::invalid_argument, "node_timeout_ms");
  THROWS(settings.set("node_timeout_ms", -1s), status::invalid_argument, "node_timeout_ms");
  THROWS(settings.set(nullptr, "1"), status::invalid_argument, "NULL");
  REFUSED(settings.try_set("", ""), status::invalid_argument, "");
  settings.set("node_timeout_ms", 20000).set("connect_timeout_ms", 5s).set("key_prefix", "locks:");
  redlock::lock lock = factory(urls(), settings).acquire("a", long_ttl);
  CHECK(nodes_holding("locks:a") > 0);
  CHECK(redlock::options::table().size() == redlock_option_count());
  CHECK(!redlock::options::table().front().name.empty() && !redlock::options::table().front().description.empty());
}

void what_was_closed() {
  redlock::factory factory = patient_factory();
  redlock::lock lock = factory.acquire("a", long_ttl);
  factory.close();
  factory.close();
  THROWS(factory.acquire("b", 1s), status::closed, "closed");
  THROWS(factory.is_locked("b"), status::closed, "closed");
  THROWS(factory.check(), status::closed, "closed");
  THROWS(got(factory.acquire_async("b", 1s)), status::closed, "closed");
  THROWS(got(factory.is_locked_async("b")), status::closed, "closed");
  CHECK(lock.held());
  lock.release();
  redlock::queue queue;
  queue.close();
  queue.close();
  CHECK(queue.fd() == -1);
  CHECK(!queue.try_next().has_value());
  CHECK(!queue.try_cancel(1).has_value());
}

// NOLINTBEGIN(bugprone-use-after-move): that is what is tested.
void what_was_moved_away() {
  redlock::factory factory = patient_factory();
  redlock::lock lock = factory.acquire("a", long_ttl);
  redlock::queue queue;
  redlock::options settings;
  redlock::factory other_factory = std::move(factory);
  redlock::lock other_lock = std::move(lock);
  redlock::queue other_queue = std::move(queue);
  redlock::options other_settings = std::move(settings);
  THROWS(factory.acquire("a", 1s), status::invalid_argument, "moved");
  THROWS(factory.is_locked("a"), status::invalid_argument, "moved");
  THROWS(factory.check(), status::invalid_argument, "moved");
  THROWS(got(factory.acquire_async("a", 1s)), status::invalid_argument, "moved");
  THROWS(factory.submit_acquire("a", 1s, 1s, other_queue, 1), status::invalid_argument, "moved");
  THROWS(lock.release(), status::invalid_argument, "moved");
  THROWS(lock.extend(1s), status::invalid_argument, "NULL");
  THROWS(got(lock.release_async()), status::invalid_argument, "moved");
  THROWS(lock.submit_release(other_queue, 1), status::invalid_argument, "moved");
  CHECK(!lock.held() && !lock.lost() && lock.resource().empty() && lock.token().empty());
  THROWS(queue.next(), status::invalid_argument, "NULL");
  THROWS(settings.set("node_timeout_ms", "1"), status::invalid_argument, "NULL");
  THROWS(redlock::factory(urls(), settings), status::invalid_argument, "moved");
  redlock::mutex mutex(factory, "b");
  THROWS(mutex.lock(), status::invalid_argument, "moved");
  factory.close();
  CHECK(other_lock.held());
}
// NOLINTEND(bugprone-use-after-move)

} // namespace

int main() {
  return test::run({TEST(names), TEST(ttls), TEST(waits), TEST(durations), TEST(node_urls_and_options),
                    TEST(what_was_closed), TEST(what_was_moved_away)});
}
