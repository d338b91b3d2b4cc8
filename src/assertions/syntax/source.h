#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"

namespace callie::assertions {

/// A piece of source text: bytes [begin, end) of the file with index `file`. Spans never take part in comparisons of
/// syntax trees: two trees are equal when they say the same thing, wherever it stands.
struct Span {
  uint32_t file = 0;
  uint32_t begin = 0;
  uint32_t end = 0;
  bool operator==(const Span&) const { return true; }
};

/// A place as a person counts it: both from 1.
struct Place {
  std::string file;
  int line = 0;
  int column = 0;
};

/// The texts that a parse works on. Addresses of texts stay valid for the life of the set.
class SourceSet {
 public:
  /// Takes a text under a name (a path, or "<answer>"); returns its index.
  uint32_t add(std::string name, std::string text);
  /// Reads a file. Errors: as read_text_file; kResourceExhausted above 256 MiB.
  StatusOr<uint32_t> add_file(const std::string& path);

  std::string_view text(uint32_t file) const { return files_[file].text; }
  const std::string& name(uint32_t file) const { return files_[file].name; }
  std::string_view text(Span span) const;
  size_t size() const { return files_.size(); }

  Place place(Span span) const;
  /// "FILE:LINE:COL: message", the source line (cut around the column when long) and a caret below it.
  std::string describe(Span span, std::string_view message) const;
  Status error_at(Span span, std::string_view message,
                  StatusCode code = StatusCode::kInvalidArgument) const;

  /// Keeps text made by macro expansion alive as long as the set.
  std::string_view keep(std::string text);

 private:
  struct File {
    std::string name;
    std::string text;
    mutable std::vector<uint32_t> line_starts;
  };
  std::deque<File> files_;
  std::deque<std::string> kept_;
};

/// What the front end throws inside itself and turns into a Status at its border.
struct SourceError {
  Span span;
  std::string message;
  StatusCode code = StatusCode::kInvalidArgument;
};

}  // namespace callie::assertions
