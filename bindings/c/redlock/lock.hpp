/// @file lock.hpp
/// @brief A lock that is held, and given back at the end of its scope.
#ifndef REDLOCK_LOCK_HPP
#define REDLOCK_LOCK_HPP

#include <redlock.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "background.hpp"
#include "duration.hpp"
#include "error.hpp"
#include "loss.hpp"
#include "pending.hpp"
#include "result.hpp"

namespace redlock {

class queue;

/// One grant of a lock, owned by this object: when it is destroyed while the lock is held, the lock is released, which
/// blocks for about one round trip to the nodes and at most the node timeout; detach() leaves it held instead. Made by
/// a factory; it does not need its factory to live.
class [[nodiscard]] lock {
public:
  /// No lock: held() is false, and operations fail with status::invalid_argument.
  lock() = default;
  lock(lock &&) = default;
  /// Releases the lock that it stood for before.
  lock &operator=(lock &&other) noexcept {
    lock(std::move(other)).swap(*this);
    return *this;
  }
  ~lock() { close(); }

  /// Exchanges two locks.
  void swap(lock &other) noexcept { grant_.swap(other.grant_); }

  // --- What it is ---

  /// The time for which it is still proven to be held, rounded down; 0 when it is not. Does not block and asks no node.
  [[nodiscard]] std::chrono::milliseconds validity() const noexcept {
    return std::chrono::milliseconds(::redlock_lock_validity_ms(c_handle()));
  }
  /// Whether it is proven to be held at this moment.
  [[nodiscard]] bool held() const noexcept { return ::redlock_lock_validity_ms(c_handle()) > 0; }
  /// The same as held().
  explicit operator bool() const noexcept { return held(); }

  /// The fencing token: larger than that of every lock on the same resource whose acquire had succeeded before this
  /// one's began. Send it along with each write, and have the storage refuse a number below the highest that it has
  /// seen. 0 with the option fencing=off.
  [[nodiscard]] std::uint64_t fence() const noexcept { return ::redlock_lock_fence(c_handle()); }
  /// The fencing token for each of resources().
  [[nodiscard]] std::vector<std::uint64_t> fences() const {
    std::vector<std::uint64_t> all(::redlock_lock_resource_count(c_handle()));
    for (std::size_t i = 0; i < all.size(); i++) all[i] = ::redlock_lock_fence_at(c_handle(), i);
    return all;
  }
  /// The name of what is locked, and of several the first; empty when this is no lock.
  [[nodiscard]] std::string resource() const { return detail::string_or_empty(::redlock_lock_resource(c_handle())); }
  /// The names of all that is locked, in the order in which they were given to factory::acquire_many().
  [[nodiscard]] std::vector<std::string> resources() const {
    std::vector<std::string> all(::redlock_lock_resource_count(c_handle()));
    for (std::size_t i = 0; i < all.size(); i++) {
      all[i] = detail::string_or_empty(::redlock_lock_resource_at(c_handle(), i));
    }
    return all;
  }
  /// The value of its key on the nodes, unique to this grant.
  [[nodiscard]] std::string token() const { return detail::string_or_empty(::redlock_lock_token(c_handle())); }

  // --- Its end ---

  /// Gives the lock back, and waits until a quorum of nodes has freed it. Whatever the outcome, it is not held any
  /// more. Throws status::expired when it had been lost before, which is worth knowing: another owner may have been at
  /// work; status::released when it was given back before; status::no_quorum when too few nodes could be told, which
  /// then free it when its TTL ends.
  void release() { try_release().value(); }
  /// release(), with a result.
  result<void> try_release() {
    if (!grant_) return nothing_here();
    grant_->finish();
    result<void> outcome = detail::attempt([&](redlock_error **err) { return ::redlock_release(c_handle(), err); });
    if (outcome.status() == status::expired) grant_->loss.lose_late(outcome.error());
    return outcome;
  }
  /// release() as a future. The release goes out at once, and is not stopped when the future is dropped.
  pending<void> release_async() { return begin_release<void>(); }
  /// release_async() with a result.
  pending<result<void>> try_release_async() { return begin_release<result<void>>(); }

  /// Lets go of the lock without giving it back: it stays held on the nodes until its TTL ends, is not kept alive any
  /// more, and nobody can release it. For work that is to be done at most once in a period. This object is no lock
  /// afterwards; its tokens report no loss. Does not block and asks no node.
  void detach() noexcept {
    if (!grant_) return;
    grant_->finish();
    ::redlock_lock_detach(grant_->handle);
    grant_->home.reset();
    grant_.reset();
  }

  // --- More time ---

  /// Has the lock last for at least `ttl` from now; it never ends earlier by that than it would. A lock that is lost is
  /// not taken again, and a failed extension leaves it as it is, held until its validity ends. Throws
  /// status::expired, status::released or status::no_quorum.
  void extend(duration ttl) { try_extend(ttl).value(); }
  /// extend(), with a result.
  result<void> try_extend(duration ttl) {
    if (std::optional<error> refused = ttl.ttl_refusal()) return *refused;
    return detail::attempt([&](redlock_error **err) { return ::redlock_extend(c_handle(), ttl.ttl_ms(), err); });
  }
  /// extend() as a future.
  pending<void> extend_async(duration ttl) { return begin_extend<void>(ttl); }
  /// extend_async() with a result.
  pending<result<void>> try_extend_async(duration ttl) { return begin_extend<result<void>>(ttl); }

  // --- Its life and loss ---

