// Any bytes as a frame: an error, or a message that survives its own encoding.

#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "decode/edge_cloud/codec.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace callie::edge_cloud;
  const auto first = decode({reinterpret_cast<const char*>(data), size});
  if (!first.ok()) return 0;
  const std::string bytes = encode(*first);
  const auto second = decode(bytes);
  if (!second.ok() || encode(*second) != bytes) std::abort();
  return 0;
}
