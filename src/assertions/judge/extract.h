#pragma once

#include <string>
#include <string_view>

namespace callie::assertions {

struct Extracted {
  std::string text;        ///< as long as the answer; what is no SystemVerilog is blank, so that places stay the same
  size_t prose_at = std::string::npos;  ///< first byte of text around the code that was left out
};

/// The SystemVerilog in what a model wrote: the fenced blocks when there are some; else all of it, without lines of
/// prose before the first line and after the last one that can belong to an assertion.
Extracted extract_code(std::string_view answer);

}  // namespace callie::assertions
