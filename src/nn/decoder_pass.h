#pragma once

#include <span>

#include "kernels/attention.h"
#include "kernels/quantize_rows.h"
#include "nn/decoder.h"
#include "nn/decoder_workspace.h"

namespace callie::nn {

/// One forward pass of a Decoder. The constructor plans it on one thread; then every worker calls run(). Between the
/// phases of a layer the workers meet; a phase splits rows, panels of rows or heads, never a sum.
class DecoderPass {
 public:
  DecoderPass(const Decoder& decoder, const ForwardBatch& batch, Precision precision, const Taps* taps,
              Decoder::Workspace& workspace, float* logits, int n_workers);

  void run(const Worker& worker);

 private:
  using Plan = Decoder::Workspace::Plan;

  // What changes while a pass goes through the layers; every worker keeps an equal copy.
  struct Flow {
    int64_t m;                                      // rows in flight: all, or those that want logits
    float* residual;                                // [m, hidden]
    bool pending = false;                           // `delta` still has to be added to the residual ...
    const std::vector<float>* pending_norm = nullptr;  // ... after this norm, if the model has one
  };

  // Planning.
  void plan_attention(int n_workers);
  void add_plan(int64_t window, std::span<const int32_t> rows, int n_workers);
  void update_layer_tables(int layer);

  // Phases.
  void rope_tables(const Worker& worker);
  void embed(const Worker& worker, Flow& flow);
  void attention_half(const Worker& worker, Flow& flow, int layer);
  void mlp_half(const Worker& worker, Flow& flow, int layer);
  void head(const Worker& worker, Flow& flow);
  void rotate_and_store(const Worker& worker, int layer);
  void attend(const Worker& worker, Plan& plan);
  void keep_selected_rows(const Worker& worker, Flow& flow);
  void tap_layer(const Worker& worker, Flow& flow, int layer);
  void take_exits(const Worker& worker, Flow& flow, int layer);

  // residual += pending delta; when `norm` is given, normed = norm(residual), also quantized if `reader` wants that.
  void add_and_norm(const Worker& worker, Flow& flow, const std::vector<float>* norm, const Linear* reader);
  void project(const Worker& worker, const Linear& linear, const float* rows, int64_t m, int layer, int matrix,
               float* y);
  kernels::QuantizedRows quantized(int64_t m, int64_t cols) const;
  bool wants_tap(int layer) const;
  bool perturbs(int layer) const;
  bool is_last(int layer) const { return layer == n_layers_ - 1; }

  const DecoderSpec& spec_;
  const DecoderWeights& weights_;
  const std::vector<kernels::Rope>& ropes_;
  const ForwardBatch& batch_;
  const Precision precision_;
  const Taps* taps_;
  Decoder::Workspace& ws_;
  float* logits_;

  int n_layers_;
  bool compacts_ = false;  // the last layer goes on with the selected rows only
};

}  // namespace callie::nn
