/// @file result.hpp
/// @brief A value, or the error that there is instead.
#ifndef REDLOCK_RESULT_HPP
#define REDLOCK_RESULT_HPP

#include <optional>
#include <utility>
#include <variant>

#include "error.hpp"

namespace redlock {

/// What a `try_` function returns: a T, or an error. Taking the value where there is none throws the error.
template <typename T> class [[nodiscard]] result {
public:
  /// Success.
  result(T value) : content_(std::in_place_index<0>, std::move(value)) {}
  /// Failure.
  result(redlock::error failure) : content_(std::in_place_index<1>, std::move(failure)) {}

  /// Whether there is a value.
  [[nodiscard]] bool has_value() const noexcept { return content_.index() == 0; }
  /// Whether there is a value.
  explicit operator bool() const noexcept { return has_value(); }

  /// The value; throws the error when there is none.
  [[nodiscard]] T &value() & {
    check();
    return *std::get_if<0>(&content_);
  }
  /// The value; throws the error when there is none.
  [[nodiscard]] const T &value() const & {
    check();
    return *std::get_if<0>(&content_);
  }
  /// The value, to be moved away; throws the error when there is none.
  [[nodiscard]] T value() && {
    check();
    return std::move(*std::get_if<0>(&content_));
  }

  /// The same as value().
  [[nodiscard]] T &operator*() & { return value(); }
  /// The same as value().
  [[nodiscard]] const T &operator*() const & { return value(); }
  /// The same as value().
  [[nodiscard]] T operator*() && { return std::move(*this).value(); }
  /// A member of the value; throws the error when there is none.
  [[nodiscard]] T *operator->() { return &value(); }
  /// A member of the value; throws the error when there is none.
  [[nodiscard]] const T *operator->() const { return &value(); }

  /// The error, which there is when has_value() is false.
  [[nodiscard]] const redlock::error &error() const { return std::get<1>(content_); }

  /// status::ok, or that of the error.
  [[nodiscard]] redlock::status status() const noexcept {
    return has_value() ? redlock::status::ok : std::get_if<1>(&content_)->status();
  }

private:
  void check() const {
    if (!has_value()) detail::raise(*std::get_if<1>(&content_));
  }

  std::variant<T, redlock::error> content_;
};

/// What a `try_` function returns that has no value to give: success, or an error.
template <> class [[nodiscard]] result<void> {
public:
  /// Success.
  result() = default;
  /// Failure.
  result(redlock::error failure) : failure_(std::move(failure)) {}

  /// Whether it succeeded.
  [[nodiscard]] bool has_value() const noexcept { return !failure_.has_value(); }
  /// Whether it succeeded.
  explicit operator bool() const noexcept { return has_value(); }

  /// Throws the error, if there is one.
  void value() const {
    if (failure_) detail::raise(*failure_);
  }

  /// The error, which there is when has_value() is false.
  [[nodiscard]] const redlock::error &error() const { return failure_.value(); }

  /// status::ok, or that of the error.
  [[nodiscard]] redlock::status status() const noexcept { return failure_ ? failure_->status() : redlock::status::ok; }

private:
  std::optional<redlock::error> failure_;
};

namespace detail {

/// Calls a C function with a place for its error.
template <typename Call> result<void> attempt(Call call) {
  redlock_error *raw = nullptr;
  redlock_status code = call(&raw);
  if (code == REDLOCK_OK) return {};
  return take_error(code, raw);
}

} // namespace detail
} // namespace redlock

#endif
