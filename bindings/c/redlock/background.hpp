/// @file background.hpp
/// @brief The thread that takes outcomes from the library and hands them to futures and to those who watch a lock.
///
/// Not for users of the library.
#ifndef REDLOCK_BACKGROUND_HPP
#define REDLOCK_BACKGROUND_HPP

#include <redlock.h>

#include <signal.h>
#include <sys/types.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>
#include <unordered_map>
#include <utility>

#include "error.hpp"
#include "result.hpp"

namespace redlock {
namespace detail {

/// Whether this is a thread that others wait for, so that it must not wait itself.
inline bool &is_background_thread() noexcept {
  thread_local bool is_it = false;
  return is_it;
}

/// What becomes of one event.
class completion {
public:
  completion() = default;
  completion(const completion &) = delete;
  completion &operator=(const completion &) = delete;
  virtual ~completion() = default;

  /// The event has come. Takes its lock; its error is `failure`, when its status is not REDLOCK_OK.
  virtual void end(redlock_event &event, const error *failure) = 0;
  /// There will be no event.
  virtual void give_up(const error &failure) = 0;
};

/// A queue, the completions of what was submitted to it, and the thread that brings them together.
class dispatcher {
public:
  static result<std::shared_ptr<dispatcher>> start() {
    redlock_queue *queue = nullptr;
    result<void> made = attempt([&](redlock_error **err) { return ::redlock_queue_new(&queue, err); });
    if (!made) return made.error();
    std::shared_ptr<dispatcher> started(new dispatcher(queue));
    result<void> begun = started->start_thread();
    if (!begun) return begun.error();
    return started;
  }

  dispatcher(const dispatcher &) = delete;
  dispatcher &operator=(const dispatcher &) = delete;

  /// Ends the thread. What is still under way is given up.
  ~dispatcher() {
    ::redlock_queue_free(shared_->queue);
    if (!thread_.joinable()) return;
    // The thread itself may have dropped the last thing that needed it.
    if (thread_.get_id() == std::this_thread::get_id()) thread_.detach();
    else thread_.join();
  }

  /// Submits an operation by `call(queue, id, err)`, and returns its id. On failure `done` is given back, unless it was
  /// given up meanwhile.
  template <typename Call> result<std::uint64_t> submit(std::unique_ptr<completion> &done, Call call) {
    std::uint64_t id = next_id_++;
    // Before the call, since the event may come before it returns.
    if (!shared_->enter(id, done)) return error(status::system, "the thread that waits for outcomes has ended");
    result<void> begun = attempt([&](redlock_error **err) { return call(shared_->queue, id, err); });
    if (begun) return id;
    done = shared_->leave(id);
    return begun.error();
  }

  /// Cancels an operation, if it has not ended.
  void cancel(std::uint64_t id) noexcept { ::redlock_cancel(shared_->queue, id, nullptr); }

  /// Forgets a completion; its event, if one comes, is nobody's.
  void forget(std::uint64_t id) noexcept {
    // A parent's mutex may have been locked at the moment of the fork, and stay so here for ever.
    if (owner_ == ::getpid()) shared_->leave(id);
  }

private:
  struct shared {
    explicit shared(redlock_queue *the_queue) noexcept : queue(the_queue) {}

    // Takes `done`, unless the thread has ended.
    bool enter(std::uint64_t id, std::unique_ptr<completion> &done) {
      std::lock_guard<std::mutex> guard(mutex);
      if (ended) return false;
      completions.emplace(id, std::move(done));
      return true;
    }

    std::unique_ptr<completion> leave(std::uint64_t id) noexcept {
      std::lock_guard<std::mutex> guard(mutex);
      auto found = completions.find(id);
      if (found == completions.end()) return nullptr;
      std::unique_ptr<completion> done = std::move(found->second);
      completions.erase(found);
      return done;
    }

    redlock_queue *const queue;
    std::mutex mutex;
    bool ended = false;
    std::unordered_map<std::uint64_t, std::unique_ptr<completion>> completions;
  };

  explicit dispatcher(redlock_queue *queue) : shared_(std::make_shared<shared>(queue)) {}

  // The program's signals are for its own threads to handle, so this one takes none.
  class without_signals {
  public:
    without_signals() noexcept {
      sigset_t all;
      ::sigfillset(&all);
      ::pthread_sigmask(SIG_SETMASK, &all, &before_);
    }
    without_signals(const without_signals &) = delete;
    without_signals &operator=(const without_signals &) = delete;
    ~without_signals() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

  private:
    sigset_t before_;
  };

  result<void> start_thread() {
    // The new thread inherits the mask.
    without_signals masked;
#if defined(__cpp_exceptions)
    try {
      thread_ = std::thread(run, shared_);
    } catch (const std::system_error &refusal) {
      return error(status::system, std::string("a thread cannot be started: ") + refusal.what());
    }
#else
    thread_ = std::thread(run, shared_);
#endif
    return {};
  }

  static void run(std::shared_ptr<shared> mine) {
    is_background_thread() = true;
    std::array<redlock_event, 64> events;
    std::size_t count = 0;
    redlock_error *raw = nullptr;
    redlock_status code = REDLOCK_OK;
    for (;;) {
      code = ::redlock_queue_next(mine->queue, events.data(), events.size(), -1, &count, &raw);
      if (code != REDLOCK_OK) break;
      for (std::size_t i = 0; i < count; i++) hand_over(*mine, events[i]);
    }
    give_up_all(*mine, take_error(code, raw));
  }

  static void hand_over(shared &mine, redlock_event &event) {
    std::optional<error> failure;
    if (event.status != REDLOCK_OK) failure = take_error(event.status, event.error);
    std::unique_ptr<completion> done = mine.leave(event.id);
    if (done) done->end(event, failure ? &*failure : nullptr);
    else ::redlock_lock_free(event.lock);
  }

  static void give_up_all(shared &mine, const error &reason) {
    std::unordered_map<std::uint64_t, std::unique_ptr<completion>> left;
    {
      std::lock_guard<std::mutex> guard(mine.mutex);
      mine.ended = true;
      left.swap(mine.completions);
    }
    for (auto &entry : left) entry.second->give_up(reason);
  }

  const pid_t owner_ = ::getpid();
  std::shared_ptr<shared> shared_;
  std::atomic<std::uint64_t> next_id_{1};
  std::thread thread_;
};

/// The dispatcher of a factory and its locks, started when it is first needed; in a forked child one of its own.
class background {
public:
  background() = default;
  background(const background &) = delete;
  background &operator=(const background &) = delete;

  ~background() { dispose(running_.load()); }

  /// The dispatcher, which lives as long as the caller needs it.
  result<std::shared_ptr<dispatcher>> get() {
    for (;;) {
      place *current = running_.load();
      if (current != nullptr && current->owner == ::getpid()) return current->it;
      result<std::shared_ptr<dispatcher>> started = dispatcher::start();
      if (!started) return started;
      // What a parent process had is left alone: its thread is not in this process.
      auto fresh = std::make_unique<place>(place{::getpid(), *started});
      if (running_.compare_exchange_strong(current, fresh.get())) {
        fresh.release();
        return started;
      }
    }
  }

private:
  struct place {
    pid_t owner;
    std::shared_ptr<dispatcher> it;
  };

  static void dispose(place *last) {
    if (last != nullptr && last->owner == ::getpid()) delete last;
  }

  // No mutex, which a fork might leave locked for ever in the child.
  std::atomic<place *> running_{nullptr};
};

} // namespace detail
} // namespace redlock

#endif
