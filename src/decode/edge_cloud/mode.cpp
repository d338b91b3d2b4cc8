#include "decode/edge_cloud/mode.h"

namespace callie::edge_cloud {

std::string_view mode_name(Mode mode) {
  switch (mode) {
    case Mode::kPerCall:
      return "per_call";
    case Mode::kStreaming:
      return "streaming";
    case Mode::kSync:
      return "sync";
    case Mode::kHint:
      return "hint";
    case Mode::kOwnGuess:
      return "own_guess";
    case Mode::kOptimistic:
      return "optimistic";
    case Mode::kFull:
      return "full";
    case Mode::kAdaptive:
      return "adaptive";
  }
  return "";
}

std::optional<Mode> mode_from_name(std::string_view name) {
  for (Mode mode : kAllModes) {
    if (mode_name(mode) == name) return mode;
  }
  return std::nullopt;
}

}  // namespace callie::edge_cloud
