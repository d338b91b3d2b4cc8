#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/status.h"
#include "plan/cost/collectives.h"
#include "plan/cost/step_cost.h"
#include "plan/model/shape.h"

namespace callie::plan {

/// A function sampled at increasing x: linear between samples, constant below the first, on the last slope above.
class Curve {
 public:
  void add(double x, double y) {
    x_.push_back(x);
    y_.push_back(y);
  }
  /// Errors: x not strictly increasing (returned as false).
  bool valid() const;
  bool empty() const { return x_.empty(); }
  double max_x() const { return x_.empty() ? 0 : x_.back(); }
  double operator()(double x) const;

 private:
  std::vector<double> x_, y_;
};

/// Measured kernels of one model at one tensor-parallel degree, as LLMServingSim's profiler writes them:
/// dense.csv, per_sequence.csv, attention.csv, moe.csv and skew_fit.csv. Times in microseconds of one layer.
struct KernelTables {
  struct Dense {
    std::string layer;
    Curve curve;
  };
  std::vector<Dense> dense, per_sequence;
  /// Attention time over (prefill_chunk, n_decode, kv_prefill, kv_decode). Each chunk has its own measured numbers of
  /// decodes, each of them its own prefill contexts, each of those a curve over the decode context.
  struct AttentionSlice {
    int32_t decodes = 0;
    std::vector<int32_t> prefill_context;
    std::vector<Curve> curves;
  };
  struct AttentionChunk {
    int32_t tokens = 0;
    std::vector<AttentionSlice> slices;
  };
  std::vector<AttentionChunk> attention;
  std::vector<int32_t> moe_experts;
  std::vector<Curve> moe;        ///< by activated experts, over tokens
  /// Share of the way from the time at the mean context to the time at the longest, by bucket; see skew_alpha().
  struct SkewBins {
    std::vector<double> n, rate, kv, prefill;  ///< upper edges
    double fallback = 0;
  } skew_bins;
  std::vector<int32_t> skew_chunks;
  std::vector<float> skew;  ///< [chunk, n, rate, kv, prefill]; NaN where unknown
  std::string folder;
  std::string measured_by;  ///< "gpu, vLLM version", from meta.yaml
  std::string dtype;
  int tp = 1;
};

/// Loads ROOT/HARDWARE/MODEL/DTYPE/tpN, or DTYPE-kvfp8 for 8-bit KV. Experts are measured once: moe.csv of any degree serves all.
/// Errors: kNotFound (which folder is missing and which degrees exist), kDataLoss (file, line, column).
StatusOr<std::shared_ptr<const KernelTables>> load_kernel_tables(const std::string& root, const std::string& hardware,
                                                                 const std::string& model, const std::string& dtype,
                                                                 int tp, bool fp8_kv = false);

/// What a machine's own run taught: kernel times are multiplied, host time is added. 1 and 0 without a calibration.
struct KernelScale {
  double kernels = 1;
};

/// Step times from kernel tables plus communication computed from the link.
/// Errors: kInvalidArgument (impossible degrees for this model), kNotFound (mixture of experts without moe.csv).
StatusOr<std::shared_ptr<const StepCost>> make_kernel_table_cost(std::shared_ptr<const KernelTables> tables,
                                                                 const ModelShape& model,
                                                                 const Parallelism& parallelism, const Link& link,
                                                                 KernelScale scale);

/// Degrees that the model's sizes allow. Errors: kInvalidArgument.
Status check_parallelism(const ModelShape& model, const Parallelism& parallelism);

}  // namespace callie::plan
