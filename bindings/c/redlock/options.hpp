/// @file options.hpp
/// @brief The settings of a factory.
#ifndef REDLOCK_OPTIONS_HPP
#define REDLOCK_OPTIONS_HPP

#include <redlock.h>

#include <chrono>
#include <initializer_list>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "error.hpp"
#include "result.hpp"
#include "text.hpp"
#include "version.hpp"

namespace redlock {

/// One line of the table of all options.
struct option_description {
  /// Such as "node_timeout_ms".
  std::string name;
  /// Empty where nothing is set by default.
  std::string default_value;
  /// What it does and which values are allowed, in English.
  std::string description;
};

/// Settings for factories, each a name and a value; docs/OPTIONS.md and table() have them all. A factory copies what it
/// needs.
class options {
public:
  /// Everything has its default.
  options() : options(try_make().value()) {}

  /// Some options: `{{"node_timeout_ms", "50"}, {"key_prefix", "locks:"}}`.
  options(std::initializer_list<std::pair<std::string, std::string>> settings) : options() {
    for (const auto &[name, value] : settings) set(name, value);
  }

  /// Everything has its default.
  static result<options> try_make() {
    if (result<void> fit = try_check_version(); !fit) return fit.error();
    redlock_options *made = nullptr;
    result<void> outcome = detail::attempt([&](redlock_error **err) { return ::redlock_options_new(&made, err); });
    if (!outcome) return outcome.error();
    return options(made);
  }

  /// Sets an option; an unknown name or a value that is not allowed is an error that says what is.
  options &set(const text &name, const text &value) {
    try_set(name, value).value();
    return *this;
  }
  /// Sets an option to a number.
  options &set(const text &name, long long value) { return set(name, std::to_string(value)); }
  /// Sets an option to a time.
  options &set(const text &name, std::chrono::milliseconds value) { return set(name, std::to_string(value.count())); }

  /// Sets an option; on failure the options are as before.
  result<void> try_set(const text &name, const text &value) {
    if (std::optional<error> refused = name.refusal()) return *refused;
    if (std::optional<error> refused = value.refusal()) return *refused;
    return detail::attempt(
        [&](redlock_error **err) { return ::redlock_options_set(handle_.get(), name.c_str(), value.c_str(), err); });
  }

  /// All options that there are.
  [[nodiscard]] static std::vector<option_description> table() {
    std::vector<option_description> lines;
    for (std::size_t i = 0; i < ::redlock_option_count(); i++) {
      lines.push_back({detail::string_or_empty(::redlock_option_name(i)),
                       detail::string_or_empty(::redlock_option_default(i)),
                       detail::string_or_empty(::redlock_option_description(i))});
    }
    return lines;
  }

  /// The handle of C, which stays this object's; null after moving away.
  [[nodiscard]] redlock_options *c_handle() const noexcept { return handle_.get(); }

private:
  struct deleter {
    void operator()(redlock_options *handle) const noexcept { ::redlock_options_free(handle); }
  };

  explicit options(redlock_options *handle) noexcept : handle_(handle) {}

  std::unique_ptr<redlock_options, deleter> handle_;
};

} // namespace redlock

#endif
