#include "io/summary.h"

#include <algorithm>
#include <map>

namespace callie::io {

uint64_t element_count(const TensorRecord& record) {
  uint64_t elements = 1;
  for (const int64_t extent : record.shape) elements *= static_cast<uint64_t>(extent);
  return elements;
}

CheckpointSummary summarize(const Checkpoint& checkpoint) {
  CheckpointSummary summary;
  std::map<tensor::StorageType, CheckpointSummary::OfType> types;
  for (const TensorRecord& record : checkpoint.tensors()) {
    CheckpointSummary::OfType& type = types[record.type];
    ++type.tensors;
    type.elements += element_count(record);
    type.bytes += record.data.size();
    summary.elements += element_count(record);
    summary.bytes += record.data.size();
  }
  for (auto& [type, sums] : types) {
    sums.type = tensor::storage_type_info(type)->name;
    summary.types.push_back(std::move(sums));
  }
  std::stable_sort(summary.types.begin(), summary.types.end(),
                   [](const auto& a, const auto& b) { return a.bytes > b.bytes; });
  return summary;
}

}  // namespace callie::io
