/// @file recursive_mutex.hpp
/// @brief A mutex over many processes that its holder may lock again.
#ifndef REDLOCK_RECURSIVE_MUTEX_HPP
#define REDLOCK_RECURSIVE_MUTEX_HPP

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <thread>
#include <utility>

#include "duration.hpp"
#include "error.hpp"
#include "factory.hpp"
#include "loss.hpp"
#include "mutex.hpp"

namespace redlock {

/// A mutex that the thread which holds it can lock again, as std::recursive_timed_mutex: satisfies TimedLockable. Only
/// the outermost lock and unlock ask the nodes. Locking it again after it was lost throws status::expired: what the
/// outer code relied on has gone.
class recursive_mutex {
public:
  /// As redlock::mutex.
  recursive_mutex(const factory &from, std::string resource, duration ttl = std::chrono::seconds(30),
                  mutex::holding until = mutex::holding::until_unlocked)
      : mutex_(from, std::move(resource), ttl, until) {}

  /// As mutex::lock().
  void lock() {
    if (enter_again()) return;
    mutex_.lock();
    entered();
  }

  /// As mutex::try_lock().
  [[nodiscard]] bool try_lock() { return enter_again() || entered_if(mutex_.try_lock()); }

  /// As mutex::try_lock_for().
  template <typename Rep, typename Period>
  [[nodiscard]] bool try_lock_for(const std::chrono::duration<Rep, Period> &time) {
    return enter_again() || entered_if(mutex_.try_lock_for(time));
  }

  /// As mutex::try_lock_until().
  template <typename Clock, typename Duration>
  [[nodiscard]] bool try_lock_until(const std::chrono::time_point<Clock, Duration> &end) {
    return enter_again() || entered_if(mutex_.try_lock_until(end));
  }

  /// Unlocks what was locked last. Throws status::released when this thread does not hold it.
  void unlock() {
    if (owner_ != std::this_thread::get_id()) {
      detail::raise(error(status::released, "the mutex on \"" + resource() + "\" is not locked by this thread"));
    }
    if (--depth_ > 0) return;
    owner_ = std::thread::id();
    mutex_.unlock();
  }

  /// As mutex::extend().
  void extend(duration ttl) { mutex_.extend(ttl); }
  /// As mutex::try_extend().
  result<void> try_extend(duration ttl) { return mutex_.try_extend(ttl); }
  /// As mutex::lost().
  [[nodiscard]] bool lost() const { return mutex_.lost(); }
  /// As mutex::loss().
  [[nodiscard]] loss_token loss() const { return mutex_.loss(); }
  /// As mutex::validity().
  [[nodiscard]] std::chrono::milliseconds validity() const { return mutex_.validity(); }
  /// As mutex::fence().
  [[nodiscard]] std::uint64_t fence() const { return mutex_.fence(); }
  /// As mutex::resource().
  [[nodiscard]] const std::string &resource() const noexcept { return mutex_.resource(); }

private:
  bool enter_again() {
    if (owner_ != std::this_thread::get_id()) return false;
    if (mutex_.validity().count() == 0) {
      detail::raise(error(status::expired, "the lock on \"" + resource() +
                                               "\" was lost; it cannot be locked again before "
                                               "it was unlocked"));
    }
    depth_++;
    return true;
  }

  void entered() {
    depth_ = 1;
    owner_ = std::this_thread::get_id();
  }

  bool entered_if(bool is_locked) {
    if (is_locked) entered();
    return is_locked;
  }

  mutex mutex_;
  // Others may read it at any time; they only see whether it is theirs.
  std::atomic<std::thread::id> owner_{std::thread::id()};
  // The owner's alone.
  std::size_t depth_ = 0;
};

} // namespace redlock

#endif
