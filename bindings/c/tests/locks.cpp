// Locks: taken, shown, extended, given back, and moved about.
#include "test.hpp"

#include <utility>

namespace {

using namespace test;

void is_held_and_given_back() {
  redlock::factory factory = patient_factory();
  redlock::lock lock = factory.acquire("a", long_ttl);
  CHECK(lock && lock.held() && !lock.lost());
  CHECK(lock.resource() == "a");
  CHECK(lock.token().size() == 40);
  CHECK(lock.validity() > 0s && lock.validity() < long_ttl);
  CHECK(nodes_holding("a") >= node_count() / 2 + 1);
  CHECK(factory.is_locked("a"));
  lock.release();
  CHECK(!lock && !lock.held() && !lock.lost());
  CHECK(lock.validity() == 0ms);
  CHECK(lock.resource() == "a");
  CHECK(!factory.is_locked("a"));
  WAIT_UNTIL(nodes_holding("a") == 0);
}

void excludes_others() {
  redlock::factory factory = patient_factory();
  redlock::factory other = patient_factory();
  redlock::lock lock = factory.acquire("a", long_ttl);
  REFUSED(other.try_acquire("a", 1s), status::contended, "a");
  THROWS(other.acquire("a", 1s, 1ms), status::contended, "a");
  CHECK(other.try_acquire("b", 1s, patience).has_value());
  lock.release();
  CHECK(other.try_acquire("a", 1s, patience).has_value());
}

void ends_with_its_scope() {
  redlock::factory factory = patient_factory();
  redlock::factory other = patient_factory();
  for (int i = 0; i < 20; i++) {
    redlock::lock lock = factory.acquire("scope", long_ttl);
    CHECK(lock.held());
  }
  // Nothing is left to wait for: the scope was left when the lock was free.
  CHECK(other.try_acquire("scope", long_ttl).has_value());
}

void ends_with_an_exception() {
  redlock::factory factory = patient_factory();
  try {
    redlock::lock lock = factory.acquire("scope", long_ttl);
    throw 1;
  } catch (int) {
  }
  CHECK(factory.try_acquire("scope", long_ttl).has_value());
}

void is_waited_for() {
  redlock::factory factory = patient_factory();
  redlock::lock lock = factory.acquire("a", long_ttl);
  std::future<redlock::lock> waiting =
      std::async(std::launch::async, [&] { return factory.acquire("a", long_ttl, patience); });
  WAIT_UNTIL(waiting.wait_for(0s) == std::future_status::timeout);
  lock.release();
  CHECK(got(std::move(waiting)).held());
}

void is_extended() {
  redlock::factory factory = patient_factory();
  redlock::lock lock = factory.acquire("a", 30s);
  CHECK(lock.validity() <= 30s);
  lock.extend(100s);
  CHECK(lock.validity() > 30s);
  CHECK(lock.try_extend(10s).has_value());
  CHECK(lock.validity() > 30s);
  lock.release();
  THROWS(lock.extend(1s), status::released, "a");
  REFUSED(lock.try_extend(1s), status::released, "a");
}

void is_released_once() {
  redlock::factory factory = patient_factory();
  redlock::lock lock = factory.acquire("a", long_ttl);
  CHECK(lock.try_release().has_value());
  REFUSED(lock.try_release(), status::released, "a");
  THROWS(lock.release(), status::released, "a");
}

void says_that_it_ran_out() {
  redlock::factory factory = patient_factory();
  redlock::lock lock = factory.acquire("short", 300ms, patience);
  WAIT_UNTIL(!lock.held());
  CHECK(lock.lost());
  WAIT_UNTIL(nodes_holding("short") == 0);
  THROWS(lock.extend(1s), status::expired, "short");
  THROWS(lock.release(), status::expired, "short");
  CHECK(lock.lost());
  CHECK(lock.loss().reason().has_value());
}

void belongs_to_one_object() {
  redlock::factory factory = patient_factory();
  redlock::lock first = factory.acquire("a", long_ttl);
  redlock::lock second = std::move(first);
  CHECK(second.held());
  redlock::lock third = factory.acquire("b", long_ttl);
  third = std::move(second);
  CHECK(third.held() && third.resource() == "a");
  CHECK(factory.try_acquire("b", long_ttl).has_value());
  redlock::lock fourth;
  fourth.swap(third);
  CHECK(fourth.held() && !third.held());
  fourth = redlock::lock();
  CHECK(factory.try_acquire("a", long_ttl).has_value());
}

void outlives_its_factory() {
  redlock::lock lock;
  {
    redlock::factory factory = patient_factory();
    lock = factory.acquire("a", long_ttl);
  }
  CHECK(lock.held());
  lock.extend(long_ttl);
  lock.release();
}

void stays_held_when_detached() {
  redlock::factory factory = patient_factory();
  {
    redlock::lock lock = factory.acquire("detached", long_ttl);
    redlock::loss_token loss = lock.loss();
    lock.detach();
    CHECK(!lock && !lock.lost() && !loss.lost() && !loss.wait_for(patience));
    REFUSED(lock.try_release(), status::invalid_argument, "never acquired");
    lock.detach();
  }
  REFUSED(factory.try_acquire("detached", long_ttl), status::contended, "detached");
  CHECK(nodes_holding("detached") > node_count() / 2);
}

void is_not_kept_alive_when_detached() {
  redlock::factory factory = patient_factory();
  bool told = false;
  redlock::lock lock = factory.acquire("once", 2s, patience);
  lock.keep_alive([&told](const redlock::error &) { told = true; });
  lock.detach();
  WAIT_UNTIL(nodes_holding("once") == 0);
  CHECK(!told);
}

void is_told_from_results() {
  redlock::factory factory = patient_factory();
  redlock::result<redlock::lock> outcome = factory.try_acquire("a", long_ttl, patience);
  CHECK(outcome && outcome.status() == status::ok);
  CHECK(outcome->held() && (*outcome).held());
  redlock::lock lock = std::move(outcome).value();
  CHECK(lock.held());
  redlock::result<bool> locked = factory.try_is_locked("a");
  CHECK(locked && *locked);
  redlock::result<redlock::lock> refused = factory.try_acquire("a", long_ttl);
  CHECK(!refused && refused.status() == status::contended);
  THROWS(refused.value(), status::contended, "a");
  THROWS(refused->held(), status::contended, "a");
}

void health_is_reported() {
  redlock::factory factory = patient_factory();
  CHECK(factory.acquire("a", long_ttl).held());
  std::string report = factory.check();
  for (const std::string &url : urls()) CHECK(report.find(url) != std::string::npos);
  CHECK(*factory.try_check() == report || !report.empty());
}

static_assert(!std::is_copy_constructible_v<redlock::lock> && !std::is_copy_assignable_v<redlock::lock>);
static_assert(std::is_nothrow_move_constructible_v<redlock::lock> && std::is_nothrow_move_assignable_v<redlock::lock>);
static_assert(!std::is_copy_constructible_v<redlock::factory> &&
              std::is_nothrow_move_constructible_v<redlock::factory>);
static_assert(std::is_nothrow_copy_constructible_v<redlock::error>);

} // namespace

int main() {
  return test::run({TEST(is_held_and_given_back), TEST(excludes_others), TEST(ends_with_its_scope),
                    TEST(ends_with_an_exception), TEST(is_waited_for), TEST(is_extended), TEST(is_released_once),
                    TEST(says_that_it_ran_out), TEST(belongs_to_one_object), TEST(outlives_its_factory),
                    TEST(stays_held_when_detached), TEST(is_not_kept_alive_when_detached), TEST(is_told_from_results),
                    TEST(health_is_reported)});
}
