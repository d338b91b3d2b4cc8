#include "plan/cost/vidur.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "plan/cost/kernel_tables.h"
#include "plan/table_file.h"

namespace callie::plan {
namespace {

class VidurCost : public StepCost {
 public:
  VidurCost(std::vector<double> table_ms, Curve layer_ms, const ModelShape& model, const Hardware& hw, const Parallelism& p, const RooflineOptions& o,
            std::string source)
      : table_ms_(std::move(table_ms)), layer_ms_(std::move(layer_ms)), model_(model), hw_(hw), p_(p), o_(o),
        source_(std::move(source)) {
    flop_ns_ = 1 / (hw.bf16_tflops * 1e3 * hw.compute_efficiency);
    byte_ns_ = 1 / (hw.memory_gbs * hw.memory_efficiency);
    link_ = {std::max(hw.link_gbs, 1e-3), hw.link_us * 1e3, 0};
  }

  Ns step_ns(const BatchView& b, const GroupRows& group) const override {
    const int tokens = std::max(b.tokens(), group.own);
    if (tokens == 0) return 0;
    const double layers = model_.layers;
    double ns = layers * (tokens < static_cast<int>(table_ms_.size()) ? table_ms_[tokens] : layer_ms_(tokens)) * 1e6;
    const double pair = 2 * model_.attention_macs_per_pair() / p_.tp * flop_ns_;
    const double read = model_.kv_elements() * o_.kv_bytes / std::min(p_.tp, model_.kv_heads) * byte_ns_;
    ns += layers * (static_cast<double>(b.prefill_pairs2) / 2 * pair +
                    static_cast<double>(b.decode_context) * std::max(read, pair));
    // The profile has no head and no embedding.
    const double rows = std::max(b.prefill_chunks + b.decode_tokens, 1);
    const double head = static_cast<double>(model_.vocabulary) * model_.hidden / p_.tp;
    ns += std::max(2 * rows * head * flop_ns_, head * o_.weight_bytes * byte_ns_) +
          (o_.sampler_us + o_.sampler_per_sequence_us * rows) * 1e3;
    if (p_.tp > 1) ns += (2 * layers + 1) * all_reduce_ns(tokens * model_.hidden * 2.0, p_.tp, link_, true);
    return static_cast<Ns>(std::llround(ns));
  }
  std::string describe() const override {
    return fmt::format("Vidur profile {} with roofline attention of {}, tp {}", source_, hw_.name, p_.tp);
  }

 private:
  std::vector<double> table_ms_;
  Curve layer_ms_;
  ModelShape model_;
  Hardware hw_;
  Parallelism p_;
  RooflineOptions o_;
  std::string source_;
  double flop_ns_ = 0, byte_ns_ = 0;
  Link link_;
};

}  // namespace

StatusOr<std::shared_ptr<const StepCost>> make_vidur_cost(const std::string& path, const ModelShape& model,
                                                          const Hardware& hw, const Parallelism& p,
                                                          const RooflineOptions& options) {
  if (hw.bf16_tflops <= 0 || hw.memory_gbs <= 0) {
    return invalid_argument("{}: the profile has no attention: give the device as preset too", path);
  }
  if (p.pp > 1 || p.dp > 1 || model.mixture()) {
    return invalid_argument("{}: Vidur profiles cover dense models with tp only", path);
  }
  CALLIE_ASSIGN_OR_RETURN(TableFile file, TableFile::open(path));
  constexpr const char* kOperators[] = {"input_layernorm", "attn_pre_proj", "attn_rope",    "attn_post_proj",
                                        "post_attention_layernorm", "mlp_up_proj", "mlp_act", "mlp_down_proj", "add"};
  std::vector<int> columns;
  for (const char* name : kOperators) {
    CALLIE_ASSIGN_OR_RETURN(const int column, file.column(fmt::format("time_stats.{}.median", name)));
    columns.push_back(column);
  }
  CALLIE_ASSIGN_OR_RETURN(const int tokens, file.column("num_tokens"));
  CALLIE_ASSIGN_OR_RETURN(const int workers, file.column("num_tensor_parallel_workers"));
  CALLIE_ASSIGN_OR_RETURN(const int width, file.column("n_embd"));
  std::map<int64_t, double> by_tokens;
  while (true) {
    CALLIE_ASSIGN_OR_RETURN(const bool more, file.next());
    if (!more) break;
    CALLIE_ASSIGN_OR_RETURN(const int64_t tp, file.integer(workers, 1, 1024));
    CALLIE_ASSIGN_OR_RETURN(const int64_t hidden, file.integer(width, 1, 1'000'000));
    if (hidden != model.hidden) {
      return file.bad_cell(width, fmt::format("the profile is of another model than {}", model.name));
    }
    if (tp != p.tp) continue;
    CALLIE_ASSIGN_OR_RETURN(const int64_t n, file.integer(tokens, 1, 100'000'000));
    double ms = 0;
    for (const int column : columns) {
      if (file.cell(column).empty()) continue;  // operators that this degree does not run
      CALLIE_ASSIGN_OR_RETURN(const double value, file.non_negative(column));
      ms += value;
    }
    by_tokens[n] = ms;
  }
  if (by_tokens.empty()) return not_found("{}: no rows for tp {}", path, p.tp);
  Curve curve;
  for (const auto& [n, ms] : by_tokens) curve.add(static_cast<double>(n), ms);
  std::vector<double> table(4097);
  for (int n = 1; n <= 4096; ++n) table[n] = curve(n);
  return std::shared_ptr<const StepCost>(
      std::make_shared<VidurCost>(std::move(table), std::move(curve), model, hw, p, options, path));
}

}  // namespace callie::plan
