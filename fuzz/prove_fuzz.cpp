#include <cstddef>
#include <cstdint>
#include <string>

#include "assertions/prove/prove.h"

/// Elaboration, lowering and the engines on any bytes that parse.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace callie::assertions;
  if (size > 2048) return 0;
  ProveOptions options;
  options.max_bmc_depth = 2;
  options.max_induction = 1;
  options.use_pdr = false;
  options.time_limit_s = 0.1;
  (void)prove_text("fuzz.sv", std::string(reinterpret_cast<const char*>(data), size), options);
  return 0;
}
