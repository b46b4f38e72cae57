/// @file mutex.hpp
/// @brief A mutex over many processes, for std::unique_lock, std::lock_guard and std::scoped_lock.
#ifndef REDLOCK_MUTEX_HPP
#define REDLOCK_MUTEX_HPP

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "duration.hpp"
#include "error.hpp"
#include "factory.hpp"
#include "lock.hpp"
#include "loss.hpp"
#include "result.hpp"
#include "text.hpp"

namespace redlock {

/// A mutex that is held by one thread of one process at a time, wherever they run: satisfies TimedLockable.
///
/// Threads that share one object queue up within the process, so that only one of them asks the nodes. Any number of
/// objects, here and elsewhere, with the same resource and nodes exclude each other too. A thread that locks it twice
/// waits for ever: see recursive_mutex.
///
/// The lock is kept alive until it is unlocked; when the process dies, it ends with its TTL. It can be lost, too: see
/// lost() and loss().
class mutex {
public:
  /// How long it stays locked.
  enum class holding {
    /// Until it is unlocked: it is extended again and again.
    until_unlocked,
    /// At most for the TTL, which extend() makes longer: so a holder that hangs does not keep it.
    until_ttl
  };

  /// The mutex on `resource`, over the nodes of `from`, which may be destroyed before it: then locking fails with
  /// status::closed. Whether the arguments are good shows when it is locked first.
  mutex(const factory &from, std::string resource, duration ttl = std::chrono::seconds(30),
        holding until = holding::until_unlocked)
      : nodes_(from.nodes_), resource_(std::move(resource)), ttl_(ttl), holding_(until) {}
  mutex(const mutex &) = delete;
  mutex &operator=(const mutex &) = delete;
  /// Releases the lock, if it is held.
  ~mutex() = default;

  /// Locks it, waiting for as long as it takes, also while too few nodes vote. Throws status::invalid_argument or
  /// status::closed.
  void lock() {
    wait_for_turn([this](std::unique_lock<std::mutex> &guard) {
      changed_.wait(guard, [this] { return !is_taken_; });
      return true;
    });
    succeeded(ask(forever));
  }

  /// Tries once to lock it: false when it is held, by anybody. Throws status::no_quorum when too few nodes voted,
  /// status::expired when they took so long that nothing of the TTL was left, status::invalid_argument or
  /// status::closed.
  [[nodiscard]] bool try_lock() {
    const bool is_ours = wait_for_turn([this](std::unique_lock<std::mutex> &) { return !is_taken_; });
    return is_ours && succeeded(ask(no_wait));
  }

  /// Tries for some time to lock it. Throws as try_lock() does.
  template <typename Rep, typename Period>
  [[nodiscard]] bool try_lock_for(const std::chrono::duration<Rep, Period> &time) {
    const duration wait = time;
    const std::chrono::steady_clock::time_point begun = std::chrono::steady_clock::now();
    // A century is for ever, and can be added to a moment.
    const std::chrono::hours century(24 * 36525);
    const auto whole = std::chrono::milliseconds(wait.wait_ms());
    return try_lock_until(begun + (whole < century ? whole : std::chrono::milliseconds(century)));
  }

  /// Tries until some moment to lock it. Throws as try_lock() does.
  template <typename Clock, typename Duration>
  [[nodiscard]] bool try_lock_until(const std::chrono::time_point<Clock, Duration> &end) {
    const bool is_ours = wait_for_turn([this, &end](std::unique_lock<std::mutex> &guard) {
      return changed_.wait_until(guard, end, [this] { return !is_taken_; });
    });
    if (!is_ours) return false;
    result<redlock::lock> outcome = ask(end - Clock::now());
    // The clock may have been set back meanwhile.
    while (outcome.status() == status::contended && Clock::now() < end) outcome = ask(end - Clock::now());
    return succeeded(std::move(outcome));
  }

