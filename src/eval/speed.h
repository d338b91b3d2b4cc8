#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/status.h"
#include "engine/session.h"

namespace callie::eval {

struct SpeedOptions {
  int64_t prompt = 512;    ///< tokens of a prefill
  int64_t generate = 128;  ///< tokens of a decode run
  int64_t depth = 0;       ///< tokens in the context before either
  int repeat = 5;
  bool prefill = true, decode = true, verify = true, batch = true;
  SessionOptions session;
};

struct SpeedResult {
  std::string name;  ///< "pp512", "tg128", with a depth "pp512 @ d4096"
  double tok_s_median = 0, tok_s_min = 0, tok_s_max = 0;
  double bandwidth_fraction = 0;  ///< of the read bandwidth measured in this run, weights only
  double compute_fraction = 0;    ///< of the integer-dot peak measured in this run, matrix products only
};

struct VerifyCost {
  int m;                ///< tokens in the pass
  double ms;            ///< median
  double ratio_to_m1;
};

struct BatchSpeed {
  int sequences;
  double tok_s;  ///< of all sequences together, median
};

struct SpeedReport {
  int64_t bytes_per_token = 0;  ///< packed bytes of the tensors that a decode step reads
  int64_t macs_per_token = 0;   ///< without the head
  double read_gb_s = 0;         ///< best of at least five passes of all threads over at least 1 GiB
  double vnni_gmac_s = 0;       ///< register-only integer dots, all threads
  std::string isa;
  std::vector<SpeedResult> results;
  std::vector<VerifyCost> verify_cost;  ///< one sequence, context 256, logits of all m positions
  std::vector<BatchSpeed> batch;        ///< sequences decoded together, context 256
};

/// Measures a model. Errors: kInvalidArgument (sizes below 1), kResourceExhausted, kCancelled on Ctrl-C.
StatusOr<SpeedReport> measure_speed(std::shared_ptr<const Model> model, const SpeedOptions& options, ThreadPool& pool);

}  // namespace callie::eval
