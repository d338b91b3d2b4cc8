#pragma once

#include <string>
#include <vector>

namespace callie::report {

/// One row of a waveform: a value for each cycle, as text; signals of one bit ("0"/"1") are drawn as levels, others as
/// boxes with their value.
struct Wave {
  std::string name;
  bool is_bit = false;
  std::vector<std::string> values;
};

/// A waveform as inline SVG, one column a cycle; `marked` (may be -1) is shaded: the cycle that the text speaks of.
std::string waveform(const std::vector<Wave>& waves, int marked, const std::string& label);

}  // namespace callie::report
