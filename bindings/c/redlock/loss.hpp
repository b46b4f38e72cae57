/// @file loss.hpp
/// @brief How those who work under a lock learn that it was lost.
#ifndef REDLOCK_LOSS_HPP
#define REDLOCK_LOSS_HPP

#include <redlock.h>

#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#if __has_include(<stop_token>)
#include <stop_token>
#endif

#include "background.hpp"
#include "duration.hpp"
#include "error.hpp"

namespace redlock {

/// What is called when a lock was lost.
using loss_callback = std::function<void(const error &reason)>;

namespace detail {

/// What is known about the loss of one lock: shared by the lock, its tokens and the background thread.
class loss_state {
public:
  explicit loss_state(const redlock_lock *handle) noexcept : handle_(handle) {}
  loss_state(const loss_state &) = delete;
  loss_state &operator=(const loss_state &) = delete;
  ~loss_state() = default;

  /// Whether the lock was lost while it should have been held.
  bool is_lost() const {
    // First, so that a release which begins in between is not taken for a loss.
    std::int64_t validity = ::redlock_lock_validity_ms(handle_);
    std::lock_guard<std::mutex> guard(mutex_);
    return reason_.has_value() || (!is_over_ && validity == 0);
  }

  /// Whether it was given back.
  bool is_over() const {
    std::lock_guard<std::mutex> guard(mutex_);
    return is_over_;
  }

  /// Why it was lost, when somebody said so.
  std::optional<error> reason() const {
    std::lock_guard<std::mutex> guard(mutex_);
    return reason_;
  }

  /// Waits until it is lost (true), given back, or the time has passed.
  bool wait(duration time) const {
    using clock = std::chrono::steady_clock;
    const clock::time_point begun = clock::now();
    while (!is_lost() && !is_over()) {
      std::chrono::milliseconds pause(std::max<std::int64_t>(::redlock_lock_validity_ms(handle_), 1));
      if (!time.is_infinite()) {
        const auto passed = std::chrono::floor<std::chrono::milliseconds>(clock::now() - begun).count();
        if (passed >= time.wait_ms()) return false;
        pause = std::min(pause, std::chrono::milliseconds(time.wait_ms() - passed));
      }
      std::unique_lock<std::mutex> guard(mutex_);
      changed_.wait_for(guard, pause, [this] { return reason_.has_value() || is_over_; });
    }
    return is_lost();
  }

  /// Has a function called when the lock is lost: at once when it is.
  void add(loss_callback callback) {
    if (!callback) return;
    std::optional<error> known;
    {
      std::lock_guard<std::mutex> guard(mutex_);
      if (is_over_) return;
      known = reason_;
      if (!known) callbacks_.push_back(std::move(callback));
    }
    if (known) call(callback, *known);
  }

  /// The lock was lost: calls the functions, one after the other.
  void lose(const error &reason) {
    std::unique_lock<std::mutex> guard(mutex_);
    if (is_over_ || reason_) return;
    reason_ = reason;
    changed_.notify_all();
    caller_ = std::this_thread::get_id();
    caller_process_ = ::getpid();
    while (!callbacks_.empty()) {
      loss_callback next = std::move(callbacks_.front());
      callbacks_.pop_front();
      guard.unlock();
      call(next, reason);
      next = nullptr;
      guard.lock();
    }
    caller_ = std::thread::id();
    changed_.notify_all();
  }

  /// The lock is about to be given back, which is no loss: no function is called from now on, and none still runs when
  /// this returns, unless it is that function which calls this.
  void pause() {
    std::unique_lock<std::mutex> guard(mutex_);
    is_over_ = true;
    changed_.notify_all();
    if (runs_elsewhere()) changed_.wait(guard, [this] { return !runs_elsewhere(); });
  }

  /// It was not given back after all.
  void resume() {
    std::lock_guard<std::mutex> guard(mutex_);
    is_over_ = false;
  }

  /// It is given back: pause(), for good.
  void finish() {
    pause();
    std::deque<loss_callback> dropped;
    std::lock_guard<std::mutex> guard(mutex_);
    dropped.swap(callbacks_);
  }

  /// The release found that the lock had been lost before.
  void lose_late(const error &reason) {
    std::lock_guard<std::mutex> guard(mutex_);
    if (!reason_) reason_ = reason;
    changed_.notify_all();
  }

private:
  // Whether another thread of this process is at the functions.
  bool runs_elsewhere() const {
    return caller_ != std::thread::id() && caller_ != std::this_thread::get_id() && caller_process_ == ::getpid();
  }

  // There is nobody on the background thread who could catch what a callback throws.
  static void call(const loss_callback &callback, const error &reason) noexcept {
#if defined(__cpp_exceptions)
    try {
      callback(reason);
    } catch (...) {
    }
#else
    callback(reason);
#endif
  }

  const redlock_lock *const handle_;
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  bool is_over_ = false;
  std::optional<error> reason_;
  std::deque<loss_callback> callbacks_;
  // The thread that calls the functions, and its process, which may be the parent of this one.
  std::thread::id caller_;
  pid_t caller_process_ = 0;
};

/// What becomes of the event of a loss.
class loss_completion final : public completion {
public:
  explicit loss_completion(const std::shared_ptr<loss_state> &state) : state_(state) {}

  void end(redlock_event &, const error *failure) override {
    if (failure != nullptr) give_up(*failure);
  }

  void give_up(const error &failure) override {
    if (std::shared_ptr<loss_state> state = state_.lock()) state->lose(failure);
  }

private:
  // A kept lock does not keep in memory what it belongs to.
  std::weak_ptr<loss_state> state_;
};

} // namespace detail

/// Tells whether a lock was lost; a cheap copy for whoever works under the lock. It may outlive the lock.
class loss_token {
public:
  /// Of no lock: never lost.
  loss_token() = default;

  /// Whether the lock was lost: its validity ended, or it can't be proven held any more, while nobody gave it back.
  [[nodiscard]] bool lost() const { return state_ && state_->is_lost(); }

  /// The same, by the name that std::stop_token has for it.
  [[nodiscard]] bool stop_requested() const { return lost(); }

  /// Why it was lost, as far as it is known: nothing when its validity has just run out.
  [[nodiscard]] std::optional<error> reason() const { return state_ ? state_->reason() : std::nullopt; }

  /// Waits until the lock is lost, which is true; or until it is given back, or the time has passed, which is false.
  bool wait_for(duration time) const { return state_ && state_->wait(time); }

  /// Calls a function when a lock that is kept alive is lost: before its validity ends, from the background thread,
  /// which it should not hold up; or before this returns, when it is lost already. What it throws is dropped. Once the
  /// lock was released or destroyed it is not called, and does not run any more.
  void on_loss(loss_callback callback) const {
    if (state_) state_->add(std::move(callback));
  }

#if defined(__cpp_lib_jthread)
  /// A stop token on which a stop is requested when a lock that is kept alive is lost.
  [[nodiscard]] std::stop_token stop_token() const {
    auto source = std::make_shared<std::stop_source>();
    on_loss([source](const error &) { source->request_stop(); });
    return source->get_token();
  }
#endif

  /// Not for users of the library.
  explicit loss_token(std::shared_ptr<detail::loss_state> state) noexcept : state_(std::move(state)) {}

private:
  std::shared_ptr<detail::loss_state> state_;
};

} // namespace redlock

#endif
