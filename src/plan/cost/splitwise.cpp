#include "plan/cost/splitwise.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <map>
#include <set>

#include "plan/cost/kernel_tables.h"
#include "plan/table_file.h"

namespace callie::plan {
namespace {

/// Letters and digits only, small.
std::string plain(std::string_view text) {
  std::string out;
  for (const unsigned char c : text) {
    if (std::isalnum(c)) out += static_cast<char>(std::tolower(c));
  }
  return out;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t n = values.size();
  return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

class SplitwiseCost : public StepCost {
 public:
  SplitwiseCost(Curve prompt, Curve token, std::string text)
      : prompt_(std::move(prompt)), token_(std::move(token)), text_(std::move(text)) {}

  Ns step_ns(const BatchView& b, const GroupRows&) const override {
    double ms = 0;
    if (b.prefill_tokens > 0) {
      ms = prompt_(b.prefill_tokens);
      if (b.decode_sequences > 0) ms *= 1.1;
    } else if (b.decode_sequences > 0) {
      ms = token_(b.decode_sequences);
    }
    return from_ms(ms);
  }
  bool affine(const BatchView& b, AffineStep& out) const override {
    if (b.prefill_tokens > 0) return false;
    out = {step_ns(b, {}) << kAffineShift, 0};
    return true;
  }
  std::string describe() const override { return text_; }

 private:
  Curve prompt_, token_;
  std::string text_;
};

}  // namespace

StatusOr<std::shared_ptr<const StepCost>> make_splitwise_cost(const std::string& path, const ModelShape& model,
                                                              const std::string& device, const Parallelism& p) {
  CALLIE_ASSIGN_OR_RETURN(TableFile file, TableFile::open(path));
  int column[7];
  constexpr const char* kNames[7] = {"model",       "hardware",   "prompt_size",    "batch_size",
                                     "prompt_time", "token_time", "tensor_parallel"};
  for (int i = 0; i < 7; ++i) {
    CALLIE_ASSIGN_OR_RETURN(column[i], file.column(kNames[i]));
  }
  const std::string wanted = plain(model.name);
  std::map<double, std::vector<double>> prompt, token;
  std::set<std::string> present;
  while (true) {
    CALLIE_ASSIGN_OR_RETURN(const bool more, file.next());
    if (!more) break;
    CALLIE_ASSIGN_OR_RETURN(const int64_t tp, file.integer(column[6], 1, 1024));
    present.insert(fmt::format("{} on {} tp {}", file.cell(column[0]), file.cell(column[1]), tp));
    const std::string name = plain(file.cell(column[0]));
    const std::string last = plain(model.name.substr(model.name.find('/') + 1));
    if (wanted.find(name) == std::string::npos && !name.starts_with(last)) continue;
    if (file.cell(column[1]) != device || tp != p.tp) continue;
    CALLIE_ASSIGN_OR_RETURN(const double size, file.non_negative(column[2]));
    CALLIE_ASSIGN_OR_RETURN(const double batch, file.non_negative(column[3]));
    CALLIE_ASSIGN_OR_RETURN(const double prompt_ms, file.non_negative(column[4]));
    CALLIE_ASSIGN_OR_RETURN(const double token_ms, file.non_negative(column[5]));
    prompt[size * batch].push_back(prompt_ms);
    token[batch].push_back(token_ms);
  }
  if (prompt.empty()) {
    std::string list;
    for (const std::string& name : present) list += (list.empty() ? "" : "; ") + name;
    return not_found("{}: no rows for {} on {} tp {} (there are: {})", path, model.name, device, p.tp, list);
  }
  Curve prompt_curve, token_curve;
  for (auto& [x, values] : prompt) prompt_curve.add(x, median(values));
  for (auto& [x, values] : token) token_curve.add(x, median(values));
  return std::shared_ptr<const StepCost>(std::make_shared<SplitwiseCost>(
      std::move(prompt_curve), std::move(token_curve),
      fmt::format("Splitwise {} on {} tp {}", model.name, device, p.tp)));
}

}  // namespace callie::plan
