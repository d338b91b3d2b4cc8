#include "plan/replay/engine_log.h"

#include <algorithm>
#include <cmath>
#include <ctime>

#include "core/atomic_file.h"
#include "core/json_lines.h"
#include "plan/json_field.h"
#include "plan/sim/simulator.h"

namespace callie::plan {
namespace {

Status read_header(const JsonField& f, EngineLog& log) {
  CALLIE_ASSIGN_OR_RETURN(log.model, f["model"].text());
  CALLIE_ASSIGN_OR_RETURN(log.version, f["version"].text_or("?"));
  const auto put = [&](const char* key, int& out, double low) -> Status {
    CALLIE_ASSIGN_OR_RETURN(out, f[key].whole(low, 1e9));
    return ok_status();
  };
  CALLIE_RETURN_IF_ERROR(put("threads", log.threads, 0));
  CALLIE_RETURN_IF_ERROR(put("token_budget", log.token_budget, 1));
  CALLIE_RETURN_IF_ERROR(put("max_seqs", log.max_seqs, 1));
  CALLIE_RETURN_IF_ERROR(put("block_size", log.block_size, 1));
  return put("blocks", log.blocks, 1);
}

StatusOr<EngineLog::Request> read_request(const JsonField& f) {
  EngineLog::Request r;
  CALLIE_ASSIGN_OR_RETURN(r.arrival_s, f["arrival_s"].number(0, 1e12));
  CALLIE_ASSIGN_OR_RETURN(r.scheduled_s, f["scheduled_s"].number_or(-1, -1, 1e12));
  CALLIE_ASSIGN_OR_RETURN(r.first_s, f["first_token_s"].number(-1, 1e12));
  CALLIE_ASSIGN_OR_RETURN(r.finished_s, f["finished_s"].number(-1, 1e12));
  const auto put = [&](const char* key, int32_t& out, double low) -> Status {
    CALLIE_ASSIGN_OR_RETURN(out, f[key].whole(low, 1e8));
    return ok_status();
  };
  CALLIE_RETURN_IF_ERROR(put("prompt_tokens", r.prompt, 1));
  CALLIE_RETURN_IF_ERROR(put("cached_tokens", r.cached, 0));
  CALLIE_RETURN_IF_ERROR(put("output_tokens", r.output, 0));
  CALLIE_RETURN_IF_ERROR(put("max_tokens", r.max_tokens, 0));
  CALLIE_RETURN_IF_ERROR(put("preemptions", r.preemptions, 0));
  CALLIE_ASSIGN_OR_RETURN(const double priority, f["priority"].number_or(0, -1e6, 1e6));
  r.priority = static_cast<int32_t>(priority);
  const JsonField hashes = f["prompt_block_hashes"];
  if (!hashes.present()) return r;
  if (!hashes.json().is_array()) return data_loss("{}: not a list", hashes.place());
  for (size_t i = 0; i < hashes.json().size(); ++i) {
    CALLIE_ASSIGN_OR_RETURN(const std::string text, hashes.at(i).text());
    char* end = nullptr;
    const uint64_t value = std::strtoull(text.c_str(), &end, 16);
    if (text.empty() || *end != '\0') return data_loss("{}: not a hexadecimal number", hashes.at(i).place());
    r.hashes.push_back(value);
  }
  return r;
}

LatencySummary summary_of(const Series& s) {
  return {s.mean(), s.percentile(.5), s.percentile(.9), s.percentile(.99)};
}

}  // namespace

StatusOr<EngineLog> load_engine_log(const std::string& path) {
  CALLIE_ASSIGN_OR_RETURN(const std::string text, read_text_file(path));
  EngineLog log;
  log.path = path;
  bool header = false;
  CALLIE_RETURN_IF_ERROR(for_each_json_line(text, path, [&](const Json& json, int line) -> Status {
    const std::string place = fmt::format("{}:{}", path, line);
    const JsonField f(json, place);
    if (!header) {
      CALLIE_RETURN_IF_ERROR(read_header(f, log));
      header = true;
      return ok_status();
    }
    CALLIE_ASSIGN_OR_RETURN(EngineLog::Request r, read_request(f));
    if (r.first_s < 0 || r.output < 1) {
      ++log.skipped;
      return ok_status();
    }
    if (r.first_s < r.arrival_s) return data_loss("{}: first_token_s lies before arrival_s", place);
    if (r.finished_s < r.first_s) return data_loss("{}: finished_s lies before first_token_s", place);
    log.requests.push_back(std::move(r));
    return ok_status();
  }));
  if (log.requests.empty()) return data_loss("{}: no finished requests", path);
  std::stable_sort(log.requests.begin(), log.requests.end(),
                   [](const auto& a, const auto& b) { return a.arrival_s < b.arrival_s; });
  return log;
}

StatusOr<ReplayResult> replay_engine_log(const EngineLog& log, const FittedModel& cost, const EngineLogOptions& options) {
  const std::clock_t start = std::clock();
  ReplayResult result;
  auto trace = std::make_shared<Trace>();
  trace->source = log.path;
  const double zero = log.requests.front().arrival_s;
  trace->hash_block = log.block_size;
  for (const EngineLog::Request& r : log.requests) {
    Trace::Row row;
    row.arrival_s = r.arrival_s - zero;
    row.prompt = r.prompt;
    row.output = r.output;
    row.max_tokens = std::max(r.max_tokens, r.output);
    row.priority = static_cast<int16_t>(std::clamp(r.priority, -32768, 32767));
    row.first_hash = static_cast<uint32_t>(trace->hashes.size());
    row.hash_count = static_cast<uint32_t>(r.hashes.size());
    trace->hashes.insert(trace->hashes.end(), r.hashes.begin(), r.hashes.end());
    trace->rows.push_back(row);
  }
  SimSpec spec;
  spec.per_request = true;
  spec.pipeline = {{StageKind::kPrefill}, {StageKind::kDecode}};
  spec.workload.trace = trace;
  spec.workload.arrivals.kind = ArrivalSpec::Kind::kTrace;
  GroupSpec group;
  group.name = log.model;
  group.cost = make_fitted_cost(cost);
  group.host.per_step = from_us(cost.gap_us);
  group.engine.policy = options.policy;
  group.engine.token_budget = options.token_budget > 0 ? options.token_budget : log.token_budget;
  group.engine.max_seqs = options.max_seqs > 0 ? options.max_seqs : log.max_seqs;
  group.engine.blocks = options.blocks > 0 ? options.blocks : log.blocks;
  group.engine.block_size = log.block_size;
  group.engine.prefix_cache = !options.no_prefix_cache;
  spec.groups = {group};
  CALLIE_ASSIGN_OR_RETURN(SimResult sim, simulate(spec));
  Series ttft, tpot, e2e;
  double last = 0;
  int64_t tokens = 0;
  for (const EngineLog::Request& r : log.requests) {
    ttft.add((r.first_s - r.arrival_s) * 1e3);
    e2e.add((r.finished_s - r.arrival_s) * 1e3);
    if (r.output >= 2) tpot.add((r.finished_s - r.first_s) * 1e3 / (r.output - 1));
    last = std::max(last, r.finished_s - zero);
    tokens += r.output;
  }
  result.real = {summary_of(ttft), summary_of(tpot), summary_of(e2e)};
  result.simulated = {summary_of(sim.all.ttft_ms), summary_of(sim.all.tpot_ms), summary_of(sim.all.e2e_ms)};
  result.real_tokens_per_s = last > 0 ? static_cast<double>(tokens) / last : 0;
  result.simulated_tokens_per_s = sim.elapsed_s > 0 ? static_cast<double>(sim.all.output_tokens) / sim.elapsed_s : 0;
  result.cost = group.cost->describe();
  result.engine = "Callie " + log.version;
  result.machine = log.model;
  if (log.skipped > 0) result.notes.push_back(fmt::format("{} requests without a token are left out", log.skipped));
  result.take(std::move(sim), start);
  return result;
}

StepErrors step_errors(const FittedModel& model, const std::vector<StepSample>& steps) {
  StepErrors out;
  Series errors;
  for (const StepSample& s : steps) {
    if (s.step_us <= 0) continue;
    const double e = model.predict_us(s) / s.step_us - 1;
    errors.add(std::abs(e));
    out.bias += e;
  }
  out.steps = errors.count();
  if (out.steps == 0) return out;
  out.bias /= static_cast<double>(out.steps);
  out.median = errors.percentile(.5);
  out.p90 = errors.percentile(.9);
  return out;
}

}  // namespace callie::plan
