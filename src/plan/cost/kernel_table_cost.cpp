#include <algorithm>
#include <atomic>
#include <cmath>

#include "plan/cost/kernel_tables.h"

namespace callie::plan {
namespace {

struct Bracket {
  size_t low = 0, high = 0;
  double t = 0;
};

/// Linear between samples, constant below the first, on the last slope above.
template <typename T, typename Key>
Bracket bracket(const std::vector<T>& axis, double x, Key key) {
  const size_t n = axis.size();
  if (n == 1 || x <= key(axis[0])) return {};
  size_t high = 1;
  while (high + 1 < n && key(axis[high]) < x) ++high;
  const double x0 = key(axis[high - 1]), x1 = key(axis[high]);
  return {high - 1, high, (x - x0) / (x1 - x0)};
}

size_t bin(const std::vector<double>& upper, double value) {
  for (size_t i = 0; i < upper.size(); ++i) {
    if (value <= upper[i]) return i;
  }
  return upper.size() - 1;
}

class KernelTableCost : public StepCost {
 public:
  KernelTableCost(std::shared_ptr<const KernelTables> tables, const ModelShape& model, const Parallelism& parallelism,
                  const Link& link, KernelScale scale)
      : tables_(std::move(tables)), model_(model), parallel_(parallelism), link_(link), scale_(scale) {
    for (const KernelTables::Dense& layer : tables_->dense) {
      most_tokens_ = std::max(most_tokens_, static_cast<int32_t>(layer.curve.max_x()));
    }
    dense_us_.resize(static_cast<size_t>(std::max(most_tokens_, 1)) + 1);
    for (size_t n = 1; n < dense_us_.size(); ++n) dense_us_[n] = dense_us(static_cast<double>(n));
  }

  Ns step_ns(const BatchView& batch, const GroupRows& group) const override {
    if (parallel_.pp > 1) return pipelined_ns(batch, group);
    return static_cast<Ns>(std::llround(std::max(full_ns(batch, group), 0.0)));
  }

  std::string describe() const override {
    return fmt::format("kernel tables {} ({}), tp {} pp {} ep {} dp {}", tables_->folder, tables_->measured_by,
                       parallel_.tp, parallel_.pp, parallel_.ep, parallel_.dp);
  }
  int64_t extrapolated() const override { return extrapolated_.load(std::memory_order_relaxed); }

 private:
  double dense_us(double tokens) const {
    const double layers = model_.layers;
    double sum = 0;
    for (const KernelTables::Dense& layer : tables_->dense) {
      double times = layers;
      if (layer.layer == "embedding" || layer.layer == "final_layernorm") times = 1;
      if (layer.layer == "layernorm") times = 2 * layers;
      if (layer.layer == "gate_up_proj" || layer.layer == "act_fn" || layer.layer == "down_proj") {
        times = model_.dense_layers();
      }
      sum += times * layer.curve(tokens);
    }
    return sum;
  }

  double attention_us(double chunk, double prefill_context, double decodes, double decode_context) const {
    const auto slice_us = [&](const KernelTables::AttentionSlice& slice) {
      const Bracket b = bracket(slice.prefill_context, prefill_context, [](int32_t v) { return double(v); });
      const double low = slice.curves[b.low](decode_context);
      return b.t == 0 ? low : low + b.t * (slice.curves[b.high](decode_context) - low);
    };
    const auto chunk_us = [&](const KernelTables::AttentionChunk& c) {
      if (c.tokens == 0 && decodes < c.slices.front().decodes) {
        return decodes / c.slices.front().decodes * slice_us(c.slices.front());
      }
      const Bracket b = bracket(c.slices, decodes, [](const auto& s) { return double(s.decodes); });
      const double low = slice_us(c.slices[b.low]);
      return b.t == 0 ? low : low + b.t * (slice_us(c.slices[b.high]) - low);
    };
    const Bracket b = bracket(tables_->attention, chunk, [](const auto& c) { return double(c.tokens); });
    const double low = chunk_us(tables_->attention[b.low]);
    return b.t == 0 ? low : low + b.t * (chunk_us(tables_->attention[b.high]) - low);
  }

