/// @file pending.hpp
/// @brief The future of an operation that can be cancelled.
#ifndef REDLOCK_PENDING_HPP
#define REDLOCK_PENDING_HPP

#include <cstdint>
#include <exception>
#include <future>
#include <memory>
#include <utility>

#include "background.hpp"
#include "error.hpp"
#include "result.hpp"

namespace redlock {

/// A std::future of an operation under way, which can be cancelled too; it converts to std::future by moving.
///
/// When it is destroyed before its value was taken, the operation is cancelled, and a lock that it won goes back. A
/// plain std::future made of it cancels nothing, but gives back a lock that nobody took.
template <typename T> class pending : public std::future<T> {
public:
  /// No operation.
  pending() = default;
  pending(pending &&) = default;
  /// Cancels what it stood for before.
  pending &operator=(pending &&other) {
    if (this == &other) return *this;
    drop();
    std::future<T>::operator=(std::move(other));
    dispatcher_ = std::move(other.dispatcher_);
    id_ = other.id_;
    return *this;
  }
  ~pending() { drop(); }

  /// Cancels the operation. An acquire then ends with status::cancelled and leaves nothing locked, unless it has ended
  /// before; a release or an extension is not stopped.
  void cancel() noexcept {
    if (dispatcher_) dispatcher_->cancel(id_);
  }

  /// Not for users of the library.
  pending(std::future<T> waiting, std::shared_ptr<detail::dispatcher> the_dispatcher, std::uint64_t id) noexcept
      : std::future<T>(std::move(waiting)), dispatcher_(std::move(the_dispatcher)), id_(id) {}

private:
  void drop() noexcept {
    if (this->valid()) cancel();
  }

  std::shared_ptr<detail::dispatcher> dispatcher_;
  std::uint64_t id_ = 0;
};

namespace detail {

/// Keeps a promise of a value: a failure becomes the future's exception.
template <typename T> void settle(std::promise<T> &promise, result<T> outcome) {
  if (outcome) promise.set_value(std::move(outcome).value());
  else promise.set_exception(std::make_exception_ptr(outcome.error()));
}
/// Keeps a promise of nothing but success.
inline void settle(std::promise<void> &promise, const result<void> &outcome) {
  if (outcome) promise.set_value();
  else promise.set_exception(std::make_exception_ptr(outcome.error()));
}
/// Keeps a promise of a result.
template <typename T> void settle(std::promise<result<T>> &promise, result<T> outcome) {
  promise.set_value(std::move(outcome));
}

/// The completion of an operation that a future waits for. `Promised` is T or result<T>; `Convert` makes a T of an
/// event and the background.
template <typename Promised, typename T, typename Convert> class promised final : public completion {
public:
  promised(std::shared_ptr<background> home, Convert convert) : home_(std::move(home)), convert_(std::move(convert)) {}

  std::future<Promised> future() { return promise_.get_future(); }

  void end(redlock_event &event, const error *failure) override {
    keep(failure == nullptr ? convert_(event, home_) : result<T>(*failure));
  }

  void give_up(const error &failure) override { keep(failure); }

private:
  // Lets go of the background first: whoever waits may want it to end, and to wait for that.
  void keep(result<T> outcome) {
    home_.reset();
    settle(promise_, std::move(outcome));
  }

  std::promise<Promised> promise_;
  // Keeps the thread alive that will come by here.
  std::shared_ptr<background> home_;
  Convert convert_;
};

/// Begins an operation that a future waits for, unless `refused` says why not.
template <typename Promised, typename T, typename Call, typename Convert>
pending<Promised> begin(const std::shared_ptr<background> &home, std::optional<error> refused, Call call,
                        Convert convert) {
  auto kept = std::make_unique<promised<Promised, T, Convert>>(home, std::move(convert));
  std::future<Promised> future = kept->future();
  std::unique_ptr<completion> done = std::move(kept);
  if (!refused && !home) refused = error(status::invalid_argument, "the object was moved away");
  if (!refused) {
    result<std::shared_ptr<dispatcher>> there = home->get();
    result<std::uint64_t> begun =
        there ? (*there)->submit(done, std::move(call)) : result<std::uint64_t>(there.error());
    if (begun) return pending<Promised>(std::move(future), *there, *begun);
    refused = begun.error();
  }
  if (done) done->give_up(*refused);
  return pending<Promised>(std::move(future), nullptr, 0);
}

} // namespace detail
} // namespace redlock

#endif
