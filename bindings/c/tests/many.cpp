// Several resources as one lock, and their fences.
#include "test.hpp"

#include <algorithm>
#include <limits>
#include <thread>

namespace {

using namespace test;

void are_taken_together_or_not_at_all() {
  redlock::factory factory = patient_factory();
  redlock::lock lock = factory.acquire_many({"b", "a", "c"}, long_ttl);
  CHECK(lock.held() && lock.resource() == "b");
  CHECK((lock.resources() == std::vector<std::string>{"b", "a", "c"}));
  CHECK(lock.fences().size() == 3 && lock.fences()[0] == lock.fence());
  REFUSED(factory.try_acquire_many({"d", "a"}, long_ttl), status::contended, "a");
  CHECK(factory.try_acquire("d", long_ttl, patience).has_value());
  lock.extend(100s);
  lock.release();
  for (const char *name : {"a", "b", "c"}) CHECK(!factory.is_locked(name));
  CHECK(got<redlock::lock>(factory.acquire_many_async({"a", "c"}, long_ttl)).resources().size() == 2);
  CHECK(got<redlock::result<redlock::lock>>(factory.try_acquire_many_async({"x"}, long_ttl)).has_value());
}

void are_checked() {
  redlock::factory factory = patient_factory();
  const std::string nul("a\0b", 3);
  THROWS(factory.acquire_many({}, 1s), status::invalid_argument, "");
  THROWS(factory.acquire_many({"a", "a"}, 1s), status::invalid_argument, "a");
  THROWS(factory.acquire_many({"a", ""}, 1s), status::invalid_argument, "empty");
  THROWS(factory.acquire_many({"a", nul}, 1s), status::invalid_argument, "NUL");
  THROWS(factory.acquire_many({"a"}, 0s), status::invalid_argument, "TTL");
  THROWS(factory.acquire_many(std::vector<std::string>(129, "a"), 1s), status::invalid_argument, "12");
  THROWS(got<redlock::lock>(factory.acquire_many_async({nul}, 1s)), status::invalid_argument, "NUL");
  redlock::queue queue;
  THROWS(factory.submit_acquire_many({nul}, 1s, 0s, queue, 1), status::invalid_argument, "NUL");
  factory.close();
  THROWS(factory.acquire_many({"a"}, 1s), status::closed, "closed");
}

void in_opposite_orders_do_not_wait_for_each_other() {
  redlock::factory factory = patient_factory();
  auto work = [&](const std::vector<std::string> &names) {
    for (int i = 0; i < 10; i++) CHECK(factory.acquire_many(names, long_ttl, patience).held());
  };
  std::thread thread([&] { work({"b", "a"}); });
  work({"a", "b"});
  thread.join();
}

void fences_rise() {
  redlock::factory first = patient_factory();
  redlock::factory second = patient_factory();
  std::uint64_t last = 0;
  for (int i = 0; i < 50; i++) {
    redlock::lock lock = (i % 2 == 0 ? first : second).acquire("fenced", long_ttl, patience);
    CHECK(lock.fence() > last);
    last = lock.fence();
    lock.release();
    CHECK(lock.fence() == last);
  }
  redlock::factory without(urls(), {{"fencing", "off"}, {"node_timeout_ms", "20000"}});
  CHECK(without.acquire("unfenced", long_ttl).fence() == 0);
  CHECK(redlock::lock().fence() == 0 && redlock::lock().fences().empty() && redlock::lock().resources().empty());
}

void an_operator_trusts_the_nodes() {
  // The servers have just been started, and strictly nobody can know that this is not after a crash.
  // The witness of this longest TTL means nothing to the other tests' factories.
  redlock::factory factory(urls(),
                           {{"restart_guard", "strict"}, {"node_timeout_ms", "20000"}, {"max_ttl_ms", "86000000"}});
  REFUSED(factory.try_acquire("a", long_ttl), status::no_quorum, "");
  WAIT_UNTIL(factory.try_trust_nodes().has_value() && factory.try_acquire("a", long_ttl).has_value());
  factory.close();
  THROWS(factory.trust_nodes(), status::closed, "closed");
}

} // namespace

int main() {
  return test::run({TEST(an_operator_trusts_the_nodes), TEST(are_taken_together_or_not_at_all), TEST(are_checked),
                    TEST(in_opposite_orders_do_not_wait_for_each_other), TEST(fences_rise)});
}
