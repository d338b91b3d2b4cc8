#include <CLI/CLI.hpp>
#include <algorithm>
#include <fstream>
#include <iostream>

#include "cli/number_checks.h"
#include "cli/verbs.h"
#include "core/json.h"
#include "serve/load_generator.h"

namespace callie::cli {
namespace {

struct BenchServeOptions {
  serve::LoadOptions load;
  std::string prompts, trace;
  double scale = 1;
  bool json = false, keep_eos = false;
};

// One prompt a line: plain text, or JSON with `prompt`, `turns` or `question`.
StatusOr<std::vector<std::string>> read_prompts(const std::string& path) {
  std::ifstream file(path);
  if (!file) return not_found("--prompts: {} cannot be read", path);
  std::vector<std::string> prompts;
  int number = 0;
  for (std::string line; std::getline(file, line);) {
    ++number;
    if (line.empty()) continue;
    if (!path.ends_with(".jsonl")) {
      prompts.push_back(line);
      continue;
    }
    const Json json = Json::parse(line, nullptr, false);
    const Json text = !json.is_object()          ? Json()
                      : json.contains("prompt")  ? json["prompt"]
                      : json.contains("turns")   ? json["turns"].is_array() && !json["turns"].empty() ? json["turns"][0] : Json()
                                                 : json.value("question", Json());
    if (!text.is_string()) return data_loss("{}:{}: no prompt, turns or question", path, number);
    prompts.push_back(text.get<std::string>());
  }
  if (prompts.empty()) return data_loss("{}: no prompts", path);
  return prompts;
}

// Arrival times in seconds: the first column, or the one called arrived_at or arrival_s; a header line is skipped.
StatusOr<std::vector<double>> read_trace(const std::string& path, double scale) {
  std::ifstream file(path);
  if (!file) return not_found("--trace: {} cannot be read", path);
  std::vector<double> out;
  int number = 0;
  for (std::string line; std::getline(file, line);) {
    ++number;
    char* end = nullptr;
    const double at = std::strtod(line.c_str(), &end);
    if (end == line.c_str()) {
      if (number == 1) continue;
      return data_loss("{}:{}: no arrival time in the first column", path, number);
    }
    out.push_back(at / scale);
  }
  if (out.empty()) return data_loss("{}: no arrivals", path);
  const double first = *std::min_element(out.begin(), out.end());
  for (double& at : out) at -= first;
  return out;
}

Json json_of(const serve::Percentiles& p) { return {{"mean", p.mean}, {"p50", p.p50}, {"p90", p.p90}, {"p99", p.p99}}; }

Status bench_serve(BenchServeOptions options) {
  options.load.ignore_eos = !options.keep_eos;
  if (options.prompts.empty()) {
    options.load.prompts = {"Write a short story about a lighthouse.", "Explain how rain forms.",
                            "List ten uses of a paper clip.", "What makes bread rise?"};
  } else {
    CALLIE_ASSIGN_OR_RETURN(options.load.prompts, read_prompts(options.prompts));
  }
  if (!options.trace.empty()) {
    CALLIE_ASSIGN_OR_RETURN(options.load.arrivals_s, read_trace(options.trace, options.scale));
    if (options.load.arrivals_s.size() > static_cast<size_t>(options.load.requests)) {
      options.load.arrivals_s.resize(options.load.requests);
    }
  }
  CALLIE_ASSIGN_OR_RETURN(const serve::LoadReport r, serve::generate_load(options.load));
  if (options.json) {
    const Json out = {{"requests", r.requests},
                      {"failed", r.failed},
                      {"wall_s", r.wall_s},
                      {"output_tok_s", r.output_tok_s},
                      {"total_tok_s", r.total_tok_s},
                      {"goodput_req_s", r.goodput_req_s},
                      {"client_cpu_share", r.client_cpu_share},
                      {"ttft_ms", json_of(r.ttft_ms)},
                      {"tpot_ms", json_of(r.tpot_ms)},
                      {"e2e_ms", json_of(r.e2e_ms)}};
    std::cout << out.dump() << "\n";
  } else {
    std::cout << fmt::format("{} requests, {} failed, {:.1f} s: {:.1f} output tok/s, {:.1f} total tok/s, goodput {:.2f} req/s\n",
                             r.requests, r.failed, r.wall_s, r.output_tok_s, r.total_tok_s, r.goodput_req_s);
    for (const auto& [name, p] : {std::pair{"ttft", &r.ttft_ms}, {"tpot", &r.tpot_ms}, {"e2e", &r.e2e_ms}}) {
      std::cout << fmt::format("{:5} ms: mean {:.1f}  p50 {:.1f}  p90 {:.1f}  p99 {:.1f}\n", name, p->mean, p->p50, p->p90, p->p99);
    }
    std::cout << fmt::format("the generator itself used {:.1f} % of a processor\n", 100 * r.client_cpu_share);
  }
  if (r.failed > 0) return error(StatusCode::kUnavailable, "{} of {} requests failed: {}", r.failed, r.requests, r.first_error);
  return ok_status();
}

}  // namespace

void add_bench_serve(CLI::App& bench, Action& action) {
  auto options = std::make_shared<BenchServeOptions>();
  CLI::App* verb = bench.add_subcommand("serve", "load an OpenAI endpoint and measure it");
  serve::LoadOptions& o = options->load;
  verb->add_option("--url", o.url, "address of the server")->capture_default_str();
  verb->add_option("--model", o.model, "model (default: the server's first)");
  verb->add_option("--api-key", o.api_key, "key")->envname("OPENAI_API_KEY");
  verb->add_option("--prompts", options->prompts, ".txt (one a line) or .jsonl file of prompts");
  verb->add_option("--clients", o.clients, "closed loop: clients that send one request after the other")->check(CLI::Range(1, 4096))->capture_default_str();
  verb->add_option("--rate", o.rate, "open loop: Poisson arrivals a second")->check(non_negative_number());
  verb->add_option("--trace", options->trace, "open loop: CSV whose first column is the arrival in seconds");
  verb->add_option("--scale", options->scale, "divides the trace's times")->check(positive_number())->capture_default_str();
  verb->add_option("--requests", o.requests, "requests in all")->check(CLI::Range(1, 1 << 20))->capture_default_str();
  verb->add_option("-n,--max-tokens", o.max_tokens, "tokens of an answer")->check(positive_number())->capture_default_str();
  verb->add_option("--temp", o.temperature, "temperature")->capture_default_str();
  verb->add_option("--seed", o.seed, "seed of arrivals and sampling")->capture_default_str();
  verb->add_flag("--keep-eos", options->keep_eos, "answers may end early (default: ignore_eos)");
  verb->add_option("--slo-ttft", o.slo_ttft_ms, "milliseconds to the first token that goodput allows");
  verb->add_option("--slo-tpot", o.slo_tpot_ms, "milliseconds a token that goodput allows");
  verb->add_flag("--json", options->json, "one JSON object instead of a table");
  verb->footer("Example: callie bench serve --url http://127.0.0.1:8080 --clients 16 --requests 64");
  verb->final_callback([options, &action] { action = [options] { return bench_serve(*options); }; });
}

}  // namespace callie::cli