  /// Several chunks are looked up as one of equal length and equal number of (query, key) pairs. When the pairs are
  /// fewer than one chunk of that length has, the difference is taken off at the measured cost of a pair.
  double prefill_attention_us(const BatchView& batch, double decode_context) const {
    const double n = batch.prefill_tokens, decodes = batch.decode_sequences;
    if (n == 0) return attention_us(0, 0, decodes, decode_context);
    const double pairs2 = static_cast<double>(batch.prefill_pairs2);
    const double context = (pairs2 / n - n - 1) / 2;
    if (context >= 0) return attention_us(n, context, decodes, decode_context);
    constexpr double kProbe = 512;
    const double none = attention_us(n, 0, decodes, decode_context);
    const double slope = std::max(attention_us(n, kProbe, decodes, decode_context) - none, 0.0) / kProbe;
    const double equal_chunk = (std::sqrt(1 + 4 * pairs2) - 1) / 2;
    return std::max(none + slope * context, attention_us(equal_chunk, 0, decodes, decode_context));
  }

  double skew_alpha(double chunk, double decodes, double rate, double longest, double prefill_context) const {
    if (tables_->skew.empty()) return 0;
    const auto& bins = tables_->skew_bins;
    // Chunks were sampled at certain lengths; the nearest one speaks for a length in between.
    const auto& chunks = tables_->skew_chunks;
    size_t at = static_cast<size_t>(std::lower_bound(chunks.begin(), chunks.end(), chunk) - chunks.begin());
    if (at == chunks.size() || (at > 0 && chunk - chunks[at - 1] < chunks[at] - chunk)) --at;
    at = at * bins.n.size() + bin(bins.n, decodes);
    at = at * bins.rate.size() + bin(bins.rate, rate);
    at = at * bins.kv.size() + bin(bins.kv, longest);
    at = at * bins.prefill.size() + bin(bins.prefill, prefill_context);
    const float alpha = tables_->skew[at];
    return std::isnan(alpha) ? bins.fallback : alpha;
  }

  double layer_attention_us(const BatchView& batch) const {
    if (batch.decode_sequences == 0) return prefill_attention_us(batch, 0);
    const double mean = static_cast<double>(batch.decode_context) / batch.decode_sequences;
    const double at_mean = prefill_attention_us(batch, mean);
    const double gap = batch.decode_context_max - batch.decode_context_min;
    if (batch.decode_sequences < 2 || gap <= 0) return at_mean;
    const double prefill_context =
        batch.prefill_chunks > 0 ? static_cast<double>(batch.prefill_context) / batch.prefill_chunks : 0;
    const double rate = (mean - batch.decode_context_min) / gap;
    const double alpha =
        skew_alpha(batch.prefill_tokens, batch.decode_sequences, rate, batch.decode_context_max, prefill_context);
    if (alpha == 0) return at_mean;
    const double at_max = prefill_attention_us(batch, batch.decode_context_max);
    return at_max > at_mean ? std::max(at_mean + alpha * (at_max - at_mean), 0.0) : at_mean;
  }

  /// Expert time of one rank. `tokens` over the whole expert group; ranks split experts (ep) or their width (tp), which
  /// halves the pairs and the weight bytes of a rank in the same way.
  double experts_us(double tokens) const {
    const double ranks = std::max(parallel_.ep, parallel_.tp * parallel_.dp);
    const double share = model_.experts_per_token / static_cast<double>(model_.experts);
    const double activated = model_.experts * (1 - std::pow(1 - share, tokens));
    const double rank_tokens = std::max(tokens / ranks, 1.0);
    const double rank_experts = std::max(activated / ranks, 1.0);
    const Bracket b = bracket(tables_->moe_experts, rank_experts, [](int32_t v) { return double(v); });
    const double low = tables_->moe[b.low](rank_tokens);
    return b.t == 0 ? low : low + b.t * (tables_->moe[b.high](rank_tokens) - low);
  }

  double full_ns(const BatchView& batch, const GroupRows& group) const {
    const int tokens = std::max(batch.tokens(), group.own);
    if (tokens == 0) return 0;
    if (tokens > most_tokens_) extrapolated_.fetch_add(1, std::memory_order_relaxed);
    double us = tokens < static_cast<int>(dense_us_.size()) ? dense_us_[tokens] : dense_us(tokens);
    us += model_.layers * layer_attention_us(batch);
    // Logits are computed for every sequence of the batch, also for those whose prompt is not finished.
    const double rows = std::max(batch.prefill_chunks + batch.decode_tokens, 1);
    for (const KernelTables::Dense& layer : tables_->per_sequence) us += layer.curve(rows);
    if (model_.mixture()) us += model_.mixture_layers() * experts_us(std::max(group.total, tokens));
    return us * scale_.kernels * 1e3 + communication_ns(tokens, rows, std::max(group.largest, tokens));
  }

