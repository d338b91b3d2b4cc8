#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace callie {

/// The lines of a text that are not empty, without their line ends.
std::vector<std::string> nonempty_lines(std::string_view text);

}  // namespace callie
