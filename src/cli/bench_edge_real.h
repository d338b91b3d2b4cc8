#pragma once

#include <string>
#include <vector>

#include "core/json.h"
#include "core/status.h"
#include "decode/edge_cloud/mode.h"
#include "tasks/prompt_file.h"

namespace callie::cli {

struct RealEdgeOptions {
  std::string target, draft;           ///< models
  std::vector<std::string> server;     ///< more arguments of `callie cloud`
  std::vector<std::string> answer;     ///< of `callie run` and `callie edge` alike
  std::vector<std::string> client;     ///< of `callie edge` only
  std::vector<edge_cloud::Mode> modes;
  std::vector<double> rtt_ms;
  int draft_len = 4;                   ///< of the fixed modes
  int max_new = 128;
};

/// `callie cloud` and `callie edge` as processes of their own behind a delay proxy, each answer compared with `callie run`:
/// one object for each mode and round trip, with the keys of the virtual clock's. What a session's opening costs on the
/// wire is left out of `wire_bytes_per_token`. Errors: those of the programs.
StatusOr<Json> bench_edge_real(const RealEdgeOptions& options, const std::vector<FilePrompt>& prompts);

}  // namespace callie::cli
