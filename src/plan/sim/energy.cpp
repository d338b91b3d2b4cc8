#include "plan/sim/energy.h"

#include <algorithm>

namespace callie::plan {
namespace {

struct Usage {
  double compute_s, memory_s, network_s;  // seconds at peak, of one device
};

Usage usage(const GroupSpec& g, double steps, double tokens, double pairs, double kv_read) {
  const ModelShape& m = g.model;
  if (m.layers == 0 || g.hardware.bf16_tflops <= 0) return {};
  const double active = m.layers * m.attention_parameters() + m.dense_layers() * m.mlp_parameters() +
                        m.mixture_layers() * (m.shared_parameters() + m.experts_per_token * m.expert_parameters());
  const double devices = g.devices;
  const double flops = 2 * active * tokens + 2 * m.attention_macs_per_pair() * m.layers * pairs;
  const double bytes = steps * m.parameters() * g.weight_bytes_per_element + kv_read * g.kv_bytes_per_token;
  Usage u{flops / devices / (g.hardware.bf16_tflops * 1e12), bytes / devices / (g.hardware.memory_gbs * 1e9), 0};
  if (g.parallelism.tp > 1 && g.hardware.link_gbs > 0) {
    const double t = g.parallelism.tp;
    u.network_s = 2.0 * m.layers * 2 * (t - 1) / t * tokens * m.hidden * 2 / (g.hardware.link_gbs * 1e9);
  }
  return u;
}

}  // namespace

double client_energy(const GroupSpec& g, const PowerSpec& p, const ClientWork& w) {
  const Usage u = usage(g, w.steps, w.tokens, w.pairs, w.decode_context);
  const double cap = std::max(w.busy_s, 0.0);
  const double above = g.hardware.max_w - g.hardware.idle_w;
  const double dynamic = p.compute_weight * std::min(u.compute_s, cap) + p.memory_weight * std::min(u.memory_s, cap) +
                         p.network_weight * std::min(u.network_s, cap);
  if (g.model.layers == 0) return g.devices * (g.hardware.idle_w * w.active_s + above * w.busy_s);
  return g.devices * (g.hardware.idle_w * w.active_s + above * dynamic);
}

double step_power(const GroupSpec& g, const PowerSpec& p, const BatchView* step, Ns duration) {
  if (!step || duration <= 0) return g.devices * g.hardware.idle_w;
  const double pairs = static_cast<double>(step->prefill_pairs2) / 2 + static_cast<double>(step->decode_context);
  const Usage u = usage(g, 1, step->tokens(), pairs, static_cast<double>(step->decode_context));
  const double s = to_seconds(duration);
  const double share = p.compute_weight * std::min(u.compute_s / s, 1.0) +
                       p.memory_weight * std::min(u.memory_s / s, 1.0) +
                       p.network_weight * std::min(u.network_s / s, 1.0);
  return g.devices * (g.hardware.idle_w + (g.hardware.max_w - g.hardware.idle_w) * share);
}

}  // namespace callie::plan
