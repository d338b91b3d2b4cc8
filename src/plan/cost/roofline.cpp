#include "plan/cost/roofline.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace callie::plan {
namespace {

constexpr double kFixed = 1 << kAffineShift;

class RooflineCost : public StepCost {
 public:
  RooflineCost(const ModelShape& model, const Hardware& hardware, const Parallelism& parallelism,
               const RooflineOptions& options)
      : model_(model), hw_(hardware), p_(parallelism), o_(options) {
    const bool fast = o_.fp8_compute && hw_.fp8_tflops > 0;
    flop_ns_ = 1 / ((fast ? hw_.fp8_tflops : hw_.bf16_tflops) * 1e3 * hw_.compute_efficiency);
    attention_flop_ns_ = 1 / (hw_.bf16_tflops * 1e3 * hw_.compute_efficiency);
    byte_ns_ = 1 / (hw_.memory_gbs * hw_.memory_efficiency);
    link_ = {std::max(hw_.link_gbs, 1e-3), hw_.link_us * 1e3, 0};
    const double kv_split = model_.kv_rank > 0 ? 1 : std::min(p_.tp, model_.kv_heads);
    const double per_layer = std::max(model_.kv_elements() * o_.kv_bytes / kv_split * byte_ns_,
                                      2 * model_.attention_macs_per_pair() / p_.tp * attention_flop_ns_);
    context_ns_ = per_layer * model_.layers / p_.pp * (p_.pp > 1 ? pipeline_factor(1) : 1);
    pair_ns_ = 2 * model_.attention_macs_per_pair() / p_.tp * attention_flop_ns_ * model_.layers;
    kv_read_ns_ = model_.kv_elements() * o_.kv_bytes / kv_split * byte_ns_ * model_.layers;
    linear_ns_.resize(kTable);
    head_ns_.resize(kTable);
    for (int n = 1; n < kTable; ++n) {
      linear_ns_[n] = linear(n);
      head_ns_[n] = head(n);
    }
    decode_base_.resize(kTable);
    for (int n = 1; n < kTable; ++n) decode_base_[n] = fixed(staged(linear_ns_[n], n) + head_ns_[n]);
    decode_slope_ = fixed(context_ns_);
  }

  Ns step_ns(const BatchView& b, const GroupRows& group) const override {
    AffineStep line;
    if (b.prefill_tokens == 0 && group.total <= 0 && affine(b, line)) {
      return (line.base + line.slope * b.decode_context) >> kAffineShift;
    }
    const int tokens = std::max(b.tokens(), group.own);
    if (tokens <= 0) return 0;
    const int rows = std::max(b.prefill_chunks + b.decode_tokens, 1);
    double ns = tokens < kTable ? linear_ns_[tokens] : linear(tokens);
    if (group.total > 0 && p_.dp > 1 && model_.mixture()) {
      ns += experts(group.total, group.largest) - experts(static_cast<double>(tokens) * p_.dp, tokens);
    }
    double pairs = static_cast<double>(b.prefill_pairs2) / 2, decode = static_cast<double>(b.decode_context);
    if (model_.window > 0 && b.window > 0) {
      pairs += model_.window_share * (static_cast<double>(b.prefill_window_pairs2) / 2 - pairs);
      decode += model_.window_share * (static_cast<double>(b.decode_window_context) - decode);
    }
    ns += std::max(pairs * pair_ns_, static_cast<double>(b.prefill_context + b.prefill_tokens) * kv_read_ns_);
    if (p_.pp > 1) {
      ns = staged(ns, tokens);
      ns += decode * context_ns_;
    } else {
      ns += decode * context_ns_;
    }
    ns += rows < kTable ? head_ns_[rows] : head(rows);
    return static_cast<Ns>(std::llround(ns));
  }

  bool affine(const BatchView& b, AffineStep& out) const override {
    if (b.prefill_tokens != 0 || b.decode_tokens != b.decode_sequences || b.decode_sequences >= kTable ||
        b.decode_sequences == 0 || (model_.window > 0 && b.window > 0)) {
      return false;
    }
    out.base = decode_base_[b.decode_sequences];
    out.slope = decode_slope_;
    return true;
  }

  std::string describe() const override {
    return fmt::format("roofline of {} ({}), compute {:.0f} %, memory {:.0f} % of peak, tp {} pp {} ep {} dp {}",
                       hw_.name, hw_.source, 100 * hw_.compute_efficiency, 100 * hw_.memory_efficiency, p_.tp, p_.pp,
                       p_.ep, p_.dp);
  }

 private:
  static constexpr int kTable = 4097;
  static int64_t fixed(double ns) { return static_cast<int64_t>(std::llround(ns * kFixed)); }

  /// (m + p - 1) / m of a GPipe with m micro-batches, over p stages of 1/p of the work each.
  double pipeline_factor(int tokens) const {
    const double p = p_.pp, m = std::min(p_.pp, std::max(tokens, 1));
    return (m + p - 1) / m;
  }
  /// A step's layer time as a pipeline: the work is spread over stages and micro-batches, plus the hops.
  double staged(double ns, int tokens) const {
    if (p_.pp <= 1) return ns;
    const int m = std::min(p_.pp, std::max(tokens, 1));
    const double hop = send_ns(static_cast<double>(tokens) / m * model_.hidden * 2, link_);
    // Each micro-batch reads all weights of its stage again.
    const double part = tokens / m >= 1 && tokens / m < kTable ? linear_ns_[std::max(tokens / m, 1)] : ns / m;
    const double work = std::max(part, ns / m);
    return (m + p_.pp - 1) * work / p_.pp + (p_.pp - 1) * hop;
  }

