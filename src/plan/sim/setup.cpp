#include <algorithm>

#include "plan/sim/run.h"

namespace callie::plan {

Status Run::check() const {
  bool llm = false, prefill = false, decode = false;
  for (const GroupSpec& g : spec_.groups) {
    llm |= language(g.role);
    prefill |= g.role == Role::kPrefill;
    decode |= g.role == Role::kDecode;
  }
  if (prefill != decode) {
    return invalid_argument("clients: role {} without role {}", prefill ? "prefill" : "decode",
                            prefill ? "decode" : "prefill");
  }
  const auto has = [&](Role role) {
    for (const GroupSpec& g : spec_.groups) {
      if (g.role == role) return true;
    }
    return false;
  };
  if (spec_.pipeline.empty()) return invalid_argument("pipeline is empty");
  bool seen_prefill = false;
  for (const StageSpec& stage : spec_.pipeline) {
    switch (stage.kind) {
      case StageKind::kPreprocess:
        if (!has(Role::kPreprocess)) return invalid_argument("pipeline: preprocess, but no client has that role");
        break;
      case StageKind::kRag:
        if (!has(Role::kRag)) return invalid_argument("pipeline: rag, but no client has that role");
        break;
      case StageKind::kPostprocess:
        if (!has(Role::kPostprocess)) return invalid_argument("pipeline: postprocess, but no client has that role");
        break;
      case StageKind::kKv:
        if (spec_.tiers.empty()) return invalid_argument("pipeline: kv, but fabric.tiers is empty");
        if (seen_prefill) return invalid_argument("pipeline: kv after prefill");
        break;
      case StageKind::kPrefill:
        if (!llm) return invalid_argument("pipeline: prefill, but no client has role both or prefill");
        if (seen_prefill) return invalid_argument("pipeline: prefill twice");
        seen_prefill = true;
        break;
      case StageKind::kDecode:
        if (!seen_prefill) return invalid_argument("pipeline: decode before prefill");
        break;
    }
  }
  return ok_status();
}

Status Run::prepare() {
  CALLIE_RETURN_IF_ERROR(check());
  int32_t block = 0;
  for (const GroupSpec& g : spec_.groups) {
    if (!language(g.role)) continue;
    if (block != 0 && block != g.engine.block_size) {
      return invalid_argument("clients: all language-model clients need the same kv.block");
    }
    block = g.engine.block_size;
  }
  CALLIE_ASSIGN_OR_RETURN(workload_, Workload::create(spec_.workload, block));
  by_role_.resize(6);
  round_robin_.assign(6, 0);
  for (size_t g = 0; g < spec_.groups.size(); ++g) {
    const GroupSpec& group = spec_.groups[g];
    for (int i = 0; i < group.count; ++i) {
      Client c;
      c.group = static_cast<int>(g);
      c.index = i;
      c.role = group.role;
      c.active = !group.autoscale.on || i < group.autoscale.min;
      if (language(group.role)) {
        for (int e = 0; e < group.parallelism.dp; ++e) {
          auto engine = make_engine(group.engine);
          if (!engine.ok()) return engine.status().with_context("clients." + group.name);
          c.engines.push_back(std::move(engine).value());
        }
        c.views.resize(c.engines.size());
        c.next_views.resize(c.engines.size());
        c.planned.resize(c.engines.size());
        c.next_planned.resize(c.engines.size());
      } else {
        c.servers.resize(group.station.servers);
        c.ends.resize(group.station.servers, kNever);
      }
      by_role_[static_cast<int>(group.role)].push_back(static_cast<int>(clients_.size()));
      clients_.push_back(std::move(c));
    }
  }
  for (const LinkSpec& link : spec_.links) link_of_.push_back(fabric_.add_link(std::min(link.gbs, 1e9), link.streams));
  tiers_.resize(spec_.tiers.size() * clients_.size());
  std::vector<int> shared_link(spec_.tiers.size(), -1);
  for (size_t k = 0; k < clients_.size(); ++k) {
    Client& c = clients_[k];
    const GroupSpec& group = spec_.groups[c.group];
    for (const int t : group.tiers) {
      const TierSpec& tier = spec_.tiers[t];
      int& link = shared_link[t];
      if (!tier.shared || link < 0) {
        const int made = fabric_.add_link(std::min(tier.gbs, 1e9), tier.streams);
        c.tier_links.push_back(made);
        if (tier.shared) link = made;
      } else {
        c.tier_links.push_back(link);
      }
      Tier& store = tiers_[t * clients_.size() + (tier.shared ? 0 : k)];
      if (!store.pool) {
        const double bytes = group.kv_bytes_per_token * group.engine.block_size;
        const double blocks = std::clamp(tier.capacity_gb * 1e9 / std::max(bytes, 1.0), 1.0, 5e7);
        store.pool = std::make_unique<sched::BlockPool>(sched::BlockPoolOptions{
            static_cast<int32_t>(blocks), group.engine.block_size, true, false});
      }
    }
  }
  for (const std::string& name : workload_->class_names()) {
    result_.classes.emplace_back();
    result_.classes.back().name = name;
  }
  result_.all.name = "all";
  return ok_status();
}

}  // namespace callie::plan
