// Queues: one thread, a descriptor to wait for, and an event for each operation.
#include "test.hpp"

#include <poll.h>

#include <thread>

namespace {

using namespace test;

// The next event, after its descriptor has said that there is one.
redlock::event next_of(redlock::queue &queue) {
  pollfd readable = {queue.fd(), POLLIN, 0};
  CHECK(poll(&readable, 1, 60000) == 1);
  std::vector<redlock::event> events = queue.next(1, 0s);
  CHECK(events.size() == 1);
  return std::move(events.front());
}

void bring_each_operation_to_its_end() {
  redlock::factory factory = patient_factory();
  redlock::queue queue;
  CHECK(queue.fd() >= 0);
  factory.submit_acquire("a", long_ttl, 0s, queue, 7);
  redlock::event event = next_of(queue);
  CHECK(event.id == 7 && event.kind == redlock::event_kind::acquire && event.status == status::ok && !event.failure);
  CHECK(event.lock.held() && event.validity > 0s && event.fence == event.lock.fence() && event.fence > 0);
  redlock::lock lock = std::move(event.lock);

  factory.submit_is_locked("a", queue, 8);
  event = next_of(queue);
  CHECK(event.id == 8 && event.kind == redlock::event_kind::is_locked && event.locked);

  lock.submit_extend(100s, queue, 9);
  event = next_of(queue);
  CHECK(event.id == 9 && event.kind == redlock::event_kind::extend && event.validity > long_ttl);

  factory.submit_acquire("a", long_ttl, 0s, queue, 10);
  event = next_of(queue);
  CHECK(event.status == status::contended && event.failure && event.failure->nodes().size() == node_count());
  CHECK(!event.lock.held());

  lock.submit_release(queue, 11);
  event = next_of(queue);
  CHECK(event.id == 11 && event.kind == redlock::event_kind::release && event.status == status::ok);
  CHECK(!lock.held() && !lock.lost());
  CHECK(queue.next(10, 0s).empty());
}

void give_locks_that_can_do_all() {
  redlock::factory factory = patient_factory();
  redlock::queue queue;
  factory.submit_acquire_many({"a", "b"}, long_ttl, 0s, queue, 1);
  redlock::event event = next_of(queue);
  CHECK(event.lock.resources().size() == 2);
  event.lock.keep_alive();
  got<void>(event.lock.extend_async(long_ttl));
  got<void>(event.lock.release_async());
}

void cancel() {
  redlock::factory factory = patient_factory();
  redlock::queue queue;
  redlock::lock lock = factory.acquire("a", long_ttl);
  factory.submit_acquire("a", long_ttl, redlock::forever, queue, 1);
  CHECK(queue.cancel(1));
  redlock::event event = next_of(queue);
  CHECK(event.status == status::cancelled);
  CHECK(!queue.cancel(1) && !queue.cancel(99));
}

void refuse_what_is_wrong() {
  redlock::factory factory = patient_factory();
  redlock::queue queue;
  redlock::lock lock = factory.acquire("a", long_ttl);
  factory.submit_acquire("a", long_ttl, redlock::forever, queue, 1);
  THROWS(factory.submit_acquire("b", long_ttl, 0s, queue, 1), status::invalid_argument, "1");
  THROWS(factory.submit_acquire("", long_ttl, 0s, queue, 2), status::invalid_argument, "empty");
  THROWS(factory.submit_acquire(std::string("a\0", 2), long_ttl, 0s, queue, 2), status::invalid_argument, "NUL");
  THROWS(factory.submit_is_locked("", queue, 2), status::invalid_argument, "empty");
  THROWS(lock.submit_extend(0s, queue, 2), status::invalid_argument, "TTL");
  THROWS(queue.next(0, 0s), status::invalid_argument, "max");
  // A release that cannot begin leaves the lock as it was.
  THROWS(lock.submit_release(queue, 1), status::invalid_argument, "1");
  CHECK(lock.held() && !lock.lost());
  lock.submit_release(queue, 3);
  THROWS(lock.submit_release(queue, 4), status::released, "a");
}

void end_for_those_who_wait() {
  redlock::queue queue;
  std::promise<status> outcome;
  std::thread thread([&] {
    about_to_sleep();
    outcome.set_value(queue.try_next().status());
  });
  wait_for_sleepers(1);
  queue.close();
  CHECK(got(outcome.get_future()) == status::closed);
  thread.join();
}

void ask_for_credentials() {
  redlock::queue queue;
  redlock::options settings;
  settings.set("ask_credentials", "on");
  redlock::factory factory(test::urls(), settings);
  factory.ask_for_credentials(queue, 7);
  std::vector<redlock::event> events = queue.next(1, patience);
  CHECK(events.size() == 1 && events[0].kind == redlock::event_kind::credentials && events[0].id == 7);
  factory.refuse_credentials("not yet");
  CHECK(queue.next(1, patience).size() == 1);
  // The default user needs no password here, so that any is right.
  factory.set_credentials("default", "secret");
  CHECK(factory.try_acquire("credentials", long_ttl, patience).has_value());
}

void release_what_nobody_took() {
  redlock::factory factory = patient_factory();
  {
    redlock::queue queue;
    factory.submit_acquire("a", long_ttl, redlock::forever, queue, 1);
    pollfd readable = {queue.fd(), POLLIN, 0};
    CHECK(poll(&readable, 1, 60000) == 1);
  }
  CHECK(factory.try_acquire("a", long_ttl, patience).has_value());
}

} // namespace

int main() {
  return test::run({TEST(bring_each_operation_to_its_end), TEST(give_locks_that_can_do_all), TEST(cancel),
                    TEST(refuse_what_is_wrong), TEST(end_for_those_who_wait), TEST(ask_for_credentials),
                    TEST(release_what_nobody_took)});
}
