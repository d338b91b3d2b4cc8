#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/status.h"

namespace callie::serve {

struct LoadOptions {
  std::string url = "http://127.0.0.1:8080";  ///< with or without /v1
  std::string model;                          ///< empty = the server's first
  std::string api_key;
  std::vector<std::string> prompts;  ///< used in turn, through chat completions
  int clients = 4;                   ///< closed loop: each sends its next request when the last is answered
  double rate = 0;                   ///< open loop instead: Poisson arrivals a second
  std::vector<double> arrivals_s;    ///< open loop instead: when each request arrives (a trace)
  int requests = 64;
  int max_tokens = 128;
  bool ignore_eos = true;
  double temperature = 0;
  uint64_t seed = 1;
  double slo_ttft_ms = 0, slo_tpot_ms = 0;  ///< goodput counts requests within both; 0 = no limit
};

struct Percentiles {
  double mean = 0, p50 = 0, p90 = 0, p99 = 0;
};

struct LoadReport {
  int requests = 0, failed = 0;
  double wall_s = 0, output_tok_s = 0, total_tok_s = 0;
  double goodput_req_s = 0;       ///< requests within the limits, a second
  double client_cpu_share = 0;    ///< of one processor, used by the generator itself
  Percentiles ttft_ms, tpot_ms, e2e_ms;
  std::string first_error;
};

/// Loads an OpenAI endpoint and measures it. TTFT counts from the moment a request should have been sent.
/// Errors: kInvalidArgument (no prompts, no requests).
StatusOr<LoadReport> generate_load(const LoadOptions& options);

/// Linear interpolation between closest ranks; zeros for no values.
Percentiles percentiles(std::vector<double> values);

}  // namespace callie::serve
