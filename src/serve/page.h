#pragma once

#include <string>
#include <string_view>

namespace callie::serve {

/// A file of the chat page, embedded in the binary.
struct PageFile {
  std::string_view path;          ///< "/" or "/assets/…"
  std::string_view content_type;
  std::string_view content;
};

/// The file at `path`, or null.
const PageFile* find_page_file(std::string_view path);

}  // namespace callie::serve
