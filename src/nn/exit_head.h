#pragma once

#include <cstdint>

#include "core/thread_pool.h"
#include "nn/linear.h"

namespace callie::nn {

/// An early exit: what the model's head would read at the end is guessed from the residual stream after a layer.
/// logits = head (map x + bias), where x is the residual stream over its root mean square. The map is one small matrix,
/// the head some rows of the model's own, so an exit reads a few percent of what a pass reads.
struct ExitHead {
  int layer = 0;                 ///< reads the residual stream after this layer; not the last one
  Linear map;                    ///< hidden -> hidden, with bias
  const Linear* head = nullptr;  ///< hidden -> tokens of the part
  float temperature = 1;         ///< its logits over this are calibrated probabilities
};

/// Scratch of exit_forward() over up to m rows. `quantized` and `remainder` as in a pass's workspace.
struct ExitScratch {
  float* normed = nullptr;        ///< [m, hidden]: the input; rows over their root mean square
  float* mapped = nullptr;        ///< [m, hidden]: what the head reads
  uint8_t* quantized = nullptr;   ///< quantized_rows_bytes(m, hidden), twice the rows for a fine head
  float* remainder = nullptr;     ///< [2 m, hidden]? for a fine head
  float* fine = nullptr;          ///< [workers, fine_scratch_floats(m)]? for a fine head
  int64_t fine_floats = 0;        ///< of one worker
};

/// logits [m, head->rows()] of the m rows in `scratch.normed`. All workers call it; the results are there when it
/// returns.
void exit_forward(const Worker& worker, const ExitHead& exit, const ExitScratch& scratch, int64_t m,
                  Precision precision, float* logits);

}  // namespace callie::nn
