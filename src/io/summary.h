#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "io/checkpoint.h"

namespace callie::io {

/// What a checkpoint's tensors add up to.
struct CheckpointSummary {
  struct OfType {
    std::string type;
    uint64_t tensors = 0, elements = 0, bytes = 0;
  };
  uint64_t elements = 0, bytes = 0;
  std::vector<OfType> types;  ///< most bytes first

  double bits_per_weight() const {
    return elements == 0 ? 0 : 8 * static_cast<double>(bytes) / static_cast<double>(elements);
  }
};

CheckpointSummary summarize(const Checkpoint& checkpoint);

/// Elements of a tensor: the product of its shape.
uint64_t element_count(const TensorRecord& record);

}  // namespace callie::io
