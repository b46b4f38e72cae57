/// @file log.hpp
/// @brief What the library has to say while it works.
#ifndef REDLOCK_LOG_HPP
#define REDLOCK_LOG_HPP

#include <redlock.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <list>
#include <mutex>
#include <utility>

#include "error.hpp"
#include "result.hpp"

namespace redlock {

/// How important a message is.
enum class log_level : std::int32_t {
  /// Something is broken and stays so until somebody acts.
  error = REDLOCK_LOG_ERROR,
  /// Something is not as it should be; the library copes.
  warn = REDLOCK_LOG_WARN,
  /// A change worth knowing, such as a node that came back.
  info = REDLOCK_LOG_INFO,
  /// Everything else.
  debug = REDLOCK_LOG_DEBUG
};

/// Receives messages of one line, which live until it returns. It is called from several threads at once, also from the
/// library's own; it must not call the library and should return soon. What it throws is dropped.
using log_function = std::function<void(log_level level, const char *message)>;

namespace detail {

// Counts the functions that were set. The library orders their making before their calls already, but out of sight of a
// thread sanitizer; this lets it see.
inline std::atomic<unsigned> &log_functions_made() noexcept {
  static std::atomic<unsigned> count{0};
  return count;
}

// Functions that were set before may still be running, so none is ever destroyed.
inline const log_function &kept_for_ever(log_function function) {
  static std::mutex &mutex = *new std::mutex;
  static std::list<log_function> &functions = *new std::list<log_function>;
  std::lock_guard<std::mutex> guard(mutex);
  const log_function &kept = functions.emplace_back(std::move(function));
  log_functions_made().fetch_add(1, std::memory_order_release);
  return kept;
}

inline void call_log_function(std::int32_t level, const char *message, void *user_data) {
  static_cast<void>(log_functions_made().load(std::memory_order_acquire));
  const log_function &function = *static_cast<const log_function *>(user_data);
#if defined(__cpp_exceptions)
  try {
    function(static_cast<log_level>(level), message);
  } catch (...) {
  }
#else
  function(static_cast<log_level>(level), message);
#endif
}

} // namespace detail

/// Sets the function that receives the log of the whole process, from `least` on; an empty one silences it.
inline result<void> try_set_log(log_level least, log_function function) {
  const std::int32_t level = static_cast<std::int32_t>(least);
  if (!function) {
    return detail::attempt([&](redlock_error **err) { return ::redlock_log_set(nullptr, level, nullptr, err); });
  }
  void *kept = const_cast<log_function *>(&detail::kept_for_ever(std::move(function)));
  return detail::attempt(
      [&](redlock_error **err) { return ::redlock_log_set(detail::call_log_function, level, kept, err); });
}

/// Sets the function that receives the log of the whole process, from `least` on; an empty one silences it.
inline void set_log(log_level least, log_function function) { try_set_log(least, std::move(function)).value(); }

} // namespace redlock

#endif
