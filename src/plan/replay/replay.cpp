#include "plan/replay/replay.h"

#include <algorithm>
#include <cmath>
#include <ctime>
#include <filesystem>
#include <map>

#include "plan/cost/kernel_tables.h"
#include "plan/cost/memory.h"
#include "plan/sim/simulator.h"

namespace callie::plan {
namespace fs = std::filesystem;
namespace {

LatencySummary summarize(std::vector<double> values) {
  LatencySummary s;
  if (values.empty()) return s;
  Series series;
  for (const double v : values) series.add(v);
  s.mean = series.mean();
  s.p50 = series.percentile(0.50);
  s.p90 = series.percentile(0.90);
  s.p99 = series.percentile(0.99);
  return s;
}

std::string perf_root(const ReplayOptions& options) {
  if (!options.perf.empty()) return options.perf;
  return (fs::path(options.run) / ".." / ".." / ".." / "perf").lexically_normal().string();
}

StatusOr<ModelShape> shape_of(const RecordedRun::Instance& in, const ReplayOptions& options) {
  CALLIE_ASSIGN_OR_RETURN(ModelShape shape, options.model_config.empty() ? find_model(in.model)
                                                                         : model_from_config(options.model_config));
  if (!shape.decoder) return invalid_argument("{}: an encoder, which generates nothing", shape.name);
  return shape;
}

}  // namespace

RunLatencies real_latencies(const RecordedRun& run) {
  std::vector<double> ttft, tpot, e2e;
  for (const RecordedRun::Request& r : run.requests) {
    ttft.push_back((r.first_s - r.queued_s) * 1e3);
    e2e.push_back((r.last_s - r.queued_s) * 1e3);
    if (r.output >= 2) tpot.push_back((r.last_s - r.first_s) * 1e3 / (r.output - 1));
  }
  return {summarize(ttft), summarize(tpot), summarize(e2e)};
}

RunLatencies simulated_latencies(const std::vector<RequestRow>& rows) {
  std::vector<double> ttft, tpot, e2e;
  for (const RequestRow& r : rows) {
    if (r.outcome != 0) continue;
    ttft.push_back(to_ms(r.first_token - r.queued));
    e2e.push_back(to_ms(r.finished - r.queued));
    if (r.output >= 2) tpot.push_back(to_ms(r.finished - r.first_token) / (r.output - 1));
  }
  return {summarize(ttft), summarize(tpot), summarize(e2e)};
}

StatusOr<SimSpec> replay_spec(const RecordedRun& run, const ReplayOptions& options, std::vector<std::string>& notes) {
  SimSpec spec;
  spec.per_request = true;
  spec.pipeline = {{StageKind::kPrefill}, {StageKind::kDecode}};
  auto trace = std::make_shared<Trace>();
  trace->source = run.folder;
  const double start = run.requests.front().arrival_s;
  for (const RecordedRun::Request& r : run.requests) {
    Trace::Row row;
    row.arrival_s = r.arrival_s - start;
    row.prompt = r.prompt;
    row.output = row.max_tokens = r.output;
    trace->rows.push_back(row);
  }
  spec.workload.trace = trace;
  spec.workload.arrivals.kind = ArrivalSpec::Kind::kTrace;

  // Members of a data-parallel group of a mixture of experts step together and are one client; those of a dense model are
  // independent engines behind one balancer. Equal instances beside each other are a group of clients.
  std::map<std::string, std::vector<const RecordedRun::Instance*>> units;
  std::vector<std::string> order;
  for (size_t i = 0; i < run.instances.size(); ++i) {
    const RecordedRun::Instance& in = run.instances[i];
    auto shape = shape_of(in, options);
    if (!shape.ok()) return shape.status().with_context(run.folder + "/config.json: model_name");
    const bool together = !in.dp_group.empty() && shape->mixture();
    if (!in.dp_group.empty() && !together) spec.routing.kind = RouterKind::kLeastRequests;
    const std::string key = !together ? fmt::format("instance {}", i) : "dp group " + in.dp_group;
    if (!units.contains(key)) order.push_back(key);
    units[key].push_back(&in);
  }
  std::map<std::string, std::shared_ptr<const KernelTables>> loaded;
  for (const std::string& key : order) {
    const auto& members = units[key];
    const RecordedRun::Instance& in = *members[0];
    for (const RecordedRun::Instance* other : members) {
      if (other->tp != in.tp || other->pp != in.pp || other->ep != in.ep || other->model != in.model || other->hardware != in.hardware) {
        return invalid_argument("{}/config.json: {}: its members differ in model, hardware, tp_size, pp_size or ep_size",
                                run.folder, key);
      }
    }
    GroupSpec group;
    group.name = fmt::format("{} ({})", in.hardware, key);
    CALLIE_ASSIGN_OR_RETURN(group.model, shape_of(in, options));
    group.parallelism.tp = in.tp;
    group.parallelism.pp = in.pp;
    group.parallelism.dp = static_cast<int>(members.size());
    const int reach = in.tp * group.parallelism.dp;
    group.parallelism.ep = group.model.mixture() ? (in.ep > 0 ? in.ep : in.tp) : 1;
    if (group.parallelism.ep > reach) {
      return invalid_argument("{}/config.json: ep_size {} exceeds the {} devices that share experts", run.folder,
                              group.parallelism.ep, reach);
    }
    const Status degrees = check_parallelism(group.model, group.parallelism);
    if (!degrees.ok()) return degrees.with_context(run.folder + "/config.json");
    if (options.calibration.present && options.calibration.hardware != in.hardware) {
      return invalid_argument("the calibration is of {}, the run is of {}: fit one on this machine",
                              options.calibration.hardware, in.hardware);
    }
    const std::string dtype = in.dtype.empty() ? run.dtype : in.dtype;
    const std::string table_key = in.hardware + "/" + in.model + "/" + dtype + fmt::format("/{}", in.tp);
    if (!loaded.contains(table_key)) {
      CALLIE_ASSIGN_OR_RETURN(loaded[table_key], load_kernel_tables(perf_root(options), in.hardware, in.model, dtype,
                                                                    in.tp, run.kv_bytes < 2));
    }
    const Link link{run.link_gbs, run.link_latency_ns, 0};
    CALLIE_ASSIGN_OR_RETURN(group.cost, make_kernel_table_cost(loaded[table_key], group.model, group.parallelism, link,
                                                               {options.calibration.kernel_scale}));
    group.host.per_step = from_us(options.calibration.host_per_step_us);
    group.role = in.role == "prefill" ? Role::kPrefill : in.role == "decode" ? Role::kDecode : Role::kBoth;
    group.devices = in.tp * in.pp * group.parallelism.dp;
    group.kv_bytes_per_token = group.model.kv_bytes_per_token(run.kv_bytes);
    group.engine.policy = options.policy;
    group.engine.max_seqs = in.max_seqs > 0 ? in.max_seqs : run.max_seqs;
    group.engine.token_budget = in.token_budget > 0 ? in.token_budget : run.token_budget;
    group.engine.block_size = in.block_size > 0 ? in.block_size : run.block_size;
    group.engine.max_chunk = in.long_prefill >= 0 ? in.long_prefill : run.long_prefill;
    group.engine.max_context = run.max_model_len;
    group.engine.prefix_cache = run.prefix_cache && in.prefix_cache;
    group.engine.async = run.async && options.policy == "vllm1";
    group.engine.reserve_prompt = run.reserve_prompt && in.reserve_prompt;
    // Without a report: vLLM captures graphs for twice max_num_seqs, at most 512.
    group.graph_rows = run.graph_rows >= 0 ? run.graph_rows : std::min(2 * group.engine.max_seqs, 512);
    if (run.blocks > 0) {
      // vLLM keeps one of the reported blocks as its null block.
      group.engine.blocks = run.blocks - 1;
    } else {
      MemoryPlan memory;
      memory.device_gib = in.memory_gb;
      memory.share = in.memory_share;
      memory.weight_bytes = 2;
      memory.kv_bytes = run.kv_bytes;
      memory.block_size = group.engine.block_size;
      auto blocks = kv_blocks(group.model, group.parallelism, memory);
      if (!blocks.ok()) return blocks.status().with_context(run.folder + "/config.json");
      group.engine.blocks = *blocks;
      notes.push_back(fmt::format("KV blocks computed from memory: {} (the run did not report them)", *blocks));
    }
    // Equal neighbours become one group of several clients.
    if (members.size() == 1 && !spec.groups.empty() && spec.groups.back().parallelism.dp == 1) {
      GroupSpec& last = spec.groups.back();
      if (last.model.name == group.model.name && last.role == group.role && last.parallelism.tp == group.parallelism.tp &&
          last.parallelism.pp == group.parallelism.pp && last.engine.max_seqs == group.engine.max_seqs &&
          last.engine.token_budget == group.engine.token_budget && last.engine.max_chunk == group.engine.max_chunk &&
          last.engine.prefix_cache == group.engine.prefix_cache && last.engine.blocks == group.engine.blocks &&
          last.cost->describe() == group.cost->describe()) {
        ++last.count;
        continue;
      }
    }
    spec.groups.push_back(std::move(group));
  }
  const int instances = static_cast<int>(run.instances.size());
  if (run.dp > 0 && instances > 0 && run.dp != instances) {
    notes.push_back(fmt::format("config.json holds {} instances, the engine reports data_parallel_size {}: simulated as "
                                "config.json says", instances, run.dp));
  }
  if (run.tp > 0 && run.tp != run.instances[0].tp) {
    notes.push_back(fmt::format("config.json says tp_size {}, the engine reports tensor_parallel_size {}: simulated as "
                                "config.json says", run.instances[0].tp, run.tp));
  }
  for (size_t p = 0; p < spec.groups.size(); ++p) {
    for (size_t d = 0; d < spec.groups.size(); ++d) {
      if (spec.groups[p].role != Role::kPrefill || spec.groups[d].role != Role::kDecode) continue;
      LinkSpec link;
      link.name = fmt::format("{} -> {}", spec.groups[p].name, spec.groups[d].name);
      link.from = static_cast<int>(p);
      link.to = static_cast<int>(d);
      link.gbs = run.link_gbs;
      link.latency = static_cast<Ns>(run.link_latency_ns);
      spec.links.push_back(link);
    }
  }
  return spec;
}

void ReplayResult::take(SimResult sim, std::clock_t start) {
  steps = sim.steps_done;
  extrapolated = sim.extrapolated;
  for (const ClientResult& c : sim.clients) {
    preemptions += c.preemptions;
    blocks += c.blocks;
  }
  if (sim.rejected > 0) notes.push_back(fmt::format("{} requests do not fit and were rejected", sim.rejected));
  if (sim.extrapolated > 0) notes.push_back(fmt::format("{} steps lay outside the measured range", sim.extrapolated));
  rows = std::move(sim.requests);
  cpu_ms = static_cast<double>(std::clock() - start) * 1e3 / CLOCKS_PER_SEC;
}

StatusOr<ReplayResult> replay(const ReplayOptions& options) {
  const std::clock_t start = std::clock();
  ReplayResult result;
  CALLIE_ASSIGN_OR_RETURN(const RecordedRun run, load_run(options.run));
  CALLIE_ASSIGN_OR_RETURN(const SimSpec spec, replay_spec(run, options, result.notes));
  CALLIE_ASSIGN_OR_RETURN(SimResult sim, simulate(spec));
  result.simulated = simulated_latencies(sim.requests);
  result.real = real_latencies(run);
  result.cost = spec.groups[0].cost->describe();
  result.engine = run.engine;
  result.machine = run.instances[0].hardware + " " + run.instances[0].model;
  result.take(std::move(sim), start);
  return result;
}

StatusOr<Calibration> calibrate_to_run(const ReplayOptions& options) {
  ReplayOptions trial = options;
  CALLIE_ASSIGN_OR_RETURN(const RecordedRun run, load_run(options.run));
  const RunLatencies real = real_latencies(run);
  Calibration best;
  best.hardware = run.instances[0].hardware;
  best.fitted_on = options.run;
  best.objective = INFINITY;
  best.present = true;
  // Mean squared relative error of the twelve statistics in units of 2 %, plus what is known beforehand: the tables come
  // from the same device, so kernels keep their time within 5 %, and an engine that overlaps its host work shows less
  // than half a millisecond of it in a step. One run alone cannot tell the two scalars apart.
  const auto cost = [&](const RunLatencies& sim, const Calibration& c) {
    constexpr double kError = 0.02, kScale = 0.05, kHostUs = 500;
    double sum = 0;
    int n = 0;
    const auto add = [&](const LatencySummary& s, const LatencySummary& r) {
      for (const auto& [a, b] : {std::pair(s.mean, r.mean), {s.p50, r.p50}, {s.p90, r.p90}, {s.p99, r.p99}}) {
        if (b <= 0) continue;
        sum += (a / b - 1) * (a / b - 1) / (kError * kError);
        ++n;
      }
    };
    add(sim.ttft, real.ttft);
    add(sim.tpot, real.tpot);
    add(sim.e2e, real.e2e);
    const double scale = (c.kernel_scale - 1) / kScale, host = c.host_per_step_us / kHostUs;
    return sum / n + scale * scale + host * host;
  };
  // A grid that closes in: the objective has one valley, and a run takes milliseconds.
  double scale_low = 0.8, scale_high = 1.6, host_low = 0, host_high = 8000;
  constexpr int kGrid = 9;
  for (int round = 0; round < 6; ++round) {
    for (int i = 0; i < kGrid; ++i) {
      for (int j = 0; j < kGrid; ++j) {
        Calibration c = best;
        c.kernel_scale = scale_low + (scale_high - scale_low) * i / (kGrid - 1);
        c.host_per_step_us = host_low + (host_high - host_low) * j / (kGrid - 1);
        trial.calibration = c;
        std::vector<std::string> notes;
        CALLIE_ASSIGN_OR_RETURN(const SimSpec spec, replay_spec(run, trial, notes));
        CALLIE_ASSIGN_OR_RETURN(const SimResult sim, simulate(spec));
        c.objective = cost(simulated_latencies(sim.requests), c);
        if (c.objective < best.objective) best = c;
      }
    }
    const double scale_step = (scale_high - scale_low) / (kGrid - 1), host_step = (host_high - host_low) / (kGrid - 1);
    scale_low = std::max(best.kernel_scale - scale_step, 0.1);
    scale_high = best.kernel_scale + scale_step;
    host_low = std::max(best.host_per_step_us - host_step, 0.0);
    host_high = best.host_per_step_us + host_step;
  }
  return best;
}

}  // namespace callie::plan
