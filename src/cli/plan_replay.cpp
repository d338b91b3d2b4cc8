// `callie plan replay`, `calibrate` and `validate`: the planner beside real engines.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>

#include "cli/plan_calibration.h"
#include "cli/verbs.h"
#include "core/json.h"
#include "core/interrupt.h"
#include "plan/replay/engine_log.h"
#include "plan/study/validate.h"

namespace callie::cli {
namespace {

using plan::LatencySummary;
using plan::RunLatencies;

Json to_json(const LatencySummary& s) { return {{"mean", s.mean}, {"p50", s.p50}, {"p90", s.p90}, {"p99", s.p99}}; }
Json to_json(const RunLatencies& r) {
  return {{"ttft_ms", to_json(r.ttft)}, {"tpot_ms", to_json(r.tpot)}, {"e2e_ms", to_json(r.e2e)}};
}

LatencySummary error_of(const LatencySummary& sim, const LatencySummary& real) {
  const auto pct = [](double s, double r) { return r != 0 ? 100 * (s - r) / r : 0; };
  return {pct(sim.mean, real.mean), pct(sim.p50, real.p50), pct(sim.p90, real.p90), pct(sim.p99, real.p99)};
}
RunLatencies error_of(const RunLatencies& s, const RunLatencies& r) {
  return {error_of(s.ttft, r.ttft), error_of(s.tpot, r.tpot), error_of(s.e2e, r.e2e)};
}

struct ReplayArguments {
  std::string run, perf, calibration, output;
  std::string request_log, step_log;
  std::string engine, model, model_config;
  int threads = 0;
  plan::EngineLogOptions change;
  bool json = false;
};

/// A log of `callie serve`: the step cost comes from --calibration, or is fitted to the log's own steps.
StatusOr<plan::ReplayResult> replay_log(const ReplayArguments& a, Json& extra) {
  CALLIE_ASSIGN_OR_RETURN(const plan::EngineLog log, plan::load_engine_log(a.request_log));
  std::vector<plan::StepSample> steps;
  if (!a.step_log.empty()) {
    CALLIE_ASSIGN_OR_RETURN(steps, plan::load_step_log(a.step_log));
  }
  plan::FittedModel model;
  const bool own = a.calibration.empty();
  if (own && steps.empty()) return Status(StatusCode::kUsage, "--request-log needs --calibration or --step-log");
  if (own) {
    CALLIE_ASSIGN_OR_RETURN(model, plan::fit_steps(steps, a.step_log));
  } else {
    CALLIE_ASSIGN_OR_RETURN(model, plan::load_fitted(a.calibration));
  }
  CALLIE_ASSIGN_OR_RETURN(plan::ReplayResult r, plan::replay_engine_log(log, model, a.change));
  if (!steps.empty()) {
    const plan::StepErrors e = plan::step_errors(model, steps);
    extra["step_error_pct"] = {{"steps", e.steps}, {"median", 100 * e.median}, {"p90", 100 * e.p90}, {"bias", 100 * e.bias}};
    r.notes.push_back(fmt::format("{} steps, {}: error median {:.1f} %, P90 {:.1f} %, bias {:+.1f} %", e.steps,
                                  own ? "in sample" : "held out", 100 * e.median, 100 * e.p90, 100 * e.bias));
  }
  if (own) r.notes.push_back("fitted to the steps of the same run: no test of the fit");
  extra["throughput"] = {{"sim_output_tokens_per_s", r.simulated_tokens_per_s},
                         {"real_output_tokens_per_s", r.real_tokens_per_s},
                         {"error_pct", r.real_tokens_per_s > 0
                                           ? 100 * (r.simulated_tokens_per_s / r.real_tokens_per_s - 1) : 0}};
  r.notes.push_back(fmt::format("output tokens per second: {:.1f} simulated, {:.1f} real", r.simulated_tokens_per_s,
                                r.real_tokens_per_s));
  return r;
}

StatusOr<plan::ReplayResult> replay_run(const ReplayArguments& a) {
  plan::ReplayOptions options;
  options.run = a.run;
  options.perf = a.perf;
  options.model_config = a.model_config;
  if (!a.calibration.empty()) {
    CALLIE_ASSIGN_OR_RETURN(options.calibration, plan::Calibration::load(a.calibration));
  }
  return plan::replay(options);
}

Status run_replay(const ReplayArguments& a) {
  if (a.run.empty() == a.request_log.empty()) return Status(StatusCode::kUsage, "give either --run or --request-log");
  Json extra = Json::object();
  CALLIE_ASSIGN_OR_RETURN(const plan::ReplayResult r, a.run.empty() ? replay_log(a, extra) : replay_run(a));
  const std::string calibration = !a.calibration.empty() ? a.calibration : a.run.empty() ? a.step_log : "uncalibrated";
  const RunLatencies errors = error_of(r.simulated, r.real);
  if (a.json) {
    Json out = extra;
    out["sim"] = to_json(r.simulated);
    out["real"] = to_json(r.real);
    out["error_pct"] = to_json(errors);
    out["cpu_ms"] = r.cpu_ms;
    out["calibration"] = calibration;
    out["engine"] = r.engine;
    out["cost"] = r.cost;
    out["blocks"] = r.blocks;
    out["steps"] = r.steps;
    out["preemptions"] = r.preemptions;
    out["extrapolated_steps"] = r.extrapolated;
    out["notes"] = r.notes;
    std::printf("%s\n", out.dump(2).c_str());
    return ok_status();
  }
  std::printf("%s, %s\n", r.engine.c_str(), calibration.c_str());
  std::printf("%-8s %-5s %14s %14s %9s\n", "", "", "simulated ms", "real ms", "error %");
  const auto line = [](const char* name, const char* what, double s, double v, double e) {
    std::printf("%-8s %-5s %14.2f %14.2f %+9.2f\n", name, what, s, v, e);
  };
  const auto block = [&](const char* name, const LatencySummary& s, const LatencySummary& v, const LatencySummary& e) {
    line(name, "mean", s.mean, v.mean, e.mean);
    line("", "p50", s.p50, v.p50, e.p50);
    line("", "p90", s.p90, v.p90, e.p90);
    line("", "p99", s.p99, v.p99, e.p99);
  };
  block("TTFT", r.simulated.ttft, r.real.ttft, errors.ttft);
  block("TPOT", r.simulated.tpot, r.real.tpot, errors.tpot);
  block("E2E", r.simulated.e2e, r.real.e2e, errors.e2e);
  std::printf("%lld steps, %lld preemptions, %d KV blocks, %.1f ms of CPU time\n", static_cast<long long>(r.steps),
              static_cast<long long>(r.preemptions), r.blocks, r.cpu_ms);
  for (const std::string& note : r.notes) std::printf("note: %s\n", note.c_str());
  return ok_status();
}

Status save_fit(const std::vector<plan::StepSample>& steps, const std::string& source, const std::string& output) {
  CALLIE_ASSIGN_OR_RETURN(const plan::FittedModel model, plan::fit_steps(steps, source));
  CALLIE_RETURN_IF_ERROR(model.save(output));
  const plan::StepErrors e = plan::step_errors(model, steps);
  std::printf("%lld steps of %s; in sample: error median %.1f %%, P90 %.1f %%, bias %+.1f %%; %.0f us between steps\nwritten to %s\n",
              static_cast<long long>(e.steps), source.c_str(), 100 * e.median, 100 * e.p90, 100 * e.bias, model.gap_us,
              output.c_str());
  return ok_status();
}

Status run_calibrate(const ReplayArguments& a) {
  if (!a.engine.empty() + !a.run.empty() + !a.step_log.empty() + !a.model.empty() != 1) {
    return Status(StatusCode::kUsage, "give one of --run, --step-log, --engine and --model");
  }
  if (!a.step_log.empty()) {
    CALLIE_ASSIGN_OR_RETURN(const auto steps, plan::load_step_log(a.step_log));
    return save_fit(steps, a.step_log, a.output);
  }
  if (a.run.empty()) {
    CALLIE_ASSIGN_OR_RETURN(const CalibrationSteps measured,
                            a.engine.empty() ? measure_own_engine(a.model, a.threads) : measure_engine(a.engine));
    if (!measured.note.empty()) std::fprintf(stderr, "note: %s\n", measured.note.c_str());
    return save_fit(measured.steps, measured.source, a.output);
  }
  plan::ReplayOptions options;
  options.run = a.run;
  options.perf = a.perf;
  options.model_config = a.model_config;
  CALLIE_ASSIGN_OR_RETURN(const plan::Calibration c, plan::calibrate_to_run(options));
  CALLIE_RETURN_IF_ERROR(c.save(a.output));
  std::printf("%s: kernels x%.4f, host %.1f us per step, fitted on %s\nwritten to %s\n", c.hardware.c_str(),
              c.kernel_scale, c.host_per_step_us, c.fitted_on.c_str(), a.output.c_str());
  return ok_status();
}

struct ValidateArguments {
  plan::ValidateOptions options;
  bool json = false;
};

Status run_validate(ValidateArguments a) {
  install_interrupt_handler();
  if (!a.options.data.empty() && !std::filesystem::is_directory(a.options.data)) {
    return not_found("--data {}: no such folder", a.options.data);
  }
  if (const char* data = std::getenv("CALLIE_DATA"); a.options.data.empty() && data) a.options.data = std::string(data) + "/serving";
  CALLIE_ASSIGN_OR_RETURN(const std::vector<plan::Check> checks, plan::validate(a.options));
  int64_t failed = 0;
  for (const plan::Check& c : checks) failed += !c.skipped && !c.passed();
  if (a.json) {
    Json rows = Json::array();
    for (const plan::Check& c : checks) {
      rows.push_back({{"name", c.name}, {"what", c.what}, {"seen", c.skipped ? Json() : Json(c.seen)}, {"bar", c.bar},
                      {"result", c.skipped ? "skipped" : c.passed() ? "passed" : "failed"}, {"note", c.note}});
    }
    std::printf("%s\n", Json{{"checks", rows}, {"failed", failed}}.dump(2).c_str());
  } else {
    std::printf("%-54s %10s %10s  %s\n", "check", "seen", "at most", "");
    for (const plan::Check& c : checks) {
      if (c.skipped) {
        std::printf("%-54s %10s %10s  skipped: %s\n", c.name.c_str(), "-", "-", c.note.c_str());
      } else {
        std::printf("%-54s %10.3f %10.3f  %s%s%s%s\n", c.name.c_str(), c.seen, c.bar, c.passed() ? "passed" : "FAILED",
                    c.what.empty() ? "" : ", ", c.what.c_str(), c.note.empty() ? "" : (", " + c.note).c_str());
      }
    }
  }
  if (failed > 0) return error(StatusCode::kFailedPrecondition, "{} of {} checks failed", failed, checks.size());
  return ok_status();
}

}  // namespace

void add_plan_replay(CLI::App& app, Action& action) {
  auto replay = std::make_shared<ReplayArguments>();
  CLI::App* r = app.add_subcommand("replay", "Simulate a recorded run of a real engine and compare");
  r->add_option("--run", replay->run, "Folder with config.json, vllm/meta.json and vllm/requests.jsonl");
  r->add_option("--request-log", replay->request_log, "Request log of `callie serve`, instead of --run");
  r->add_option("--step-log", replay->step_log, "Its step log: the step cost is fitted to it, or compared with --calibration");
  r->add_option("--token-budget", replay->change.token_budget, "What if: another budget than the log's")->check(CLI::Range(1, 100'000'000));
  r->add_option("--max-seqs", replay->change.max_seqs, "What if: another number of sequences")->check(CLI::Range(1, 100'000'000));
  r->add_option("--blocks", replay->change.blocks, "What if: another number of KV blocks")->check(CLI::Range(1, 100'000'000));
  r->add_flag("--no-prefix-cache", replay->change.no_prefix_cache, "What if: no prefix cache");
  r->add_option("--policy", replay->change.policy, "What if: another policy")->capture_default_str();
  r->add_option("--perf", replay->perf, "Root of the kernel tables; default: RUN/../../../perf");
  r->add_option("--model-config", replay->model_config, "The model's shape from a Hugging Face config.json");
  r->add_option("--calibration", replay->calibration, "Scalars fitted by `plan calibrate` on the same hardware");
  r->add_flag("--json", replay->json, "Print one JSON object");
  r->footer("Example: callie plan replay --run runs/RTX4090/Llama-3.1-8B --perf perf --json");
  r->final_callback([replay, &action] { action = [replay] { return run_replay(*replay); }; });

  auto validate = std::make_shared<ValidateArguments>();
  CLI::App* v = app.add_subcommand("validate", "Check the simulator against queueing theory and the data at hand");
  v->add_option("--data", validate->options.data, "Folder with traces/, llmservingsim/, vidur/; default: $CALLIE_DATA/serving");
  v->add_option("--requests", validate->options.requests, "Requests of each seed of a queueing check")
      ->capture_default_str()
      ->check(CLI::Range(1000, 100'000'000));
  v->add_flag("--json", validate->json, "Print one JSON object");
  v->footer("Example: callie plan validate --data serving --json");
  v->final_callback([validate, &action] { action = [validate] { return run_validate(*validate); }; });

  auto calibrate = std::make_shared<ReplayArguments>();
  CLI::App* c = app.add_subcommand("calibrate", "Fit the few scalars of one machine");
  c->add_option("--run", calibrate->run, "Folder of a recorded run");
  c->add_option("--step-log", calibrate->step_log, "Step log of `callie serve`");
  c->add_option("--engine", calibrate->engine, "URL of a running server: loads it for a minute and reads GET /debug/steps");
  c->add_option("--model", calibrate->model, "Start `callie serve` of this model and measure that");
  c->add_option("--threads", calibrate->threads, "Threads of that server; 0 = physical cores");
  c->add_option("--perf", calibrate->perf, "Root of the kernel tables; default: RUN/../../../perf");
  c->add_option("--model-config", calibrate->model_config, "The model's shape from a Hugging Face config.json");
  c->add_option("-o,--output", calibrate->output, "File to write")->required();
  c->footer("Example: callie plan calibrate --run runs/RTXPRO6000/Llama-3.1-8B --perf perf -o rtxpro6000.json");
  c->final_callback([calibrate, &action] { action = [calibrate] { return run_calibrate(*calibrate); }; });
}

}  // namespace callie::cli
