/// @file holder.hpp
/// @brief A party that may take its lock again while it holds it, from whichever thread.
#ifndef REDLOCK_HOLDER_HPP
#define REDLOCK_HOLDER_HPP

#include <redlock.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "duration.hpp"
#include "error.hpp"
#include "factory.hpp"
#include "queue.hpp"
#include "result.hpp"
#include "text.hpp"

namespace redlock {

/// Counts: the first acquire takes the lock, the last release gives it back, and those between touch no node. Whoever
/// uses this object is the same party, also from another thread; recursive_mutex goes by threads instead.
class holder {
public:
  /// A holder of `resource`, which holds nothing yet; throws status::invalid_argument or status::closed.
  holder(const factory &from, const text &resource, duration ttl) : holder(try_make(from, resource, ttl).value()) {}

  /// A holder that holds nothing yet.
  static result<holder> try_make(const factory &from, const text &resource, duration ttl) {
    if (std::optional<error> refused = from.refusal(resource.refusal(), ttl, no_wait)) return *refused;
    redlock_reentrant *made = nullptr;
    result<void> outcome = detail::attempt([&](redlock_error **err) {
      return ::redlock_reentrant_new(from.c_handle(), resource.c_str(), ttl.ttl_ms(), &made, err);
    });
    if (!outcome) return outcome.error();
    return holder(made);
  }

  holder(holder &&) = default;
  holder &operator=(holder &&) = default;
  /// Releases what is still held, in the background.
  ~holder() = default;

  /// Acquires the lock, or counts one more; each success asks for one release(). Throws as factory::acquire() does, and
  /// status::expired when the lock that this holder has was lost: then the acquires before still ask for their
  /// releases.
  void acquire(duration wait = forever) { try_acquire(wait).value(); }
  /// acquire() with a result; without `wait`, it tries once.
  result<void> try_acquire(duration wait = no_wait) {
    if (std::optional<error> refused = wait.wait_refusal()) return *refused;
    return detail::attempt(
        [&](redlock_error **err) { return ::redlock_reentrant_acquire(c_handle(), wait.wait_ms(), err); });
  }

  /// Takes back one acquire; the last one releases the lock, and throws as lock::release() does.
  void release() { try_release().value(); }
  /// release(), with a result.
  result<void> try_release() {
    return detail::attempt([&](redlock_error **err) { return ::redlock_reentrant_release(c_handle(), err); });
  }

  /// Keeps the lock alive until the last release; to be called anew after each first acquire.
  void keep_alive() { try_keep_alive().value(); }
  /// keep_alive(), with a result.
  result<void> try_keep_alive() {
    return detail::attempt(
        [&](redlock_error **err) { return ::redlock_reentrant_keep_alive(c_handle(), nullptr, 0, err); });
  }
  /// keep_alive() that tells of the loss by an event_kind::lost on the queue.
  void keep_alive(queue &to, std::uint64_t id) { try_keep_alive(to, id).value(); }
  /// keep_alive() on a queue, with a result.
  result<void> try_keep_alive(queue &to, std::uint64_t id) {
    // C would take null for no wish to be told.
    if (to.c_handle() == nullptr) return error(status::invalid_argument, "the queue was moved away");
    return detail::attempt(
        [&](redlock_error **err) { return ::redlock_reentrant_keep_alive(c_handle(), to.c_handle(), id, err); });
  }

  /// How many acquires have not been released yet.
  [[nodiscard]] std::size_t count() const noexcept { return ::redlock_reentrant_count(c_handle()); }
  /// The time for which the lock is still proven to be held; 0 when it is not.
  [[nodiscard]] std::chrono::milliseconds validity() const noexcept {
    return std::chrono::milliseconds(::redlock_reentrant_validity_ms(c_handle()));
  }
  /// Whether the lock is proven to be held at this moment.
  [[nodiscard]] bool held() const noexcept { return ::redlock_reentrant_validity_ms(c_handle()) > 0; }
  /// The fencing token, as lock::fence(): one for all acquires until the last release.
  [[nodiscard]] std::uint64_t fence() const noexcept { return ::redlock_reentrant_fence(c_handle()); }

  /// The handle of C, which stays this object's; null after moving away.
  [[nodiscard]] redlock_reentrant *c_handle() const noexcept { return handle_.get(); }

private:
  struct deleter {
    void operator()(redlock_reentrant *handle) const noexcept { ::redlock_reentrant_free(handle); }
  };

  explicit holder(redlock_reentrant *handle) noexcept : handle_(handle) {}

  std::unique_ptr<redlock_reentrant, deleter> handle_;
};

} // namespace redlock

#endif
