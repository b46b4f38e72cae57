// Holders: parties that take their lock again while they hold it.
#include "test.hpp"

#include <atomic>
#include <thread>

namespace {

using namespace test;

static_assert(!std::is_copy_constructible_v<redlock::holder> && std::is_nothrow_move_constructible_v<redlock::holder>);

void count() {
  redlock::factory factory = patient_factory();
  redlock::holder holder(factory, "a", long_ttl);
  redlock::holder other(factory, "a", long_ttl);
  CHECK(holder.count() == 0 && !holder.held() && holder.fence() == 0);
  holder.acquire();
  const std::uint64_t fence = holder.fence();
  std::thread([&] { holder.acquire(); }).join();
  CHECK(holder.try_acquire().has_value());
  CHECK(holder.count() == 3 && holder.fence() == fence && fence > 0 && holder.validity() > 0s);
  REFUSED(other.try_acquire(), status::contended, "a");
  holder.release();
  holder.release();
  CHECK(factory.is_locked("a"));
  holder.release();
  CHECK(!factory.is_locked("a"));
  THROWS(holder.release(), status::released, "a");
  other.acquire(patience);
}

void are_kept_alive() {
  redlock::factory factory = patient_factory();
  redlock::queue queue;
  redlock::holder holder(factory, "kept", 3s);
  THROWS(holder.keep_alive(), status::released, "kept");
  holder.acquire(patience);
  holder.keep_alive();
  holder.keep_alive(queue, 4);
  delete_on_nodes("kept");
  std::vector<redlock::event> events = queue.next(1, patience);
  CHECK(events.size() == 1 && events[0].id == 4 && events[0].kind == redlock::event_kind::lost);
}

void do_not_go_on_after_a_loss() {
  redlock::factory factory = patient_factory();
  redlock::holder holder(factory, "a", 300ms);
  holder.acquire(patience);
  WAIT_UNTIL(nodes_holding("a") == 0);
  THROWS(holder.acquire(), status::expired, "a");
  static_cast<void>(holder.try_release());
  holder.acquire(patience);
  CHECK(holder.count() == 1);
}

void refuse_what_is_wrong() {
  redlock::factory factory = patient_factory();
  THROWS(redlock::holder(factory, "", 1s), status::invalid_argument, "empty");
  THROWS(redlock::holder(factory, std::string("a\0", 2), 1s), status::invalid_argument, "NUL");
  THROWS(redlock::holder(factory, "a", 0s), status::invalid_argument, "TTL");
  THROWS(redlock::holder(factory, "a", redlock::forever), status::invalid_argument, "end");
  redlock::holder holder(factory, "a", 1s);
  redlock::holder moved = std::move(holder);
  THROWS(holder.acquire(), status::invalid_argument, "NULL"); // NOLINT(bugprone-use-after-move)
  factory.close();
  THROWS(moved.acquire(), status::closed, "closed");
  THROWS(redlock::holder(factory, "a", 1s), status::closed, "closed");
}

} // namespace

int main() {
  return test::run({TEST(count), TEST(are_kept_alive), TEST(do_not_go_on_after_a_loss), TEST(refuse_what_is_wrong)});
}
