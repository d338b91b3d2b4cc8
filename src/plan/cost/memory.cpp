#include "plan/cost/memory.h"

#include <algorithm>
#include <cmath>

namespace callie::plan {

double weight_bytes_per_device(const ModelShape& m, const Parallelism& p, double bytes) {
  const double embedding = static_cast<double>(m.vocabulary) * m.hidden * (m.tied || !m.decoder ? 1 : 2);
  const double dense = m.layers * (m.attention_parameters() + 2.0 * m.hidden) + m.dense_layers() * m.mlp_parameters() +
                       m.mixture_layers() * m.shared_parameters();
  const double experts = m.mixture_layers() * m.experts * m.expert_parameters();
  // Experts are spread over all devices that share them, by expert or by width.
  const double expert_ranks = std::max(p.ep, p.tp * p.dp);
  return (embedding / p.tp + (dense / p.tp + experts / expert_ranks) / p.pp) * bytes;
}

StatusOr<int32_t> kv_blocks(const ModelShape& model, const Parallelism& p, const MemoryPlan& memory) {
  constexpr double kGib = 1024.0 * 1024 * 1024;
  const double weights = weight_bytes_per_device(model, p, memory.weight_bytes);
  const double usable = (memory.device_gib * memory.share - memory.reserve_gib) * kGib;
  // A KV head is not split: beyond kv_heads ranks hold copies. A latent cache is held by every rank.
  const double split = model.kv_rank > 0 ? 1 : std::min(p.tp, model.kv_heads);
  const double block = model.kv_bytes_per_token(memory.kv_bytes) / split / p.pp * memory.block_size;
  const double blocks = std::floor((usable - weights) / block);
  if (!(blocks >= 1)) {
    return invalid_argument("{} does not fit: {:.1f} GiB of weights per device, {:.1f} GiB usable", model.name,
                            weights / kGib, usable / kGib);
  }
  return static_cast<int32_t>(std::min(blocks, 2e8));
}

}  // namespace callie::plan
