/// @file version.hpp
/// @brief Whether the library that runs is one that this header can use.
#ifndef REDLOCK_VERSION_HPP
#define REDLOCK_VERSION_HPP

#include <redlock.h>

#include <cstdint>
#include <string>

#include "error.hpp"
#include "result.hpp"

namespace redlock {

/// The version of the library that runs, such as "0.1.0"; REDLOCK_VERSION is that of the header.
[[nodiscard]] inline const char *library_version() noexcept { return ::redlock_version(); }

/// Fails when the library that runs is older than this header, which may use functions that it lacks, or of another
/// major version. Done for every factory, queue and set of options that is made.
inline result<void> try_check_version() {
  std::uint32_t header = REDLOCK_VERSION_NUMBER;
  std::uint32_t library = ::redlock_version_number();
  if (library >= header && library / 10000 == header / 10000) return {};
  return error(status::system, std::string("this program was compiled for libredlock ") + REDLOCK_VERSION +
                                   ", but libredlock " + library_version() + " was loaded; it needs " +
                                   REDLOCK_VERSION + " or a later one of the same major version");
}

/// Throws an error when the library that runs is too old or of another major version.
inline void check_version() { try_check_version().value(); }

} // namespace redlock

#endif