  double product(double tokens, double parameters, double read) const {
    return std::max(2 * tokens * parameters * flop_ns_, read * o_.weight_bytes * byte_ns_);
  }

  double linear(double tokens) const {
    const double t = p_.tp;
    const double attention = model_.attention_parameters() / t;
    double ns = model_.layers * (product(tokens, attention, attention) + hw_.launch_us * 1e3);
    if (model_.dense_layers() > 0) {
      const double mlp = model_.mlp_parameters() / t;
      ns += model_.dense_layers() * product(tokens, mlp, mlp);
    }
    if (model_.mixture()) {
      const double shared = model_.shared_parameters() / t;
      ns += model_.mixture_layers() * product(tokens, shared, shared) + experts(tokens * p_.dp, tokens);
    }
    // Activations of a layer pass through memory about eight times the hidden size.
    ns += model_.layers * 8 * tokens * model_.hidden * 2 * byte_ns_ / t;
    if (p_.tp > 1) {
      ns += (2.0 * model_.layers + 1) * all_reduce_ns(tokens * model_.hidden * 2, p_.tp, link_, true);
    }
    return ns;
  }

  /// All expert layers of a step: `gathered` rows over the data-parallel group, `largest` of them on one rank.
  double experts(double gathered, double largest) const {
    const double ranks = std::max(p_.ep, p_.tp * p_.dp);
    const double share = model_.experts_per_token / static_cast<double>(model_.experts);
    const double activated = model_.experts * (1 - std::pow(1 - share, gathered));
    const double expert = model_.expert_parameters();
    double ns = std::max(2 * gathered * model_.experts_per_token * expert / ranks * flop_ns_,
                         activated / ranks * expert * o_.weight_bytes * byte_ns_);
    if (p_.dp > 1) {
      ns += 2 * all_to_all_ns(largest * model_.experts_per_token * model_.hidden * 2.0, std::max(p_.ep, p_.dp), link_);
    }
    return model_.mixture_layers() * ns;
  }

  double head(double rows) const {
    const double parameters = static_cast<double>(model_.vocabulary) * model_.hidden / p_.tp;
    double ns = product(rows, parameters, parameters) + (o_.sampler_us + o_.sampler_per_sequence_us * rows) * 1e3;
    if (p_.tp > 1) {
      ns += all_gather_ns(rows * static_cast<double>(model_.vocabulary) / p_.tp * 2, p_.tp, link_);
    }
    return ns;
  }

  ModelShape model_;
  Hardware hw_;
  Parallelism p_;
  RooflineOptions o_;
  Link link_;
  double flop_ns_ = 0, attention_flop_ns_ = 0, byte_ns_ = 0;
  double context_ns_ = 0, pair_ns_ = 0, kv_read_ns_ = 0;
  std::vector<double> linear_ns_, head_ns_;  // by tokens, by rows
  std::vector<int64_t> decode_base_;
  int64_t decode_slope_ = 0;
};

class LinearCost : public StepCost {
 public:
  explicit LinearCost(const LinearOptions& o)
      : base_(fixed(o.base_us)),
        prefill_(fixed(o.per_prefill_us)),
        decode_(fixed(o.per_decode_us)),
        context_(fixed(o.per_context_us)),
        pair_(fixed(o.per_pair_us)),
        options_(o) {}

  Ns step_ns(const BatchView& b, const GroupRows& group) const override {
    const int64_t prefill = b.prefill_tokens + std::max(group.own - b.tokens(), 0);
    return (base_ + prefill_ * prefill + decode_ * b.decode_tokens + context_ * b.decode_context +
            pair_ * b.prefill_pairs2 / 2) >>
           kAffineShift;
  }
  bool affine(const BatchView& b, AffineStep& out) const override {
    if (b.prefill_tokens != 0) return false;
    out = {base_ + decode_ * b.decode_tokens, context_};
    return true;
  }
  std::string describe() const override {
    return fmt::format("linear: {} us + {} us/prompt token + {} us/sequence + {} us/context token", options_.base_us,
                       options_.per_prefill_us, options_.per_decode_us, options_.per_context_us);
  }

 private:
  static int64_t fixed(double us) { return static_cast<int64_t>(std::llround(us * 1e3 * kFixed)); }
  int64_t base_, prefill_, decode_, context_, pair_;
  LinearOptions options_;
};

}  // namespace

std::shared_ptr<const StepCost> make_roofline_cost(const ModelShape& model, const Hardware& hardware,
                                                   const Parallelism& parallelism, const RooflineOptions& options) {
  return std::make_shared<RooflineCost>(model, hardware, parallelism, options);
}

double encoder_ns(const ModelShape& m, const Hardware& hw, double tokens, double length, double weight_bytes) {
  const double flop_ns = 1 / (hw.bf16_tflops * 1e3 * hw.compute_efficiency);
  const double byte_ns = 1 / (hw.memory_gbs * hw.memory_efficiency);
  const double parameters = m.attention_parameters() + m.mlp_parameters();
  const double layer = std::max(2 * tokens * parameters * flop_ns, parameters * weight_bytes * byte_ns) +
                       2 * m.attention_macs_per_pair() * tokens * length * flop_ns + hw.launch_us * 1e3;
  return m.layers * layer;
}

std::shared_ptr<const StepCost> make_linear_cost(const LinearOptions& options) {
  return std::make_shared<LinearCost>(options);
}

}  // namespace callie::plan
