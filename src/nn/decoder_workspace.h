#pragma once

#include <memory>
#include <span>
#include <vector>

#include "core/aligned_buffer.h"
#include "kernels/attention.h"
#include "nn/decoder.h"

namespace callie::nn {

/// Buffers of one pass. Rows of activations are [max_rows, size] f32.
class Decoder::Workspace {
 public:
  Workspace(const DecoderSpec& spec, int64_t max_rows, int n_threads);

  AlignedBuffer<float> residual, selected_residual;  // [max_rows, hidden]
  AlignedBuffer<float> normed;                       // [max_rows, hidden]
  AlignedBuffer<float> delta;                        // [max_rows, hidden]: a half's output before the residual sum
  AlignedBuffer<float> qkv;                          // [max_rows, q + 2 kv]
  AlignedBuffer<float> attended;                     // [max_rows, q]
  AlignedBuffer<float> gate_up;                      // [max_rows, 2 ffn]
  AlignedBuffer<float> activated;                    // [max_rows, ffn]
  AlignedBuffer<uint8_t> quantized;                  // QuantizedRows of the widest input
  AlignedBuffer<float> remainder;                    // [2 max_rows, hidden]? with fine linears
  AlignedBuffer<float> fine_scratch;                 // [n_threads, fine_scratch_floats]?
  AlignedBuffer<float> exit_mapped, exit_logits;     // [selected rows, hidden] and [selected rows, rows of the exit's head]?
  AlignedBuffer<float> cos_sin;                      // [n_ropes, max_rows, dim]: cosines, then sines

  std::vector<std::vector<const uint8_t*>> page_tables;  // one per sequence, of the current layer
  std::vector<int32_t> tail_slots;    // paths of tree rows, one after the other
  std::vector<int64_t> tail_starts;   // [rows]: first key that tail_slots gives, or -1
  kernels::KeyRange mass_range;
  // How the attention of the rows is split, for each window length in the model and once more for the last layer,
  // where only rows that want logits go on.
  struct Plan {
    int64_t window = 0;
    std::vector<kernels::AttentionRow> rows;
    kernels::AttentionPlan plan;
  };
  std::vector<Plan> plans;  // the first n_plans are this pass's, the others are kept for their buffers
  size_t n_plans = 0;
  std::span<Plan> current_plans() { return {plans.data(), n_plans}; }
  std::vector<int32_t> all_rows, path;  // scratch of planning
  std::vector<int64_t> windows;
  AlignedBuffer<float> attention_scratch, attention_partials;
  std::vector<int32_t> selected;  // rows that want logits

  int64_t max_rows;
  int n_threads;
  int64_t scratch_floats = 0;  // of one worker
};

}  // namespace callie::nn
