#include <unistd.h>

#include <cstdio>

#include "plan/config/config.h"

/// Configurations of the planner (YAML), read and resolved, not simulated.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::string path = "/tmp/callie-plan-fuzz-" + std::to_string(getpid()) + ".yaml";
  std::FILE* file = std::fopen(path.c_str(), "wb");
  if (!file) return 0;
  std::fwrite(data, 1, size, file);
  std::fclose(file);
  callie::plan::ConfigLoader loader;
  const auto config = loader.load(path);
  // An error is one line.
  if (!config.ok() && config.status().message().empty()) __builtin_trap();
  std::remove(path.c_str());
  return 0;
}
