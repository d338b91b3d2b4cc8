#include "plan/study/validate.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <map>

#include "core/interrupt.h"
#include "plan/cost/roofline.h"
#include "plan/replay/replay.h"
#include "plan/sim/simulator.h"
#include "plan/study/reference_cases.h"
#include "plan/table_file.h"
#include "plan/workload/importers.h"

namespace callie::plan {
namespace fs = std::filesystem;
namespace {

Check skipped(std::string name, const std::string& path) {
  Check check{std::move(name), "", path + ": not there"};
  check.skipped = true;
  return check;
}

double quantile(std::vector<double> values, double q) {
  if (values.empty()) return 0;
  const auto at = values.begin() + static_cast<std::ptrdiff_t>(q * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), at, values.end());
  return *at;
}

/// Positive parameters that minimise `cost`: multiplicative coordinate search with a shrinking step.
std::vector<double> fit_positive(std::vector<double> at, const std::function<double(const std::vector<double>&)>& cost) {
  double best = cost(at);
  for (double step = 2; step > 1.0005;) {
    bool better = false;
    for (double& parameter : at) {
      for (const double factor : {step, 1 / step}) {
        const double before = parameter;
        parameter *= factor;
        const double now = cost(at);
        if (now < best) {
          best = now;
          better = true;
        } else {
          parameter = before;
        }
      }
    }
    if (!better) step = 1 + (step - 1) / 2;
  }
  return at;
}

Status check_theory(const ValidateOptions& options, std::vector<Check>& out) {
  const double widening = std::sqrt(1e6 / static_cast<double>(options.requests));
  Check little{"Little's law, exact in all of them", "theory", "", 0, 0};
  for (const ReferenceCase& reference : reference_cases()) {
    CALLIE_ASSIGN_OR_RETURN(const SeedEstimate e, over_ten_seeds(reference, options.requests));
    if (interrupted()) return error(StatusCode::kCancelled, "interrupted");
    const double miss = std::abs(e.mean - reference.theory);
    Check check{reference.name, "theory", "", 100 * miss / reference.theory, 100 * reference.bound * std::max(widening, 1.0)};
    if (miss > e.half_width + 1e-9 * reference.theory) {
      check.note = "theory outside the 99 % interval of ten seeds";
      check.bar = -1;
    }
    little.seen += !e.little;
    out.push_back(check);
  }
  out.push_back(little);
  return ok_status();
}

Status check_merging(const ValidateOptions& options, std::vector<Check>& out) {
  const std::string path = options.data + "/traces/azure_2023_conv.csv";
  if (!fs::exists(path)) {
    out.push_back(skipped("merged steps against single ones", path));
    return ok_status();
  }
  CALLIE_ASSIGN_OR_RETURN(const Trace trace, import_trace(path, "azure"));
  CALLIE_ASSIGN_OR_RETURN(const ModelShape model, find_model("llama-3.1-8b"));
  CALLIE_ASSIGN_OR_RETURN(const Hardware hardware, find_hardware("h100_sxm"));
  Check check{"requests that differ between merged and single steps", "azure_2023_conv, 5000 requests", "", 0, 0};
  for (const char* policy : {"vllm1", "callie"}) {
    SimSpec spec;
    GroupSpec g;
    g.name = "llm";
    g.model = model;
    g.cost = make_roofline_cost(model, hardware, {}, {});
    g.engine.policy = policy;
    g.engine.blocks = 20'000;
    spec.groups = {g};
    spec.pipeline = {{StageKind::kPrefill}, {StageKind::kDecode}};
    spec.workload.trace = std::make_shared<Trace>(trace);
    spec.workload.arrivals.kind = ArrivalSpec::Kind::kTrace;
    spec.workload.requests = 5000;
    spec.workload.scale = 2;
    spec.per_request = true;
    CALLIE_ASSIGN_OR_RETURN(const SimResult merged, simulate(spec));
    spec.fast_forward = false;
    spec.plan_each_step = true;
    CALLIE_ASSIGN_OR_RETURN(const SimResult single, simulate(spec));
    for (size_t i = 0; i < merged.requests.size(); ++i) {
      const RequestRow &a = merged.requests[i], &b = single.requests[i];
      check.seen += a.serial != b.serial || a.first_token != b.first_token || a.finished != b.finished;
    }
  }
  out.push_back(check);
  return ok_status();
}

/// The largest error of the means, and of the 99th percentiles, of TTFT, TPOT and E2E; per cent.
std::pair<double, double> worst(const ReplayResult& r) {
  double mean = 0, p99 = 0;
  const std::pair<LatencySummary, LatencySummary> pairs[] = {
      {r.simulated.ttft, r.real.ttft}, {r.simulated.tpot, r.real.tpot}, {r.simulated.e2e, r.real.e2e}};
  for (const auto& [sim, real] : pairs) {
    if (real.mean > 0) mean = std::max(mean, 100 * std::abs(sim.mean / real.mean - 1));
    if (real.p99 > 0) p99 = std::max(p99, 100 * std::abs(sim.p99 / real.p99 - 1));
  }
  return {mean, p99};
}

Status check_runs(const ValidateOptions& options, std::vector<Check>& out) {
  const std::string root = options.data + "/llmservingsim/runs";
  if (!fs::exists(root)) {
    out.push_back(skipped("recorded runs", root));
    return ok_status();
  }
  std::vector<std::string> runs;
  for (const auto& hardware : fs::directory_iterator(root)) {
    if (!hardware.is_directory()) continue;
    for (const auto& model : fs::directory_iterator(hardware.path())) {
      if (fs::exists(model.path() / "config.json")) runs.push_back(model.path().string());
    }
  }
  std::sort(runs.begin(), runs.end());
  const std::string fitted_on = root + "/RTXPRO6000/Llama-3.1-8B";
  ReplayOptions base;
  base.perf = options.data + "/llmservingsim/perf";
  Calibration calibration;
  if (std::find(runs.begin(), runs.end(), fitted_on) != runs.end()) {
    base.run = fitted_on;
    CALLIE_ASSIGN_OR_RETURN(calibration, calibrate_to_run(base));
  }
  for (const std::string& run : runs) {
    const std::string name = fs::relative(run, root).string();
    ReplayOptions replay_options = base;
    replay_options.run = run;
    CALLIE_ASSIGN_OR_RETURN(const RecordedRun recorded, load_run(run));
    const bool same_machine = calibration.present && recorded.instances[0].hardware == calibration.hardware;
    // The run that the scalars come from is replayed without them: with them it would be no check.
    if (same_machine && run != fitted_on) replay_options.calibration = calibration;
    auto result = replay(replay_options);
    if (!result.ok()) {
      Check check{"replay " + name, "recorded run", std::string(result.status().message())};
      check.skipped = true;
      out.push_back(check);
      continue;
    }
    auto model = find_model(recorded.instances[0].model);
    const bool mixture = model.ok() && model->mixture();
    const auto [mean, p99] = worst(*result);
    const char* how = replay_options.calibration.present ? "calibrated on another run of the machine" : "uncalibrated";
    out.push_back({"replay " + name + ": means", how, "", mean, mixture ? 15.0 : 5.0});
    out.push_back({"replay " + name + ": P99", how, "", p99, mixture ? 15.0 : 8.0});
  }
  return ok_status();
}

struct Sample {
  double x = 0, ranks = 1, time = 0;
};

/// Median error on the odd samples of a law fitted to the even ones; those of `counts` below it are left out.
double held_out_error(const std::vector<Sample>& samples, double counts, std::vector<double> start,
                      const std::function<double(const std::vector<double>&, const Sample&)>& law) {
  const auto errors = [&](const std::vector<double>& p, size_t first, double from) {
    std::vector<double> out;
    for (size_t i = first; i < samples.size(); i += 2) {
      if (samples[i].x >= from) out.push_back(std::abs(law(p, samples[i]) / samples[i].time - 1));
    }
    return out;
  };
  const std::vector<double> fitted = fit_positive(std::move(start), [&](const std::vector<double>& p) {
    double sum = 0;
    for (const double e : errors(p, 0, 0)) sum += e;
    return sum;
  });
  return 100 * quantile(errors(fitted, 1, counts), 0.5);
}

Status check_operators(const ValidateOptions& options, std::vector<Check>& out) {
  struct Profile {
    const char *folder, *model, *preset;
  };
  constexpr const char* kOperators[] = {"input_layernorm", "attn_pre_proj", "attn_rope",    "attn_post_proj",
                                        "post_attention_layernorm", "mlp_up_proj", "mlp_act", "mlp_down_proj", "add"};
  constexpr Profile kProfiles[] = {{"a100/Llama-2-7b-hf", "llama-2-7b", "a100_sxm"},
                                   {"a100/Meta-Llama-3-8B", "llama-3-8b", "a100_sxm"},
                                   {"h100/Llama-2-7b-hf", "llama-2-7b", "h100_sxm"}};
  for (const Profile& profile : kProfiles) {
    const std::string path = options.data + "/vidur/" + profile.folder + "/mlp.csv";
    const std::string name = std::string("roofline against ") + profile.folder + "/mlp.csv";
    if (!fs::exists(path)) {
      out.push_back(skipped(name, path));
      continue;
    }
    CALLIE_ASSIGN_OR_RETURN(const ModelShape model, find_model(profile.model));
    CALLIE_ASSIGN_OR_RETURN(const Hardware hw, find_hardware(profile.preset));
    CALLIE_ASSIGN_OR_RETURN(TableFile file, TableFile::open(path));
    std::vector<int> columns;
    for (const char* op : kOperators) {
      CALLIE_ASSIGN_OR_RETURN(const int column, file.column(fmt::format("time_stats.{}.median", op)));
      columns.push_back(column);
    }
    CALLIE_ASSIGN_OR_RETURN(const int tokens, file.column("num_tokens"));
    CALLIE_ASSIGN_OR_RETURN(const int workers, file.column("num_tensor_parallel_workers"));
    std::map<std::pair<int64_t, int64_t>, double> rows;
    while (true) {
      CALLIE_ASSIGN_OR_RETURN(const bool more, file.next());
      if (!more) break;
      CALLIE_ASSIGN_OR_RETURN(const int64_t t, file.integer(workers, 1, 1024));
      CALLIE_ASSIGN_OR_RETURN(const int64_t n, file.integer(tokens, 1, 100'000'000));
      double ms = 0;
      for (const int column : columns) {
        if (file.cell(column).empty()) continue;
        CALLIE_ASSIGN_OR_RETURN(const double value, file.non_negative(column));
        ms += value;
      }
      rows[{t, n}] = ms * 1e3;
    }
    std::vector<Sample> samples;
    for (const auto& [key, us] : rows) samples.push_back({double(key.second), double(key.first), us});
    const double parameters = model.attention_parameters() + model.mlp_parameters();
    // Shares of the peak for products and for reading weights, launches, activations per token, and how soft the knee is.
    const auto law = [&](const std::vector<double>& p, const Sample& s) {
      const double compute = 2 * s.x * parameters / s.ranks / (p[0] * hw.bf16_tflops * 1e6);
      const double memory = 2 * parameters / s.ranks / (p[1] * hw.memory_gbs * 1e3);
      return std::pow(std::pow(compute, p[4]) + std::pow(memory, p[4]), 1 / p[4]) + p[2] + p[3] * s.x;
    };
    out.push_back({name, "median, odd rows, n >= 64; fitted to the even ones", "",
                   held_out_error(samples, 64, {.6, .7, 20, .02, 3}, law), 10});
  }
  return ok_status();
}

Status check_collectives(const ValidateOptions& options, std::vector<Check>& out) {
  for (const char* machine : {"a100_dgx", "h100_dgx"}) {
    const std::string path = options.data + "/vidur/network/" + machine + "/all_reduce.csv";
    const std::string name = std::string("all-reduce against ") + machine + "/all_reduce.csv";
    if (!fs::exists(path)) {
      out.push_back(skipped(name, path));
      continue;
    }
    CALLIE_ASSIGN_OR_RETURN(TableFile file, TableFile::open(path));
    CALLIE_ASSIGN_OR_RETURN(const int size, file.column("size"));
    CALLIE_ASSIGN_OR_RETURN(const int workers, file.column("num_workers"));
    CALLIE_ASSIGN_OR_RETURN(const int per_node, file.column("devices_per_node"));
    CALLIE_ASSIGN_OR_RETURN(const int median, file.column("time_stats.all_reduce.median"));
    std::map<std::pair<int64_t, int64_t>, std::vector<Sample>> groups;
    while (true) {
      CALLIE_ASSIGN_OR_RETURN(const bool more, file.next());
      if (!more) break;
      CALLIE_ASSIGN_OR_RETURN(const int64_t ranks, file.integer(workers, 1, 1024));
      CALLIE_ASSIGN_OR_RETURN(const int64_t devices, file.integer(per_node, 1, 1024));
      CALLIE_ASSIGN_OR_RETURN(const int64_t bytes, file.integer(size, 1, int64_t{1} << 40));
      CALLIE_ASSIGN_OR_RETURN(const double ms, file.non_negative(median));
      if (ranks > 1 && ms > 0) groups[{ranks, devices}].push_back({double(bytes), double(ranks), ms * 1e3});
    }
    std::vector<double> medians;
    for (auto& [key, samples] : groups) {
      std::sort(samples.begin(), samples.end(), [](const Sample& a, const Sample& b) { return a.x < b.x; });
      // A floor of launches, and a ring: startup + 2 (t - 1) / t bytes over the bandwidth.
      const auto law = [](const std::vector<double>& p, const Sample& s) {
        return std::max(p[0], p[1] + 2 * (s.ranks - 1) / s.ranks * s.x / (p[2] * 1e3));
      };
      medians.push_back(held_out_error(samples, 0, {30, 10, 100}, law));
    }
    out.push_back({name, fmt::format("median of {} layouts of ranks, odd rows; fitted to the even ones", medians.size()), "",
                   quantile(medians, 0.5), 15});
  }
  return ok_status();
}

}  // namespace

StatusOr<std::vector<Check>> validate(const ValidateOptions& options) {
  std::vector<Check> out;
  CALLIE_RETURN_IF_ERROR(check_theory(options, out));
  CALLIE_RETURN_IF_ERROR(check_merging(options, out));
  CALLIE_RETURN_IF_ERROR(check_runs(options, out));
  CALLIE_RETURN_IF_ERROR(check_operators(options, out));
  CALLIE_RETURN_IF_ERROR(check_collectives(options, out));
  return out;
}

}  // namespace callie::plan