  /// Unlocks it. Throws status::released when it is not locked. That the lock was lost before, or that too few nodes
  /// could be told, is no reason to throw, since this runs in destructors: ask lost() before, or use release().
  void unlock() {
    if (result<void> outcome = try_release(); outcome.status() == status::released) outcome.value();
  }

  /// Unlocks it, and throws as lock::release() does: status::expired when it had been lost before.
  void release() { try_release().value(); }
  /// release(), with a result.
  result<void> try_release() {
    redlock::lock held;
    {
      std::lock_guard<std::mutex> guard(mutex_);
      held.swap(held_);
    }
    if (held.c_handle() == nullptr) return not_locked();
    result<void> outcome = held.try_release();
    end_turn();
    return outcome;
  }

  // --- The lock that is held ---

  /// Has the lock last for at least `ttl` from now; throws as lock::extend() does, and status::released when
  /// it is not locked.
  void extend(duration ttl) { try_extend(ttl).value(); }
  /// extend(), with a result.
  result<void> try_extend(duration ttl) {
    if (std::optional<error> refused = ttl.ttl_refusal()) return *refused;
    redlock_lock *handle = held_handle();
    if (handle == nullptr) return not_locked();
    // Not under our mutex, since it waits for the nodes; to a lock that was unlocked meanwhile it does nothing.
    return detail::attempt([&](redlock_error **err) { return ::redlock_extend(handle, ttl.ttl_ms(), err); });
  }

  /// Whether the lock was lost while it should have been held: its validity ended before it was unlocked.
  [[nodiscard]] bool lost() const { return loss().lost(); }
  /// Tells others of the loss of the lock that is held now.
  [[nodiscard]] loss_token loss() const {
    std::lock_guard<std::mutex> guard(mutex_);
    return held_.loss();
  }
  /// The time for which it is still proven to be held; 0 when it is not.
  [[nodiscard]] std::chrono::milliseconds validity() const {
    return std::chrono::milliseconds(::redlock_lock_validity_ms(held_handle()));
  }
  /// The fencing token of the lock that is held now: see lock::fence(). 0 when it is not locked.
  [[nodiscard]] std::uint64_t fence() const { return ::redlock_lock_fence(held_handle()); }
  /// The name of what it locks.
  [[nodiscard]] const std::string &resource() const noexcept { return resource_; }

private:
  // Waits by `wait(guard)` until no other thread of this process is at it; false if that gave up.
  template <typename Wait> bool wait_for_turn(Wait wait) {
    std::unique_lock<std::mutex> guard(mutex_);
    if (!wait(guard)) return false;
    is_taken_ = true;
    return true;
  }

  void end_turn() {
    {
      std::lock_guard<std::mutex> guard(mutex_);
      is_taken_ = false;
    }
    changed_.notify_one();
  }

  result<redlock::lock> ask(duration wait) {
    if (!nodes_) return error(status::invalid_argument, "the factory of this mutex was moved away");
    result<redlock::lock> outcome = nodes_->acquire(resource_, ttl_, wait);
    if (!outcome || holding_ == holding::until_ttl) return outcome;
    if (result<void> kept = outcome->try_keep_alive(); !kept) return kept.error();
    return outcome;
  }

  // Keeps the lock, or lets the next thread try. False when another holds it; other failures are thrown.
  bool succeeded(result<redlock::lock> outcome) {
    if (outcome) {
      std::lock_guard<std::mutex> guard(mutex_);
      held_ = std::move(outcome).value();
      return true;
    }
    end_turn();
    if (outcome.status() != status::contended) detail::raise(outcome.error());
    return false;
  }

  redlock_lock *held_handle() const {
    std::lock_guard<std::mutex> guard(mutex_);
    return held_.c_handle();
  }

  error not_locked() const { return error(status::released, "the mutex on \"" + resource_ + "\" is not locked"); }

  const std::shared_ptr<detail::nodes> nodes_;
  const std::string resource_;
  const duration ttl_;
  const holding holding_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  // Whether a thread of this process has it, or asks the nodes for it.
  bool is_taken_ = false;
  redlock::lock held_;
};

} // namespace redlock

#endif
