#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "core/status.h"

namespace callie {

/// A regular expression over UTF-8 with Unicode classes (PCRE2, compiled to machine code where that is possible). Parts of
/// a text that are not valid UTF-8 match nothing. Immutable; safe to use from several threads.
class Regex {
 public:
  /// Errors: kInvalidArgument with the place in the pattern.
  static StatusOr<Regex> compile(std::string_view pattern);

  struct Match {
    size_t begin = std::string_view::npos, end = 0;
    bool found() const { return begin != std::string_view::npos; }
  };
  /// The first match at or after `from`. Errors: kResourceExhausted where the pattern needs too many steps.
  StatusOr<Match> find(std::string_view text, size_t from) const;

 private:
  std::shared_ptr<void> code_;
};

}  // namespace callie
