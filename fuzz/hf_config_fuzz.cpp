#include "io/hf_config.h"

/// config.json and model.safetensors.index.json.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto config = callie::io::HfConfig::parse(text); config.ok()) {
    for (const auto& entry : config->metadata()) {
      (void)config->get_int(entry.key);
      (void)config->get_float(entry.key);
      (void)config->get_bool(entry.key);
      (void)config->get_string(entry.key);
      (void)config->get_ints(entry.key);
      (void)config->get_floats(entry.key);
      (void)config->get_strings(entry.key);
    }
  }
  (void)callie::io::parse_shard_index(text);
  return 0;
}
