/// @file status.hpp
/// @brief How an operation ended, or what one node did about it.
#ifndef REDLOCK_STATUS_HPP
#define REDLOCK_STATUS_HPP

#include <redlock.h>

namespace redlock {

/// The outcome of an operation. Later versions may add some: treat an unknown one as a failure.
enum class status : redlock_status {
  /// Success; as a node's status: the node voted for the operation.
  ok = REDLOCK_OK,
  /// Another owner holds the lock. Trying again later may succeed.
  contended = REDLOCK_ERR_CONTENDED,
  /// Too few nodes could be reached, answered in time or were willing to vote: see error::nodes().
  no_quorum = REDLOCK_ERR_NO_QUORUM,
  /// The lock is not held any more. Stop using what it protects.
  expired = REDLOCK_ERR_EXPIRED,
  /// The operation was cancelled.
  cancelled = REDLOCK_ERR_CANCELLED,
  /// The lock was already released.
  released = REDLOCK_ERR_RELEASED,
  /// An argument is malformed or out of range, or an object was moved away.
  invalid_argument = REDLOCK_ERR_INVALID_ARGUMENT,
  /// The object belongs to the parent process, which made it before the fork.
  forked = REDLOCK_ERR_FORKED,
  /// The factory or queue was closed.
  closed = REDLOCK_ERR_CLOSED,
  /// The operating system refused a thread, a descriptor or memory; or libredlock is older than this header.
  system = REDLOCK_ERR_SYSTEM,
  /// A defect of the library; please report the message.
  internal = REDLOCK_ERR_INTERNAL,
  /// Only of a node: it did not answer within the node timeout.
  timeout = REDLOCK_ERR_TIMEOUT,
  /// Only of a node: there is no connection to it.
  unreachable = REDLOCK_ERR_UNREACHABLE,
  /// Only of a node: it answered with an error.
  server = REDLOCK_ERR_SERVER,
  /// Only of a node: it is connected but must not vote (yet).
  not_admitted = REDLOCK_ERR_NOT_ADMITTED,
  /// Only of a node: it had not answered when the outcome was already certain.
  unanswered = REDLOCK_ERR_UNANSWERED
};

/// The name of a status, such as "REDLOCK_ERR_CONTENDED"; never null.
[[nodiscard]] inline const char *name(status code) noexcept {
  return ::redlock_status_name(static_cast<redlock_status>(code));
}

/// One sentence that says what a status means; never null.
[[nodiscard]] inline const char *message(status code) noexcept {
  return ::redlock_status_message(static_cast<redlock_status>(code));
}

} // namespace redlock

#endif
