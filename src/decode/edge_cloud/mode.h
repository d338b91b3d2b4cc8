#pragma once

#include <optional>
#include <string_view>

namespace callie::edge_cloud {

/// How a session is driven. `hint` and `own_guess` are `sync` with pre-drafting from that source only, `optimistic` is
/// `own_guess` with upload before the verdict, `full` is all three. Only `adaptive` chooses.
enum class Mode { kPerCall, kStreaming, kSync, kHint, kOwnGuess, kOptimistic, kFull, kAdaptive };

inline constexpr Mode kAllModes[] = {Mode::kPerCall,  Mode::kStreaming,  Mode::kSync, Mode::kHint,
                                     Mode::kOwnGuess, Mode::kOptimistic, Mode::kFull, Mode::kAdaptive};

/// The name used by flags and JSON: "per_call", "streaming", ...
std::string_view mode_name(Mode mode);
std::optional<Mode> mode_from_name(std::string_view name);

/// What one round does.
struct Plan {
  Mode mode = Mode::kSync;  ///< never kAdaptive
  int draft_len = 0;

  bool streams() const { return mode == Mode::kStreaming; }
  bool drafts() const { return mode != Mode::kStreaming && mode != Mode::kPerCall && draft_len > 0; }
  bool uses_hints() const { return mode == Mode::kHint || mode == Mode::kFull; }
  bool uses_own_guess() const {
    return mode == Mode::kOwnGuess || mode == Mode::kOptimistic || mode == Mode::kFull;
  }
  bool uploads_early() const { return mode == Mode::kOptimistic || mode == Mode::kFull; }
};

}  // namespace callie::edge_cloud
