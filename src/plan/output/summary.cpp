#include "plan/output/summary.h"

#include <algorithm>
#include <cmath>

namespace callie::plan {
namespace {

Json series_json(const Series& s) {
  return {{"mean", s.mean()},
          {"p50", s.percentile(.5)},
          {"p90", s.percentile(.9)},
          {"p95", s.percentile(.95)},
          {"p99", s.percentile(.99)},
          {"max", s.max()}};
}

double value_of(const Series& s, double quantile) { return quantile < 0 ? s.mean() : s.percentile(quantile); }

Json class_json(const ClassMetrics& m, double seconds) {
  const double n = static_cast<double>(std::max<int64_t>(m.finished, 1));
  Json out;
  out["requests"] = m.finished;
  out["rejected"] = m.rejected;
  out["failed"] = m.failed;
  out["ttft_ms"] = series_json(m.ttft_ms);
  out["tpot_ms"] = series_json(m.tpot_ms);
  out["e2e_ms"] = series_json(m.e2e_ms);
  out["queue_ms"] = series_json(m.queue_ms);
  out["requests_per_s"] = seconds > 0 ? static_cast<double>(m.finished) / seconds : 0;
  out["output_tokens_per_s"] = seconds > 0 ? static_cast<double>(m.output_tokens) / seconds : 0;
  out["prompt_tokens"] = m.prompt_tokens;
  out["cached_tokens"] = m.cached_tokens;
  out["output_tokens"] = m.output_tokens;
  out["slo_attainment"] = static_cast<double>(m.met_all) / n;
  Json stages;
  for (int i = 0; i < 8; ++i) stages[kStageNames[i]] = m.stage_ms[i] / n;
  out["stage_mean_ms"] = stages;
  return out;
}

struct Busy {
  std::string name;
  double utilisation;
};

std::vector<Busy> busy_parts(const SimSpec& spec, const SimResult& result) {
  std::vector<Busy> parts;
  for (size_t g = 0; g < spec.groups.size(); ++g) {
    double busy = 0, active = 0;
    for (const ClientResult& c : result.clients) {
      if (c.group != static_cast<int>(g)) continue;
      busy += c.busy_s;
      active += c.active_s * (spec.groups[g].cost ? 1 : spec.groups[g].station.servers);
    }
    parts.push_back({spec.groups[g].name, active > 0 ? busy / active : 0});
  }
  for (const LinkResult& link : result.links) {
    parts.push_back({"link " + link.name, result.elapsed_s > 0 ? link.busy_s / result.elapsed_s : 0});
  }
  return parts;
}

}  // namespace

Verdict find_bottleneck(const SimSpec& spec, const SimResult& result) {
  Verdict v;
  for (const Busy& part : busy_parts(spec, result)) {
    if (part.utilisation > v.utilisation || v.bottleneck.empty()) {
      v.bottleneck = part.name;
      v.utilisation = part.utilisation;
    }
  }
  const double mean_live = result.elapsed_s > 0 ? result.inside_s / result.elapsed_s : 0;
  const double last = result.growth * static_cast<double>(result.arrived);
  // A stable system holds about its mean number of requests when the last one arrives; a linearly growing queue twice.
  v.saturated = result.arrived >= 100 && v.utilisation > 0.9 && last > 1.6 * mean_live + 10 &&
                last > 0.02 * static_cast<double>(result.arrived);
  v.text = v.saturated ? fmt::format("overload: {} is busy {:.0f} % of the time and the queue grows", v.bottleneck,
                                     100 * v.utilisation)
                       : fmt::format("{} is the busiest part, {:.0f} % of the time", v.bottleneck, 100 * v.utilisation);
  return v;
}

SloOutcome check_slo(const SimSpec& spec, const SimResult& result) {
  SloOutcome out;
  constexpr const char* kNames[3] = {"ttft", "tpot", "e2e"};
  for (const SloSpec::Bound& bound : spec.slo.bounds) {
    const int m = static_cast<int>(bound.measure);
    const Series& s = m == 0 ? result.all.ttft_ms : m == 1 ? result.all.tpot_ms : result.all.e2e_ms;
    SloOutcome::Line line;
    line.name = bound.quantile < 0 ? fmt::format("{} mean", kNames[m]) : fmt::format("{} p{:g}", kNames[m], 100 * bound.quantile);
    line.limit_ms = bound.limit_ms;
    line.value_ms = value_of(s, bound.quantile);
    line.met = s.count() == 0 || line.value_ms <= bound.limit_ms;
    out.all_met &= line.met;
    out.lines.push_back(line);
  }
  const int64_t lost = result.all.rejected + result.all.failed;
  if (!spec.slo.bounds.empty() && (lost > 0 || result.unfinished > 0) && result.all.finished == 0) out.all_met = false;
  const double n = static_cast<double>(std::max<int64_t>(result.all.finished + lost, 1));
  out.attainment = static_cast<double>(result.all.met_all) / n;
  out.goodput = result.measured_s > 0 ? static_cast<double>(result.all.met_all) / result.measured_s : 0;
  return out;
}

Json summary_json(const Config& config, const SimResult& result) {
  const SimSpec& spec = config.spec;
  const Verdict verdict = find_bottleneck(spec, result);
  const SloOutcome slo = check_slo(spec, result);
  Json s;
  s["simulated_requests"] = result.finished;
  s["arrived"] = result.arrived;
  s["rejected"] = result.rejected;
  s["failed"] = result.failed;
  s["unfinished"] = result.unfinished;
  s["retries"] = result.retries;
  s["simulated_s"] = result.elapsed_s;
  s["cpu_s"] = result.cpu_s;
  s["steps"] = result.steps_done;
  s["events"] = result.events;
  s["peak_live_requests"] = result.peak_live;
  const double seconds = std::max(result.measured_s, 1e-9);
  s["throughput"] = {{"requests_per_s", static_cast<double>(result.all.finished) / seconds},
                     {"output_tokens_per_s", static_cast<double>(result.all.output_tokens) / seconds},
                     {"prompt_tokens_per_s", static_cast<double>(result.all.prompt_tokens) / seconds},
                     {"total_tokens_per_s",
                      static_cast<double>(result.all.output_tokens + result.all.prompt_tokens) / seconds}};
  s["all"] = class_json(result.all, result.measured_s);
  Json classes;
  for (const ClassMetrics& m : result.classes) {
    classes[m.name] = class_json(result.classes.size() == 1 ? result.all : m, result.measured_s);
  }
  s["classes"] = classes;
  Json parts;
  for (const Busy& part : busy_parts(spec, result)) parts[part.name] = part.utilisation;
  s["utilisation"] = parts;
  s["bottleneck"] = {{"name", verdict.bottleneck},
                     {"utilisation", verdict.utilisation},
                     {"saturated", verdict.saturated},
                     {"text", verdict.text}};
  const double tokens = static_cast<double>(result.all.output_tokens);
  s["energy"] = {{"joules", result.energy_j},
                 {"joules_per_output_token", tokens > 0 ? result.energy_j / tokens : 0},
                 {"mean_watts", result.elapsed_s > 0 ? result.energy_j / result.elapsed_s : 0}};
  if (spec.power.grams_per_kwh > 0) {
    s["carbon"] = {{"grams", result.carbon_g},
                   {"grams_per_million_output_tokens", tokens > 0 ? result.carbon_g / tokens * 1e6 : 0}};
  }
  s["cost"] = {{"usd", result.cost_usd},
               {"usd_per_million_output_tokens", tokens > 0 ? result.cost_usd / tokens * 1e6 : 0},
               {"usd_per_hour", result.elapsed_s > 0 ? result.cost_usd / result.elapsed_s * 3600 : 0}};
  Json bounds = Json::array();
  for (const SloOutcome::Line& line : slo.lines) {
    bounds.push_back({{"bound", line.name}, {"limit_ms", line.limit_ms}, {"value_ms", line.value_ms}, {"met", line.met}});
  }
  s["slo"] = {{"met", slo.all_met}, {"attainment", slo.attainment}, {"goodput_per_s", slo.goodput}, {"bounds", bounds}};
  Json clients = Json::array();
  for (const ClientResult& c : result.clients) {
    clients.push_back({{"name", c.name},
                       {"steps", c.steps},
                       {"busy_s", c.busy_s},
                       {"active_s", c.active_s},
                       {"served", c.served},
                       {"prefill_tokens", c.prefill_tokens},
                       {"decode_tokens", c.decode_tokens},
                       {"preemptions", c.preemptions},
                       {"blocks", c.blocks},
                       {"peak_blocks", c.peak_blocks},
                       {"mean_decode_batch", c.mean_batch},
                       {"energy_j", c.energy_j},
                       {"cost_usd", c.cost_usd}});
  }
  s["clients"] = clients;
  if (!result.links.empty()) {
    Json links = Json::array();
    for (const LinkResult& link : result.links) {
      links.push_back({{"name", link.name}, {"busy_s", link.busy_s}, {"gigabytes", link.gigabytes}});
    }
    s["links"] = links;
  }
  if (!result.tiers.empty()) {
    Json tiers = Json::array();
    for (const TierResult& t : result.tiers) {
      tiers.push_back({{"name", t.name},
                       {"lookups", t.lookups},
                       {"hits", t.hits},
                       {"fetched_tokens", t.tokens},
                       {"recompute_was_faster", t.recomputed},
                       {"used_gb", t.used_gb}});
    }
    s["tiers"] = tiers;
  }
  Json out;
  out["schema_version"] = 1;
  out["config"] = config.path;
  out["config_hash"] = fmt::format("{:016x}", config.hash);
  out["seed"] = spec.workload.seed;
  if (!config.warnings.empty()) out["warnings"] = config.warnings;
  if (result.extrapolated > 0) out["extrapolated_steps"] = result.extrapolated;
  out["summary"] = s;
  return out;
}

std::string summary_text(const Config& config, const SimResult& result) {
  const SimSpec& spec = config.spec;
  const Verdict verdict = find_bottleneck(spec, result);
  const SloOutcome slo = check_slo(spec, result);
  std::string out;
  const double seconds = std::max(result.measured_s, 1e-9);
  out += fmt::format("{} requests in {:.1f} simulated seconds, {:.3f} s of CPU time ({:.0f} requests/s)\n",
                     result.finished, result.elapsed_s, result.cpu_s,
                     result.cpu_s > 0 ? static_cast<double>(result.finished) / result.cpu_s : 0);
  if (result.rejected + result.failed + result.unfinished > 0) {
    out += fmt::format("rejected {}, failed {}, unfinished {}\n", result.rejected, result.failed, result.unfinished);
  }
  out += fmt::format("throughput {:.2f} requests/s, {:.0f} output tokens/s\n",
                     static_cast<double>(result.all.finished) / seconds,
                     static_cast<double>(result.all.output_tokens) / seconds);
  out += fmt::format("{:<14}{:>12}{:>12}{:>12}{:>12}\n", "ms", "mean", "p50", "p90", "p99");
  const auto line = [&](const std::string& name, const Series& s) {
    out += fmt::format("{:<14}{:>12.2f}{:>12.2f}{:>12.2f}{:>12.2f}\n", name, s.mean(), s.percentile(.5),
                       s.percentile(.9), s.percentile(.99));
  };
  line("TTFT", result.all.ttft_ms);
  line("TPOT", result.all.tpot_ms);
  line("E2E", result.all.e2e_ms);
  if (result.classes.size() > 1) {
    for (const ClassMetrics& m : result.classes) {
      line(m.name + " TTFT", m.ttft_ms);
      line(m.name + " E2E", m.e2e_ms);
    }
  }
  for (const Busy& part : busy_parts(spec, result)) {
    out += fmt::format("{} busy {:.1f} %\n", part.name, 100 * part.utilisation);
  }
  out += verdict.text + "\n";
  const double tokens = static_cast<double>(result.all.output_tokens);
  if (tokens > 0) {
    out += fmt::format("${:.3f} and {:.3f} kWh per million output tokens\n", result.cost_usd / tokens * 1e6,
                       result.energy_j / tokens / 3.6);
  }
  for (const SloOutcome::Line& l : slo.lines) {
    out += fmt::format("SLO {:<10} {:.1f} ms of {:.1f} ms: {}\n", l.name, l.value_ms, l.limit_ms, l.met ? "met" : "MISSED");
  }
  for (const std::string& warning : config.warnings) out += "note: " + warning + "\n";
  if (result.extrapolated > 0) {
    out += fmt::format("note: {} steps lay outside the measured range of their tables\n", result.extrapolated);
  }
  return out;
}

std::string explain_text(const Config& config, const SimResult& result) {
  std::string out;
  constexpr double kGib = 1024.0 * 1024 * 1024;
  for (size_t g = 0; g < config.spec.groups.size(); ++g) {
    const GroupSpec& group = config.spec.groups[g];
    out += fmt::format("{}: {} x {}\n", group.name, group.count, group.cost ? group.model.name : "station");
    if (!group.cost) continue;
    out += fmt::format("  weights {:.2f} GiB per device, KV {:.0f} bytes per token, {} blocks of {} = {} tokens\n",
                       static_cast<double>(group.weights_bytes) / kGib, group.kv_bytes_per_token, group.engine.blocks,
                       group.engine.block_size,
                       static_cast<int64_t>(group.engine.blocks) * group.engine.block_size);
    out += fmt::format("  policy {}, budget {} tokens, {} sequences; host {} us per step, {} us per request\n",
                       group.engine.policy, group.engine.token_budget, group.engine.max_seqs,
                       group.host.per_step / 1000, group.host.per_request / 1000);
    out += "  " + group.cost->describe() + "\n";
    BatchView one;
    one.add_decode(1, 1024);
    one.samples = 1;
    BatchView prompt;
    prompt.add_prefill(std::min(group.engine.token_budget, 2048), 0);
    prompt.samples = 1;
    out += fmt::format("  a decode step of 1 sequence at 1024 tokens {:.2f} ms; a prompt step of {} tokens {:.2f} ms\n",
                       to_ms(group.cost->step_ns(one)), prompt.prefill_tokens, to_ms(group.cost->step_ns(prompt)));
    // The shortest prefix that is worth fetching, kappa x prefill rate (section 3.9 of the method).
    const double rate = prompt.prefill_tokens / to_seconds(std::max<Ns>(group.cost->step_ns(prompt), 1));
    out += fmt::format("  KV fetch pays above {:.2f} GB/s\n", group.kv_bytes_per_token * rate / 1e9);
  }
  for (const Busy& part : busy_parts(config.spec, result)) {
    out += fmt::format("load of {}: {:.3f}\n", part.name, part.utilisation);
  }
  out += find_bottleneck(config.spec, result).text + "\n";
  return out;
}

bool feasible(const SimSpec& spec, const SimResult& result) {
  return check_slo(spec, result).all_met && result.rejected + result.failed + result.unfinished == 0 &&
         !find_bottleneck(spec, result).saturated;
}

}  // namespace callie::plan
