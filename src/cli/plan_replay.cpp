// `callie plan replay`, `calibrate` and `validate`: the planner beside real engines.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "cli/verbs.h"
#include "core/json.h"
#include "plan/replay/replay.h"

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
  bool json = false;
};

Status run_replay(const ReplayArguments& a) {
  plan::ReplayOptions options;
  options.run = a.run;
  options.perf = a.perf;
  if (!a.calibration.empty()) {
    CALLIE_ASSIGN_OR_RETURN(options.calibration, plan::Calibration::load(a.calibration));
  }
  CALLIE_ASSIGN_OR_RETURN(const plan::ReplayResult r, plan::replay(options));
  const RunLatencies errors = error_of(r.simulated, r.real);
  if (a.json) {
    Json out;
    out["sim"] = to_json(r.simulated);
    out["real"] = to_json(r.real);
    out["error_pct"] = to_json(errors);
    out["cpu_ms"] = r.cpu_ms;
    out["calibration"] = options.calibration.present ? a.calibration : "uncalibrated";
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
  std::printf("%s, %s\n", r.engine.c_str(), options.calibration.present ? a.calibration.c_str() : "uncalibrated");
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

Status run_calibrate(const ReplayArguments& a) {
  plan::ReplayOptions options;
  options.run = a.run;
  options.perf = a.perf;
  CALLIE_ASSIGN_OR_RETURN(const plan::Calibration c, plan::calibrate_to_run(options));
  CALLIE_RETURN_IF_ERROR(c.save(a.output));
  std::printf("%s: kernels x%.4f, host %.1f us per step, fitted on %s\nwritten to %s\n", c.hardware.c_str(),
              c.kernel_scale, c.host_per_step_us, c.fitted_on.c_str(), a.output.c_str());
  return ok_status();
}

}  // namespace

void add_plan_replay(CLI::App& app, Action& action) {
  auto replay = std::make_shared<ReplayArguments>();
  CLI::App* r = app.add_subcommand("replay", "Simulate a recorded run of a real engine and compare");
  r->add_option("--run", replay->run, "Folder with config.json, vllm/meta.json and vllm/requests.jsonl")->required();
  r->add_option("--perf", replay->perf, "Root of the kernel tables; default: RUN/../../../perf");
  r->add_option("--calibration", replay->calibration, "Scalars fitted by `plan calibrate` on the same hardware");
  r->add_flag("--json", replay->json, "Print one JSON object");
  r->footer("Example: callie plan replay --run runs/RTX4090/Llama-3.1-8B --perf perf --json");
  r->final_callback([replay, &action] { action = [replay] { return run_replay(*replay); }; });

  auto calibrate = std::make_shared<ReplayArguments>();
  CLI::App* c = app.add_subcommand("calibrate", "Fit the few scalars of one machine");
  c->add_option("--run", calibrate->run, "Folder of a recorded run")->required();
  c->add_option("--perf", calibrate->perf, "Root of the kernel tables; default: RUN/../../../perf");
  c->add_option("-o,--output", calibrate->output, "File to write")->required();
  c->footer("Example: callie plan calibrate --run runs/RTXPRO6000/Llama-3.1-8B --perf perf -o rtxpro6000.json");
  c->final_callback([calibrate, &action] { action = [calibrate] { return run_calibrate(*calibrate); }; });
}

}  // namespace callie::cli
