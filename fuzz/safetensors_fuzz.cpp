#include "io/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto header = callie::io::parse_safetensors({data, size});
  if (!header.ok()) return 0;
  uint64_t sum = 0;
  for (const auto& tensor : header->tensors) {
    if (!tensor.data.empty()) sum += tensor.data.front() + tensor.data.back();
  }
  return sum == UINT64_MAX;  // every record must point into the file
}
