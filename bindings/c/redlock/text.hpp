/// @file text.hpp
/// @brief A text as an argument: what may be given where a name, an option or a URL is wanted.
#ifndef REDLOCK_TEXT_HPP
#define REDLOCK_TEXT_HPP

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "error.hpp"

namespace redlock {

/// A text in UTF-8: converts from `const char *`, std::string and std::string_view. Only for arguments: it may point to
/// what it was made from.
class text {
public:
  /// A text that ends in NUL. Null is an invalid argument, and not undefined behaviour.
  text(const char *chars) noexcept : chars_(chars) {}
  /// A text that outlives this object.
  text(const std::string &chars) noexcept : chars_(chars.c_str()), has_nul_(chars.find('\0') != std::string::npos) {}
  /// A text that need not end in NUL, so it is copied.
  text(std::string_view chars)
      : copy_(chars), chars_(copy_.c_str()), has_nul_(chars.find('\0') != std::string_view::npos) {}

  text(const text &) = delete;
  text &operator=(const text &) = delete;

  /// The text as C wants it; null if it was made from null.
  [[nodiscard]] const char *c_str() const noexcept { return chars_; }

  /// Why it cannot be used, if so: C would take the text for one that ends at the first NUL.
  [[nodiscard]] std::optional<error> refusal() const {
    if (!has_nul_) return std::nullopt;
    return error(status::invalid_argument, std::string("a text contains a NUL character: \"") + chars_ + "\\0...\"");
  }

private:
  std::string copy_;
  const char *chars_;
  bool has_nul_ = false;
};

namespace detail {

/// Pointers to texts, as C wants an array of them, or why one of them cannot be used.
class text_array {
public:
  text_array(const std::vector<std::string> &texts) {
    pointers_.reserve(texts.size());
    for (const std::string &chars : texts) {
      if (!refusal_) refusal_ = text(chars).refusal();
      pointers_.push_back(chars.c_str());
    }
  }

  [[nodiscard]] const char *const *data() const noexcept { return pointers_.data(); }
  [[nodiscard]] std::size_t size() const noexcept { return pointers_.size(); }
  [[nodiscard]] const std::optional<error> &refusal() const noexcept { return refusal_; }

private:
  std::vector<const char *> pointers_;
  std::optional<error> refusal_;
};

} // namespace detail
} // namespace redlock

#endif
