/// @file queue.hpp
/// @brief A queue of outcomes with a file descriptor, for event loops and for thousands of operations on one thread.
#ifndef REDLOCK_QUEUE_HPP
#define REDLOCK_QUEUE_HPP

#include <redlock.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "background.hpp"
#include "duration.hpp"
#include "error.hpp"
#include "lock.hpp"
#include "result.hpp"
#include "version.hpp"

namespace redlock {

/// Which operation an event ends.
enum class event_kind : std::uint32_t {
  /// factory::submit_acquire()
  acquire = REDLOCK_EVENT_ACQUIRE,
  /// lock::submit_release()
  release = REDLOCK_EVENT_RELEASE,
  /// lock::submit_extend()
  extend = REDLOCK_EVENT_EXTEND,
  /// factory::submit_is_locked()
  is_locked = REDLOCK_EVENT_IS_LOCKED,
  /// No operation: a lock that lock::keep_alive() kept alive is lost.
  lost = REDLOCK_EVENT_LOST,
  /// No operation: connections wait for factory::set_credentials(), see factory::ask_for_credentials().
  credentials = REDLOCK_EVENT_CREDENTIALS
};

/// The end of one operation that was submitted to a queue, the loss of a lock, or a question for credentials.
struct event {
  /// The number that was given with it.
  std::uint64_t id;
  /// Which operation it was.
  event_kind kind;
  /// How it ended.
  redlock::status status;
  /// After an acquire that succeeded: the lock.
  redlock::lock lock;
  /// Why it failed, if it did.
  std::optional<redlock::error> failure;
  /// After an acquire or an extension that succeeded: the validity of the lock.
  std::chrono::milliseconds validity;
  /// After a question that was answered: whether the resource is locked.
  bool locked;
  /// After an acquire that succeeded: the fencing token of the lock.
  std::uint64_t fence;
};

/// Collects the events of what was submitted to it, exactly one for each operation, and of kept locks that are lost.
class queue {
public:
  /// An empty queue; throws status::system when the system refuses a descriptor.
  queue() : queue(try_make().value()) {}

  /// An empty queue.
  static result<queue> try_make() {
    if (result<void> fit = try_check_version(); !fit) return fit.error();
    redlock_queue *made = nullptr;
    result<void> outcome = detail::attempt([&](redlock_error **err) { return ::redlock_queue_new(&made, err); });
    if (!outcome) return outcome.error();
    return queue(made);
  }

  queue(queue &&) = default;
  queue &operator=(queue &&) = default;
  /// Cancels what is under way; locks that it won go back.
  ~queue() = default;

  /// A descriptor that is readable while events wait: for poll, epoll and event loops. Only wait for it; it is the
  /// queue's. -1 when the queue was closed.
  [[nodiscard]] int fd() const noexcept { return ::redlock_queue_fd(c_handle()); }

  /// Takes up to `max` events, the oldest first, waiting for the first one: none when the time has passed. Throws
  /// status::closed when the queue is closed meanwhile.
  [[nodiscard]] std::vector<event> next(std::size_t max = 64, duration wait = forever) {
    return try_next(max, wait).value();
  }
  /// next(), with a result.
  result<std::vector<event>> try_next(std::size_t max = 64, duration wait = forever) {
    if (std::optional<error> refused = wait.wait_refusal()) return *refused;
    // As many as anybody needs at once: an absurd number must not become an allocation that fails.
    max = std::min(max, most_at_once);
    std::vector<redlock_event> raw(std::max<std::size_t>(max, 1));
    std::size_t count = 0;
    result<void> outcome = detail::attempt([&](redlock_error **err) {
      return ::redlock_queue_next(c_handle(), raw.data(), max, wait.wait_ms(), &count, err);
    });
    if (!outcome) return outcome.error();
    std::vector<event> events;
    events.reserve(count);
    for (std::size_t i = 0; i < count; i++) events.push_back(converted(raw[i]));
    return events;
  }

  /// Cancels an operation; its event still comes. An acquire then ends with status::cancelled and leaves nothing
  /// locked, unless it has failed already; a release or an extension is not stopped. False when no operation has this
  /// number, or its event has been taken.
  bool cancel(std::uint64_t id) { return try_cancel(id).value(); }
  /// cancel(), with a result.
  result<bool> try_cancel(std::uint64_t id) {
    result<void> outcome = detail::attempt([&](redlock_error **err) { return ::redlock_cancel(c_handle(), id, err); });
    if (outcome) return true;
    // While the queue is open, that is the only argument which can be wrong.
    if (outcome.status() == status::invalid_argument && fd() >= 0) return false;
    return outcome.error();
  }

  /// Closes the queue, as its destructor does; threads that wait in next() return. Can be called again.
  void close() noexcept { ::redlock_queue_free(c_handle()); }

  /// The handle of C, which stays this object's; null after moving away.
  [[nodiscard]] redlock_queue *c_handle() const noexcept { return handle_.get(); }

private:
  static constexpr std::size_t most_at_once = 4096;

  struct deleter {
    void operator()(redlock_queue *handle) const noexcept { ::redlock_queue_free(handle); }
  };

  explicit queue(redlock_queue *handle) : handle_(handle), home_(std::make_shared<detail::background>()) {}

  event converted(const redlock_event &raw) const {
    std::optional<error> failure;
    if (raw.status != REDLOCK_OK) failure = detail::take_error(raw.status, raw.error);
    return {raw.id,
            static_cast<event_kind>(raw.kind),
            static_cast<redlock::status>(raw.status),
            raw.lock == nullptr ? redlock::lock() : redlock::lock(raw.lock, home_),
            std::move(failure),
            std::chrono::milliseconds(raw.validity_ms),
            raw.value != 0,
            raw.fence};
  }

  std::unique_ptr<redlock_queue, deleter> handle_;
  // For the futures of locks that came through this queue.
  std::shared_ptr<detail::background> home_;
};

inline result<void> lock::try_keep_alive(queue &to, std::uint64_t id) {
  if (!grant_) return nothing_here();
  // C would take null for no wish to be told.
  if (to.c_handle() == nullptr) return error(status::invalid_argument, "the queue was moved away");
  std::lock_guard<std::mutex> guard(grant_->watch_mutex);
  result<void> begun = detail::attempt(
      [&](redlock_error **err) { return ::redlock_lock_keep_alive(c_handle(), to.c_handle(), id, err); });
  if (begun) grant_->unwatch();
  return begun;
}

inline result<void> lock::try_submit_release(queue &to, std::uint64_t id) {
  if (!grant_) return nothing_here();
  grant_->loss.pause();
  result<void> begun = detail::attempt(
      [&](redlock_error **err) { return ::redlock_submit_release(c_handle(), to.c_handle(), id, err); });
  if (begun) grant_->finish();
  else grant_->loss.resume();
  return begun;
}

inline result<void> lock::try_submit_extend(duration ttl, queue &to, std::uint64_t id) {
  if (std::optional<error> refused = ttl.ttl_refusal()) return *refused;
  return detail::attempt(
      [&](redlock_error **err) { return ::redlock_submit_extend(c_handle(), ttl.ttl_ms(), to.c_handle(), id, err); });
}

} // namespace redlock

#endif
