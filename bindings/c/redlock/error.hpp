/// @file error.hpp
/// @brief Why an operation failed, node by node.
#ifndef REDLOCK_ERROR_HPP
#define REDLOCK_ERROR_HPP

#include <redlock.h>

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "status.hpp"

namespace redlock {

/// What one node did about an operation that failed.
struct node_report {
  /// Its URL, without user and password.
  std::string address;
  /// status::ok when it voted for the operation, status::contended when another owner holds the lock there, or why it
  /// did not vote.
  redlock::status status;
  /// What happened, in one line; the server's own words where there are some.
  std::string message;
};

/// Why an operation failed: thrown, or held by a result. what() is one line that tells all of it; passwords never
/// appear.
class error : public std::runtime_error {
public:
  /// An error of a status, with a message and with what the nodes did.
  error(redlock::status code, const std::string &what, std::vector<node_report> nodes = {})
      : std::runtime_error(what), code_(code), nodes_(std::make_shared<std::vector<node_report>>(std::move(nodes))) {}

  /// What kind of failure it is.
  [[nodiscard]] redlock::status status() const noexcept { return code_; }

  /// What each node did, in the order of the factory's URLs; empty where no node was asked.
  [[nodiscard]] const std::vector<node_report> &nodes() const noexcept { return *nodes_; }

private:
  redlock::status code_;
  // Shared, so that copying an exception cannot throw.
  std::shared_ptr<const std::vector<node_report>> nodes_;
};

/// Not for users of the library.
namespace detail {

inline std::string string_or_empty(const char *chars) { return chars == nullptr ? std::string() : std::string(chars); }

inline std::vector<node_report> reports_of(const redlock_error *raw) {
  std::vector<node_report> reports;
  std::size_t count = ::redlock_error_node_count(raw);
  reports.reserve(count);
  for (std::size_t i = 0; i < count; i++) {
    reports.push_back({string_or_empty(::redlock_error_node_address(raw, i)),
                       static_cast<redlock::status>(::redlock_error_node_status(raw, i)),
                       string_or_empty(::redlock_error_node_message(raw, i))});
  }
  return reports;
}

/// The error that a C function gave, which is freed; `raw` may be null.
inline error take_error(redlock_status code, redlock_error *raw) {
  std::unique_ptr<redlock_error, void (*)(redlock_error *)> owned(raw, ::redlock_error_free);
  const char *what = raw == nullptr ? ::redlock_status_message(code) : ::redlock_error_message(raw);
  return error(static_cast<redlock::status>(code), what, reports_of(raw));
}

/// Throws the error; without exceptions, prints it and ends the program.
[[noreturn]] inline void raise(const error &failure) {
#if defined(__cpp_exceptions)
  throw error(failure);
#else
  std::fprintf(stderr, "redlock: %s\n", failure.what());
  std::abort();
#endif
}

} // namespace detail
} // namespace redlock

#endif
