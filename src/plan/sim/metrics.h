#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "plan/types.h"

namespace callie::plan {

/// Values of one measure. Exact up to `kExact` values, then a histogram with bins 0.05 % wide: memory stays bounded.
class Series {
 public:
  static constexpr size_t kExact = 1 << 18;

  void add(double value);
  void reserve(size_t n) { values_.reserve(n < kExact ? n : kExact); }
  int64_t count() const { return count_; }
  double mean() const { return count_ > 0 ? sum_ / static_cast<double>(count_) : 0; }
  double max() const { return max_; }
  /// Linear interpolation between order statistics, as numpy's default; q in 0..1. 0 when empty.
  double percentile(double q) const;
  /// Share of the values <= `limit`.
  double share_below(double limit) const;
  bool exact() const { return bins_.empty(); }
  const std::vector<double>& values() const { return values_; }  ///< in no order

 private:
  void fold();
  void count_in_bin(double value);

  mutable std::vector<double> values_;
  mutable size_t selected_ = 0;  ///< values_[selected_] stands where sorting would put it, smaller ones before it
  std::vector<int64_t> bins_;
  int64_t count_ = 0;
  double sum_ = 0, max_ = 0;
};

/// What is reported of one class of requests; times in milliseconds.
struct ClassMetrics {
  std::string name;
  Series ttft_ms, tpot_ms, e2e_ms, queue_ms;
  int64_t finished = 0, rejected = 0, failed = 0;
  int64_t prompt_tokens = 0, cached_tokens = 0, output_tokens = 0;
  int64_t met_ttft = 0, met_tpot = 0, met_e2e = 0, met_all = 0;  ///< requests within the per-request objective
  /// Mean milliseconds by stage: queue + service of preprocess, rag, kv, prefill wait, prefill, transfer, decode, post.
  double stage_ms[8] = {};
};

inline constexpr const char* kStageNames[8] = {"preprocess", "rag",      "kv",     "queue",
                                               "prefill",    "transfer", "decode", "postprocess"};

}  // namespace callie::plan