  /// Keeps it alive: it is extended at a third of its TTL until it is released, destroyed or lost, or its factory is
  /// closed. When it can't be extended any more, `on_loss` is called, and every function given to
  /// loss_token::on_loss(): a tenth of the TTL before the validity ends at the latest, so that its owner can stop in
  /// time. Throws status::expired when it is lost already, status::released, or status::system when no thread can be
  /// started.
  void keep_alive(loss_callback on_loss = nullptr) { try_keep_alive(std::move(on_loss)).value(); }
  /// keep_alive(), with a result.
  result<void> try_keep_alive(loss_callback on_loss = nullptr) {
    if (!grant_) return nothing_here();
    return grant_->keep_alive(std::move(on_loss));
  }

  /// Whether it was lost: its validity ended while nobody gave it back.
  [[nodiscard]] bool lost() const { return loss().lost(); }
  /// Tells others of the loss.
  [[nodiscard]] loss_token loss() const { return grant_ ? loss_token(grant_->losses()) : loss_token(); }

  // --- On a queue of the caller's ---

  /// keep_alive() that tells of the loss by an event_kind::lost on the queue instead: at most one, and none after the
  /// lock was released. Takes the place of an earlier call, as a later one takes the place of this.
  void keep_alive(queue &to, std::uint64_t id) { try_keep_alive(to, id).value(); }
  /// keep_alive() on a queue, with a result.
  result<void> try_keep_alive(queue &to, std::uint64_t id);
  /// Begins to release; ends in one event_kind::release of the queue. `id` is free to choose, but no other operation
  /// under way on this queue may have it.
  void submit_release(queue &to, std::uint64_t id) { try_submit_release(to, id).value(); }
  /// submit_release(), with a result.
  result<void> try_submit_release(queue &to, std::uint64_t id);
  /// Begins to extend; ends in one event_kind::extend of the queue.
  void submit_extend(duration ttl, queue &to, std::uint64_t id) { try_submit_extend(ttl, to, id).value(); }
  /// submit_extend(), with a result.
  result<void> try_submit_extend(duration ttl, queue &to, std::uint64_t id);

  /// The handle of C, which stays this object's; null when this is no lock.
  [[nodiscard]] redlock_lock *c_handle() const noexcept { return grant_ ? grant_->handle : nullptr; }

  /// Not for users of the library: takes the handle over.
  lock(redlock_lock *handle, std::shared_ptr<detail::background> home)
      : grant_(std::make_shared<grant>(handle, std::move(home))) {}

private:
  // What the object owns: one allocation, whose address stays when the object moves.
  struct grant : std::enable_shared_from_this<grant> {
    grant(redlock_lock *the_handle, std::shared_ptr<detail::background> the_home)
        : handle(the_handle), home(std::move(the_home)), loss(the_handle) {}

    result<void> keep_alive(loss_callback on_loss) {
      result<std::shared_ptr<detail::dispatcher>> there = home->get();
      if (!there) return there.error();
      result<void> begun = watch(*there);
      // Not under our mutex, since it may be called at once.
      if (begun) loss.add(std::move(on_loss));
      return begun;
    }

    result<void> watch(const std::shared_ptr<detail::dispatcher> &there) {
      std::lock_guard<std::mutex> guard(watch_mutex);
      std::unique_ptr<detail::completion> told = std::make_unique<detail::loss_completion>(losses());
      result<std::uint64_t> begun =
          there->submit(told, [this](redlock_queue *queue, std::uint64_t id, redlock_error **err) {
            return ::redlock_lock_keep_alive(handle, queue, id, err);
          });
      if (!begun) return begun.error();
      unwatch();
      watcher = there;
      watch_id = *begun;
      return {};
    }

    // Nobody is told of a loss any more.
    void finish() {
      loss.finish();
      std::lock_guard<std::mutex> guard(watch_mutex);
      unwatch();
    }

    void unwatch() noexcept {
      if (watcher) watcher->forget(watch_id);
      watcher.reset();
    }

    std::shared_ptr<detail::loss_state> losses() { return {this->shared_from_this(), &loss}; }

    redlock_lock *const handle;
    std::shared_ptr<detail::background> home;
    detail::loss_state loss;
    std::mutex watch_mutex;
    // Where the event of its loss comes in, while it is kept alive.
    std::shared_ptr<detail::dispatcher> watcher;
    std::uint64_t watch_id = 0;
  };

  static error nothing_here() { return error(status::invalid_argument, "this lock was moved away, or never acquired"); }

  template <typename Promised> pending<Promised> begin_release() {
    if (grant_) grant_->finish();
    return detail::begin<Promised, void>(
        home(), std::nullopt,
        [handle = c_handle()](redlock_queue *queue, std::uint64_t id, redlock_error **err) {
          return ::redlock_submit_release(handle, queue, id, err);
        },
        [](redlock_event &, const std::shared_ptr<detail::background> &) { return result<void>(); });
  }

  template <typename Promised> pending<Promised> begin_extend(duration ttl) {
    return detail::begin<Promised, void>(
        home(), ttl.ttl_refusal(),
        [handle = c_handle(), ttl](redlock_queue *queue, std::uint64_t id, redlock_error **err) {
          return ::redlock_submit_extend(handle, ttl.ttl_ms(), queue, id, err);
        },
        [](redlock_event &, const std::shared_ptr<detail::background> &) { return result<void>(); });
  }

  std::shared_ptr<detail::background> home() const { return grant_ ? grant_->home : nullptr; }

  void close() noexcept {
    if (!grant_) return;
    if (!grant_->loss.is_over()) {
      grant_->finish();
      // The background thread never waits, so there it is released in the background.
      if (!detail::is_background_thread()) ::redlock_release(grant_->handle, nullptr);
    }
    ::redlock_lock_free(grant_->handle);
    grant_->home.reset();
  }

  std::shared_ptr<grant> grant_;
};

} // namespace redlock

// Completes what takes a queue; queue.hpp needs this class first.
#include "queue.hpp"

#endif
