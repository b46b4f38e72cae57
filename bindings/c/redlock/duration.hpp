/// @file duration.hpp
/// @brief A TTL, or how long to wait: any duration of std::chrono, in whole milliseconds.
#ifndef REDLOCK_DURATION_HPP
#define REDLOCK_DURATION_HPP

#include <chrono>
#include <cstdint>
#include <limits>
#include <optional>
#include <ratio>

#include "error.hpp"

namespace redlock {

/// Converts from any duration of std::chrono, rounded up to whole milliseconds; from one that is too long for 64 bits
/// it becomes the longest that there is. redlock::forever is one more.
class duration {
public:
  /// The milliseconds of a duration. Floating-point ones are welcome; one that is not a number is refused where it is
  /// used.
  template <typename Rep, typename Period>
  constexpr duration(const std::chrono::duration<Rep, Period> &time)
      : milliseconds_(rounded_up(time)), is_number_(time.count() == time.count()) {}

  /// Without end.
  static constexpr duration infinite() noexcept { return duration(); }

  /// Whether it is without end.
  [[nodiscard]] constexpr bool is_infinite() const noexcept { return is_infinite_; }

  /// As a time to wait, in C's terms: -1 without end. A negative one has passed already, so it is 0.
  [[nodiscard]] constexpr std::int64_t wait_ms() const noexcept {
    if (is_infinite_) return -1;
    return milliseconds_ < 0 ? 0 : milliseconds_;
  }

  /// As a TTL, in C's terms.
  [[nodiscard]] constexpr std::uint64_t ttl_ms() const noexcept {
    return milliseconds_ < 0 ? 0 : static_cast<std::uint64_t>(milliseconds_);
  }

  /// Why it cannot be a time to wait, if so.
  [[nodiscard]] std::optional<error> wait_refusal() const {
    if (is_number_) return std::nullopt;
    return error(status::invalid_argument, "the time to wait is not a number");
  }

  /// Why it cannot be a TTL, if so; whether it is too short or too long is for the library to say.
  [[nodiscard]] std::optional<error> ttl_refusal() const {
    if (!is_number_) return error(status::invalid_argument, "the TTL is not a number");
    if (is_infinite_) return error(status::invalid_argument, "a TTL must have an end; see keep_alive()");
    if (milliseconds_ < 0) return error(status::invalid_argument, "the TTL is negative; it must be at least 1 ms");
    return std::nullopt;
  }

private:
  using limits = std::numeric_limits<std::int64_t>;

  constexpr duration() noexcept : milliseconds_(limits::max()), is_number_(true), is_infinite_(true) {}

  // Compares before it converts, since converting what does not fit is undefined.
  template <typename Rep, typename Period>
  static constexpr std::int64_t rounded_up(const std::chrono::duration<Rep, Period> &time) {
    using approximate = std::chrono::duration<long double, std::milli>;
    long double estimate = approximate(time).count();
    if (!(estimate == estimate)) return 0;
    if (estimate >= static_cast<long double>(limits::max())) return limits::max();
    if (estimate <= static_cast<long double>(limits::min())) return limits::min();
    return std::chrono::ceil<std::chrono::duration<std::int64_t, std::milli>>(time).count();
  }

  std::int64_t milliseconds_;
  bool is_number_;
  bool is_infinite_ = false;
};

/// A time to wait without end.
inline constexpr duration forever = duration::infinite();
/// No time to wait: one try.
inline constexpr duration no_wait = duration(std::chrono::milliseconds(0));

} // namespace redlock

#endif
