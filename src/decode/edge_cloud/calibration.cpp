#include "decode/edge_cloud/calibration.h"

#include <cmath>

#include "core/atomic_file.h"
#include "core/json.h"

namespace callie::edge_cloud {
namespace {

constexpr size_t kMostEntries = 256;

}  // namespace

StatusOr<Costs> read_calibration(const std::string& path) {
  CALLIE_ASSIGN_OR_RETURN(const std::string text, read_text_file(path, 1 << 20));
  const Json json = Json::parse(text, nullptr, false);
  if (!json.is_object()) return data_loss("{}: not a JSON object", path);
  Costs costs;
  Status status;
  const auto number = [&](const Json& value, const std::string& key, double most) {
    const double x = value.is_number() ? value.get<double>() : -1;
    if (status.ok() && !(x >= 0 && x <= most)) status = data_loss("{}: {}: not a number from 0 to {}", path, key, most);
    return x;
  };
  const auto read = [&](const char* key, double most, double& out) {
    if (json.contains(key)) out = number(json[key], key, most);
  };
  const auto read_list = [&](const char* key, double most, std::vector<double>& out) {
    if (!json.contains(key)) return;
    if (!json[key].is_array() || json[key].size() > kMostEntries) {
      if (status.ok()) status = data_loss("{}: {}: not a list of at most {} numbers", path, key, kMostEntries);
      return;
    }
    for (const Json& value : json[key]) out.push_back(number(value, key, most));
  };
  read("draft_step_s", 1e4, costs.draft_step);
  read_list("pass_s", 1e4, costs.verify);
  read_list("survival", 1, costs.survival);
  read("hint_at", 1, costs.hint_at);
  read("hint_hit", 1, costs.hint_hit);
  read("guess_hit", 1, costs.guess_hit);
  read("hint_not_guess", 1, costs.hint_not_guess);
  read("other_hit", 1, costs.other_hit);
  read("exit_share", 10, costs.exit_share);
  double seen = 0;
  read("tokens_seen", 1e15, seen);
  costs.tokens_seen = static_cast<int64_t>(seen);
  CALLIE_RETURN_IF_ERROR(status);
  if (costs.draft_step <= 0 || costs.verify.empty()) return data_loss("{}: draft_step_s and pass_s are needed", path);
  return costs;
}

Status write_calibration(const std::string& path, const Costs& costs) {
  const Json json = {{"draft_step_s", costs.draft_step}, {"pass_s", costs.verify},
                     {"survival", costs.survival},       {"hint_at", costs.hint_at},
                     {"hint_hit", costs.hint_hit},       {"guess_hit", costs.guess_hit},
                     {"hint_not_guess", costs.hint_not_guess}, {"other_hit", costs.other_hit},
                     {"exit_share", costs.exit_share},   {"tokens_seen", costs.tokens_seen}};
  return write_text_file(path, json.dump() + "\n");
}

}  // namespace callie::edge_cloud
