#include <CLI/CLI.hpp>
#include <cstdio>
#include <iostream>

#include "cli/model_options.h"
#include "cli/number_checks.h"
#include "cli/verbs.h"
#include "core/interrupt.h"
#include "core/json.h"
#include "eval/speed.h"

namespace callie::cli {
namespace {

struct BenchOptions {
  ModelOptions model;
  ContextOptions context;
  eval::SpeedOptions speed;
  std::vector<std::string> tests;
  bool json = false;
};

Json to_json(const eval::SpeedReport& report, const BenchOptions& options) {
  Json out;
  out["model"] = options.model.model;
  out["threads"] = options.model.thread_count();
  out["isa"] = report.isa;
  out["bytes_per_token"] = report.bytes_per_token;
  out["macs_per_token"] = report.macs_per_token;
  out["read_gb_s"] = report.read_gb_s;
  out["vnni_gmac_s"] = report.vnni_gmac_s;
  out["results"] = Json::array();
  for (const auto& result : report.results) {
    out["results"].push_back({{"name", result.name},
                              {"tok_s_median", result.tok_s_median},
                              {"tok_s_min", result.tok_s_min},
                              {"tok_s_max", result.tok_s_max},
                              {"bandwidth_fraction", result.bandwidth_fraction},
                              {"compute_fraction", result.compute_fraction}});
  }
  out["verify_cost"] = Json::array();
  for (const auto& cost : report.verify_cost) {
    out["verify_cost"].push_back({{"m", cost.m}, {"ms", cost.ms}, {"ratio_to_m1", cost.ratio_to_m1}});
  }
  out["batch"] = Json::array();
  for (const auto& batch : report.batch) {
    out["batch"].push_back({{"sequences", batch.sequences}, {"tok_s", batch.tok_s}});
  }
  return out;
}

void print_table(const eval::SpeedReport& report, const BenchOptions& options) {
  std::printf("%s, %d threads, %s: %.1f MB and %.3f G multiplies a token; reads %.1f GB/s, %.0f GMAC/s\n",
              options.model.model.c_str(), options.model.thread_count(), report.isa.c_str(),
              static_cast<double>(report.bytes_per_token) / 1e6, static_cast<double>(report.macs_per_token) / 1e9,
              report.read_gb_s, report.vnni_gmac_s);
  for (const auto& result : report.results) {
    std::printf("  %-16s %9.1f tok/s  (%.1f to %.1f)  %4.1f %% of %s\n", result.name.c_str(), result.tok_s_median,
                result.tok_s_min, result.tok_s_max,
                100 * (result.bandwidth_fraction > 0 ? result.bandwidth_fraction : result.compute_fraction),
                result.bandwidth_fraction > 0 ? "read bandwidth" : "dot peak");
  }
  if (!report.verify_cost.empty()) std::printf("  a pass over m tokens:");
  for (const auto& cost : report.verify_cost) std::printf(" %d: %.2f", cost.m, cost.ratio_to_m1);
  if (!report.verify_cost.empty()) std::printf(" (times one token)\n");
  for (const auto& batch : report.batch) std::printf("  %2d sequences     %9.1f tok/s\n", batch.sequences, batch.tok_s);
}

Status bench(BenchOptions options) {
  install_interrupt_handler();
  if (!options.tests.empty()) {
    const auto wants = [&](const char* name) {
      return std::find(options.tests.begin(), options.tests.end(), name) != options.tests.end();
    };
    options.speed.prefill = wants("pp");
    options.speed.decode = wants("tg");
    options.speed.verify = wants("verify");
    options.speed.batch = wants("batch");
  }
  ThreadPool pool(options.model.thread_count());
  Context context{&pool};
  CALLIE_ASSIGN_OR_RETURN(const auto model, load_model(options.model, context));
  CALLIE_ASSIGN_OR_RETURN(options.speed.session, options.context.session_options());
  CALLIE_ASSIGN_OR_RETURN(const eval::SpeedReport report, eval::measure_speed(model, options.speed, pool));
  if (options.json) {
    std::cout << to_json(report, options).dump(2) << "\n";
  } else {
    print_table(report, options);
  }
  return ok_status();
}

}  // namespace

void add_bench(CLI::App& app, Action& action) {
  CLI::App* verb = app.add_subcommand("bench", "measure speed beside the machine's limits");
  auto options = std::make_shared<BenchOptions>();
  options->model.add_to(*verb);
  verb->add_option("-p", options->speed.prompt, "prompt tokens of a prefill")->check(positive_number())->capture_default_str();
  verb->add_option("-n", options->speed.generate, "tokens of a decode run")->check(positive_number())->capture_default_str();
  verb->add_option("--depth", options->speed.depth, "tokens already in the context")->check(non_negative_number())->capture_default_str();
  verb->add_option("--repeat", options->speed.repeat, "measured repetitions")->check(positive_number())->capture_default_str();
  verb->add_option("--tests", options->tests, "which of pp,tg,verify,batch (default all)")
      ->delimiter(',')
      ->check(CLI::IsMember({"pp", "tg", "verify", "batch"}));
  options->context.add_to(*verb);
  verb->add_flag("--json", options->json, "one JSON object instead of a table");
  verb->footer("Example: callie bench qwen2.5-coder-0.5b --tests pp,tg --depth 4096");
  add_bench_serve(*verb, action);
  add_bench_edge(*verb, action);
  verb->final_callback([options, verb, &action] {
    if (verb->get_subcommands().empty()) action = [options] { return bench(*options); };
  });
}

}  // namespace callie::cli