  /// `largest`: rows of the rank of the group that has most; it sets the pace of a gather.
  double communication_ns(double tokens, double rows, double largest) const {
    constexpr double kBytes = 2;  // activations are 16 bit
    double ns = 0;
    if (parallel_.tp > 1) {
      // After the attention and the MLP of each layer, and after the embedding; then the logits are gathered.
      ns += (2.0 * model_.layers + 1) * all_reduce_ns(tokens * model_.hidden * kBytes, parallel_.tp, link_, false);
      ns += all_gather_ns(rows * static_cast<double>(model_.vocabulary) / parallel_.tp * kBytes, parallel_.tp, link_);
    }
    if (parallel_.dp > 1 && model_.mixture()) {
      // Dispatch gathers hidden states and router logits of all ranks, combine scatters the sums back.
      ns += model_.mixture_layers() *
            (all_gather_ns(largest * (model_.hidden + model_.experts) * kBytes, parallel_.dp, link_) +
             reduce_scatter_ns(largest * parallel_.dp * model_.hidden * kBytes, parallel_.dp, link_));
    }
    return ns;
  }

  /// GPipe: m micro-batches through p stages take (m + p - 1) stage times and p - 1 hops.
  Ns pipelined_ns(const BatchView& batch, const GroupRows& group) const {
    const int p = parallel_.pp;
    const int m = std::min(p, std::max(batch.prefill_chunks + batch.decode_sequences, 1));
    BatchView part = batch;
    part.prefill_tokens = (batch.prefill_tokens + m - 1) / m;
    part.prefill_chunks = (batch.prefill_chunks + m - 1) / m;
    part.decode_sequences = (batch.decode_sequences + m - 1) / m;
    part.decode_tokens = (batch.decode_tokens + m - 1) / m;
    part.samples = (batch.samples + m - 1) / m;
    part.prefill_context /= m;
    part.prefill_pairs2 /= m;
    part.decode_context /= m;
    const double stage = full_ns(part, {(group.own + m - 1) / m, (group.largest + m - 1) / m, (group.total + m - 1) / m}) / p;
    const double hop = send_ns(static_cast<double>(part.tokens()) * model_.hidden * 2, link_);
    return static_cast<Ns>(std::llround((m + p - 1) * stage + (p - 1) * hop));
  }

  std::shared_ptr<const KernelTables> tables_;
  ModelShape model_;
  Parallelism parallel_;
  Link link_;
  KernelScale scale_;
  int32_t most_tokens_ = 0;
  std::vector<double> dense_us_;  // by token count
  mutable std::atomic<int64_t> extrapolated_{0};
};

}  // namespace

StatusOr<std::shared_ptr<const StepCost>> make_kernel_table_cost(std::shared_ptr<const KernelTables> tables,
                                                                 const ModelShape& model,
                                                                 const Parallelism& parallelism, const Link& link,
                                                                 KernelScale scale) {
  if (model.mixture() && tables->moe.empty()) {
    return not_found("{}: moe.csv is missing for a mixture-of-experts model", tables->folder);
  }
  return std::shared_ptr<const StepCost>(
      std::make_shared<KernelTableCost>(std::move(tables), model, parallelism, link, scale));
}

/// What holds for every cost model: degrees that the model's sizes allow.
Status check_parallelism(const ModelShape& model, const Parallelism& p) {
  if (p.tp < 1 || p.pp < 1 || p.ep < 1 || p.dp < 1) return invalid_argument("tp, pp, ep and dp must be at least 1");
  if (model.heads % p.tp != 0) {
    return invalid_argument("tp {} does not divide the {} attention heads of {}", p.tp, model.heads, model.name);
  }
  if (model.kv_heads % p.tp != 0 && p.tp % model.kv_heads != 0) {
    return invalid_argument("tp {} does not fit the {} KV heads of {}", p.tp, model.kv_heads, model.name);
  }
  if (p.pp > model.layers) return invalid_argument("pp {} exceeds the {} layers of {}", p.pp, model.layers, model.name);
  if (p.ep > 1 && !model.mixture()) return invalid_argument("ep {}: {} has no experts", p.ep, model.name);
  if (p.ep > 1 && model.experts % p.ep != 0) {
    return invalid_argument("ep {} does not divide the {} experts of {}", p.ep, model.experts, model.name);
  }
  if (p.ep > p.tp * p.dp) return invalid_argument("ep {} exceeds the tp {} x dp {} devices", p.ep, p.tp, p.dp);
  return ok_status();
}

}  // namespace callie::plan
