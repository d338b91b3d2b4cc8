#include "cli/plan_calibration.h"

#include <map>

#include "cli/own_server.h"
#include "core/interrupt.h"
#include "core/philox.h"
#include "core/progress.h"
#include "io/http_json.h"
#include "serve/load_generator.h"

namespace callie::cli {
namespace {

struct Phase {
  int clients, requests, low, high;  // words of a prompt
};
// One client alone for the single steps, more for batches; short prompts for decode, long ones for prefill.
constexpr Phase kPhases[] = {{1, 4, 8, 16}, {1, 4, 256, 512}, {2, 10, 8, 128}, {4, 20, 8, 256}, {8, 40, 8, 256}, {16, 64, 8, 256}};
constexpr int kMaxTokens = 24;

std::vector<std::string> prompts(const Phase& phase, uint64_t seed) {
  static constexpr const char* kWords[] = {"river", "stone", "light", "paper", "green", "music", "cloud", "north",
                                           "winter", "garden", "engine", "letter", "metal", "table", "house", "water"};
  SequentialRng rng(seed, Purpose::kWorkload, 51);
  std::vector<std::string> out;
  for (int i = 0; i < phase.requests; ++i) {
    std::string text;
    const int words = phase.low + static_cast<int>(rng.next_below(static_cast<uint64_t>(phase.high - phase.low + 1)));
    for (int w = 0; w < words; ++w) {
      if (w) text += ' ';
      text += kWords[rng.next_below(16)];
    }
    out.push_back(std::move(text));
  }
  return out;
}

}  // namespace

StatusOr<CalibrationSteps> measure_engine(const std::string& url) {
  install_interrupt_handler();
  CalibrationSteps out;
  out.source = url;
  std::map<double, plan::StepSample> seen;  // by time: the server keeps only the last few hundred
  std::vector<plan::StepSample> made;       // from client-side times
  bool has_steps = true;
  Progress progress("calibrate", static_cast<int64_t>(std::size(kPhases)), "loads");
  int64_t done = 0;
  for (const Phase& phase : kPhases) {
    serve::LoadOptions load;
    load.url = url;
    load.clients = phase.clients;
    load.requests = phase.requests;
    load.max_tokens = kMaxTokens;
    load.prompts = prompts(phase, static_cast<uint64_t>(++done));
    CALLIE_ASSIGN_OR_RETURN(const serve::LoadReport report, serve::generate_load(load));
    if (interrupted()) return Status(StatusCode::kCancelled, "");
    if (report.failed == report.requests) return error(StatusCode::kUnavailable, "{}: {}", url, report.first_error);
    const double words = 0.5 * (phase.low + phase.high);
    for (int i = 0; i < 5; ++i) {
      made.push_back({.decode = double(phase.clients), .context = phase.clients * (words + kMaxTokens / 2.0),
                      .step_us = 1e3 * report.tpot_ms.mean});
      if (phase.clients == 1) {
        made.push_back({.prefill = words, .prefill_work = words * words / 2, .step_us = 1e3 * report.ttft_ms.mean});
      }
    }
    if (has_steps) {
      const auto body = io::http_get(url + "/debug/steps", {.timeout_s = 30});
      has_steps = body.ok();
      if (has_steps) {
        CALLIE_ASSIGN_OR_RETURN(const auto steps, plan::parse_step_log(*body, url + "/debug/steps"));
        for (const plan::StepSample& s : steps) seen[s.start_s] = s;
      }
    }
    progress.update(done);
  }
  progress.finish();
  if (!has_steps || seen.empty()) {
    out.note = "the server has no /debug/steps: fitted to client-side times, which hold network and queueing as well";
    out.steps = std::move(made);
    return out;
  }
  for (const auto& [time, step] : seen) out.steps.push_back(step);
  return out;
}

StatusOr<CalibrationSteps> measure_own_engine(const std::string& model, int threads) {
  const std::string count = std::to_string(threads);
  CALLIE_ASSIGN_OR_RETURN(const auto server, OwnServer::start({"serve", model, "--port", "0", "--no-page", "--threads", count,
                                                               "--max-seqs", "16"}));
  CALLIE_ASSIGN_OR_RETURN(CalibrationSteps result, measure_engine(server->address()));
  result.source = "callie serve " + model + (threads > 0 ? ", " + count + " threads" : "");
  return result;
}

}  // namespace callie::cli
