// `callie plan`: simulate and size LLM serving.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "cli/verbs.h"
#include "core/atomic_file.h"
#include "core/interrupt.h"
#include "core/json.h"
#include "plan/config/config.h"
#include "plan/output/files.h"
#include "plan/output/report.h"
#include "plan/output/summary.h"
#include "plan/sim/simulator.h"
#include "plan/study/capacity.h"
#include "plan/study/sweep.h"
#include "plan/study/sweep_ranks.h"

namespace callie::cli {
namespace {

struct RunArguments {
  std::string config, output;
  std::vector<std::string> set;
  std::string model_config;
  bool json = false, explain = false, perfetto = false, step = false;
};

StatusOr<std::vector<plan::Override>> parse_overrides(const std::vector<std::string>& set) {
  std::vector<plan::Override> out;
  for (const std::string& text : set) {
    const size_t at = text.find('=');
    if (at == std::string::npos || at == 0) {
      return Status(StatusCode::kUsage, fmt::format("--set {}: not KEY=VALUE", text));
    }
    out.emplace_back(text.substr(0, at), text.substr(at + 1));
  }
  return out;
}

/// --set and --model-config as changes to the configuration.
StatusOr<std::vector<plan::Override>> changes(const std::vector<std::string>& set, const std::string& model_config) {
  CALLIE_ASSIGN_OR_RETURN(auto out, parse_overrides(set));
  if (!model_config.empty()) out.push_back(plan::model_override(model_config));
  return out;
}

/// Problems of a configuration that only the whole shows.
StatusOr<plan::SimResult> simulate_config(const plan::Config& config) {
  auto result = plan::simulate(config.spec);
  if (!result.ok()) return result.status().with_context(config.path);
  return result;
}

Status run_config(const RunArguments& a) {
  if (a.perfetto && a.output.empty()) return Status(StatusCode::kUsage, "--perfetto needs -o FOLDER");
  plan::ConfigLoader loader;
  CALLIE_ASSIGN_OR_RETURN(const auto overrides, changes(a.set, a.model_config));
  CALLIE_ASSIGN_OR_RETURN(plan::Config config, loader.load(a.config, overrides));
  const bool files = !a.output.empty();
  config.spec.per_request = files;
  config.spec.trace_steps = a.perfetto;
  if (a.step) config.spec.fast_forward = false;
  if (files && config.spec.sample_period == 0) config.spec.sample_period = plan::from_seconds(1);
  CALLIE_ASSIGN_OR_RETURN(const plan::SimResult result, simulate_config(config));
  const Json summary = plan::summary_json(config, result);
  if (files) {
    std::error_code problem;
    std::filesystem::create_directories(a.output, problem);
    if (problem) return invalid_argument("{}: cannot be created", a.output);
    CALLIE_RETURN_IF_ERROR(plan::write_requests_csv(a.output + "/requests.csv", result));
    CALLIE_RETURN_IF_ERROR(plan::write_requests_parquet(a.output + "/requests.parquet", result));
    CALLIE_RETURN_IF_ERROR(plan::write_timeseries_csv(a.output + "/timeseries.csv", result));
    CALLIE_RETURN_IF_ERROR(write_text_file(a.output + "/summary.json", summary.dump(2) + "\n"));
    if (a.perfetto) CALLIE_RETURN_IF_ERROR(plan::write_perfetto(a.output + "/trace.json", config, result));
  }
  if (a.json) {
    std::printf("%s\n", summary.dump(2).c_str());
  } else {
    if (a.explain) std::printf("%s\n", plan::explain_text(config, result).c_str());
    std::printf("%s", plan::summary_text(config, result).c_str());
    if (files) std::printf("written to %s\n", a.output.c_str());
  }
  return ok_status();
}

struct ReportArguments {
  std::string model_config;
  std::string config, output = "report.html", perf;
  std::vector<std::string> set, runs;
  int rates = 10;
  int64_t requests = 5000;
  bool quiet = false;
};

Status run_report(const ReportArguments& a) {
  install_interrupt_handler();
  plan::ConfigLoader loader;
  CALLIE_ASSIGN_OR_RETURN(const auto overrides, changes(a.set, a.model_config));
  CALLIE_ASSIGN_OR_RETURN(plan::Config config, loader.load(a.config, overrides));
  plan::ReportInput input;
  input.config = &config;
  CALLIE_ASSIGN_OR_RETURN(input.config_text, read_text_file(a.config));
  for (const auto& [place, value] : overrides) input.config_text += "# changed: " + place + " = " + value + "\n";
  config.spec.trace_steps = true;
  CALLIE_ASSIGN_OR_RETURN(const plan::SimResult probe, simulate_config(config));
  // About 300 samples of each client.
  config.spec.sample_period = std::max<plan::Ns>(plan::from_seconds(probe.elapsed_s / 300), plan::from_ms(1));
  CALLIE_ASSIGN_OR_RETURN(const plan::SimResult result, simulate_config(config));
  input.result = &result;
  if (a.rates > 0) {
    CALLIE_ASSIGN_OR_RETURN(input.load, plan::load_curve(config, a.rates, a.requests, a.quiet));
  }
  if (!config.sweep.grid.empty()) {
    CALLIE_ASSIGN_OR_RETURN(input.sweep, plan::sweep(a.config, {.quiet = a.quiet}));
  }
  for (const std::string& run : a.runs) {
    plan::ReplayOptions options;
    options.run = run;
    options.perf = a.perf;
    CALLIE_ASSIGN_OR_RETURN(plan::ReplayResult r, plan::replay(options));
    input.replays.emplace_back(r.machine, std::move(r));
  }
  CALLIE_RETURN_IF_ERROR(write_text_file(a.output, plan::report_html(input)));
  std::printf("written to %s\n", a.output.c_str());
  return ok_status();
}

struct SweepArguments {
  std::string model_config;
  std::string config, output, client;
  std::vector<std::string> set;
  int threads = 0;
  bool resume = false, json = false, quiet = false, mpi = false;
};

Status run_sweep(const SweepArguments& a) {
  install_interrupt_handler(a.mpi);  // mpirun passes Ctrl-C on as SIGTERM
  if (a.resume && a.output.empty()) return Status(StatusCode::kUsage, "--resume needs -o FILE");
  plan::SweepOptions options{.csv = a.output, .resume = a.resume, .threads = a.threads, .quiet = a.quiet};
  std::unique_ptr<plan::SweepRanks> ranks;
  if (a.mpi) {
    CALLIE_ASSIGN_OR_RETURN(ranks, plan::SweepRanks::join());
    if (ranks->rank() > 0) {
      plan::sweep_as_other_rank(*ranks, a.config);
      return ok_status();
    }
    options.ranks = ranks.get();
    options.threads = std::max(a.threads, 1);
  }
  plan::ConfigLoader loader;
  CALLIE_ASSIGN_OR_RETURN(const plan::Config config, loader.load(a.config));
  CALLIE_ASSIGN_OR_RETURN(const auto points, plan::sweep(a.config, options));
  const int best = plan::best_point(points, config.sweep);
  plan::SeedSpread spread;
  if (best >= 0 && config.sweep.seeds > 1) {
    CALLIE_ASSIGN_OR_RETURN(spread, plan::spread_over_seeds(a.config, points[best].changes, config.sweep.seeds));
  }
  const auto name = [](const plan::SweepPoint& p) {
    std::string out;
    for (const auto& [place, value] : p.changes) out += (out.empty() ? "" : " ") + place + "=" + value;
    return out;
  };
  if (a.json) {
    Json rows = Json::array();
    for (const plan::SweepPoint& p : points) {
      Json changes;
      for (const auto& [place, value] : p.changes) changes[place] = value;
      rows.push_back({{"changes", changes}, {"requests_per_s", p.throughput}, {"goodput_per_s", p.goodput},
                      {"ttft_p99_ms", p.ttft_p99}, {"tpot_p99_ms", p.tpot_p99}, {"e2e_p99_ms", p.e2e_p99},
                      {"usd_per_million_tokens", p.usd_per_million}, {"joules_per_token", p.joules_per_token},
                      {"slo_met", p.slo_met}, {"saturated", p.saturated}, {"error", p.error}});
    }
    std::printf("%s\n", Json{{"configurations", rows},
                                {"best", best},
                                {"best_over_seeds",
                                 {{"seeds", spread.seeds},
                                  {"slo_met", spread.slo_met},
                                  {"requests_per_s_half_width", spread.throughput},
                                  {"ttft_p99_ms_half_width", spread.ttft_p99},
                                  {"tpot_p99_ms_half_width", spread.tpot_p99}}}}.dump(2).c_str());
    return ok_status();
  }
  for (size_t i = 0; i < points.size(); ++i) {
    const plan::SweepPoint& p = points[i];
    if (!p.error.empty()) {
      std::printf("  %s: %s\n", name(p).c_str(), p.error.c_str());
      continue;
    }
    std::printf("%s %s: %.2f requests/s, P99 TTFT %.0f ms, TPOT %.1f ms, $%.3f per million tokens, SLO %s\n",
                static_cast<int>(i) == best ? "*" : " ", name(p).c_str(), p.throughput, p.ttft_p99, p.tpot_p99,
                p.usd_per_million, p.slo_met ? "met" : "missed");
  }
  std::printf(best >= 0 ? "* is the best that meets the SLO\n" : "no configuration meets the SLO\n");
  if (spread.seeds > 0) {
    std::printf("  over %d seeds: +-%.2f requests/s, P99 TTFT +-%.0f ms, TPOT +-%.1f ms (95 %%); SLO met in %d\n",
                spread.seeds, spread.throughput, spread.ttft_p99, spread.tpot_p99, spread.slo_met);
  }
  return ok_status();
}

Status run_capacity(const SweepArguments& a) {
  install_interrupt_handler();
  CALLIE_ASSIGN_OR_RETURN(const auto overrides, changes(a.set, a.model_config));
  Json out;
  if (!a.client.empty()) {
    int64_t simulated = 0;
    CALLIE_ASSIGN_OR_RETURN(const int count, plan::smallest_count(a.config, overrides, a.client, simulated));
    out = {{"client", a.client}, {"count", count}, {"simulated_requests", simulated}};
    if (!a.json) std::printf("%s.count = %d is the smallest that meets the SLO\n", a.client.c_str(), count);
  } else {
    CALLIE_ASSIGN_OR_RETURN(const plan::CapacityAnswer c, plan::capacity(a.config, overrides));
    out = {{"scale", c.scale}, {"requests_per_s", c.requests_per_s}, {"simulated_requests", c.simulated_requests},
           {"runs", c.runs}};
    if (!a.json) std::printf("%.2f requests/s (workload.scale %.3f) meet the SLO; %d runs\n", c.requests_per_s, c.scale, c.runs);
  }
  plan::ConfigLoader loader;
  CALLIE_ASSIGN_OR_RETURN(const plan::Config config, loader.load(a.config, overrides));
  Json flags = Json::array();
  for (const plan::GroupSpec& g : config.spec.groups) {
    if (!g.cost) continue;
    const std::string text =
        g.engine.policy == "callie"
            ? fmt::format("callie serve {} --token-budget {} --max-seqs {}", g.model.name, g.engine.token_budget, g.engine.max_seqs)
            : fmt::format("vllm serve {} --tensor-parallel-size {} --pipeline-parallel-size {} --max-num-batched-tokens {} "
                          "--max-num-seqs {} --block-size {}",
                          g.model.name, g.parallelism.tp, g.parallelism.pp, g.engine.token_budget, g.engine.max_seqs,
                          g.engine.block_size);
    flags.push_back({{"client", g.name}, {"command", text}});
    if (!a.json) std::printf("%s: %s\n", g.name.c_str(), text.c_str());
  }
  out["flags"] = flags;
  if (a.json) std::printf("%s\n", out.dump(2).c_str());
  return ok_status();
}

}  // namespace

void add_plan(CLI::App& app, Action& action) {
  CLI::App* plan = app.add_subcommand("plan", "Simulate and size LLM serving, in agreement with real engines");
  plan->require_subcommand(1);
  plan->footer("Example: callie plan run examples/plan/chat.yaml");

  auto run = std::make_shared<RunArguments>();
  CLI::App* u = plan->add_subcommand("run", "Simulate one configuration");
  u->add_option("CONFIG", run->config, "YAML file")->required();
  u->add_option("--model-config", run->model_config, "[NAME=]FILE: the model's shape from a Hugging Face config.json");
  u->add_option("--set", run->set, "Change a value first: dec.count=4, workload.scale=2");
  u->add_option("-o,--output", run->output, "Folder for requests.csv, requests.parquet, timeseries.csv, summary.json");
  u->add_flag("--json", run->json, "Print one JSON object");
  u->add_flag("--explain", run->explain, "Print blocks, weights, load and bottleneck");
  u->add_flag("--perfetto", run->perfetto, "Write OUTPUT/trace.json for ui.perfetto.dev; steps are not merged");
  u->add_flag("--step", run->step, "Take every step by itself; the result is the same, byte for byte");
  u->footer("Example: callie plan run examples/plan/chat.yaml --explain");
  u->final_callback([run, &action] { action = [run] { return run_config(*run); }; });

  auto report = std::make_shared<ReportArguments>();
  CLI::App* h = plan->add_subcommand("report", "Write one self-contained HTML page about a configuration");
  h->add_option("CONFIG", report->config, "YAML file; a sweep: in it is run and drawn too")->required();
  h->add_option("-o,--output", report->output, "File to write")->capture_default_str();
  h->add_option("--model-config", report->model_config, "[NAME=]FILE: the model's shape from a Hugging Face config.json");
  h->add_option("--set", report->set, "Change a value first: dec.count=4");
  h->add_option("--rates", report->rates, "Arrival rates of the load curve; 0 = none")->capture_default_str();
  h->add_option("--requests", report->requests, "Requests at each of them")->capture_default_str();
  h->add_option("--run", report->runs, "Folder of a recorded run, to show the errors against it; may be repeated");
  h->add_option("--perf", report->perf, "Root of the kernel tables of the recorded runs");
  h->add_flag("--quiet", report->quiet, "No progress line");
  h->footer("Example: callie plan report examples/plan/sweep.yaml -o report.html");
  h->final_callback([report, &action] { action = [report] { return run_report(*report); }; });

  auto sweep = std::make_shared<SweepArguments>();
  CLI::App* s = plan->add_subcommand("sweep", "Simulate every combination of sweep.grid");
  s->add_option("CONFIG", sweep->config, "YAML file")->required();
  s->add_option("-o,--output", sweep->output, "CSV file, one row per configuration, written as they finish");
  s->add_flag("--resume", sweep->resume, "Keep the rows of the CSV file and run only the others");
  s->add_option("--threads", sweep->threads, "Simulations at the same time; 0 = physical cores (with --mpi: 1)");
  s->add_flag("--mpi", sweep->mpi, "Share the work with the other processes of an mpirun, one simulation in each");
  s->add_flag("--json", sweep->json, "Print one JSON object");
  s->add_flag("--quiet", sweep->quiet, "No progress line");
  s->footer("Example: callie plan sweep examples/plan/sweep.yaml -o sweep.csv");
  s->final_callback([sweep, &action] { action = [sweep] { return run_sweep(*sweep); }; });

  auto size = std::make_shared<SweepArguments>();
  CLI::App* k = plan->add_subcommand("capacity", "Largest rate under the SLO, or the fewest clients for a rate");
  k->add_option("CONFIG", size->config, "YAML file with slo:")->required();
  k->add_option("--client", size->client, "Find the smallest count of this client at the configured rate");
  k->add_option("--model-config", size->model_config, "[NAME=]FILE: the model's shape from a Hugging Face config.json");
  k->add_option("--set", size->set, "Change a value first: dec.count=4");
  k->add_flag("--json", size->json, "Print one JSON object");
  k->footer("Example: callie plan capacity examples/plan/chat.yaml --client llm");
  k->final_callback([size, &action] { action = [size] { return run_capacity(*size); }; });

  add_plan_replay(*plan, action);
}

}  // namespace callie::cli
