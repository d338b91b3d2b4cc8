#include <array>

#include "models/architecture.h"

namespace callie::models {
namespace {

constexpr std::array kArchitectures = {&kLlama, &kQwen2, &kQwen3, &kGemma3};

bool is_one_of(std::string_view name, std::string_view alternatives) {
  while (true) {
    const size_t bar = alternatives.find('|');
    if (alternatives.substr(0, bar) == name) return true;
    if (bar == std::string_view::npos) return false;
    alternatives.remove_prefix(bar + 1);
  }
}

}  // namespace

std::span<const DecoderArchitecture* const> decoder_architectures() { return kArchitectures; }

StatusOr<std::string> architecture_name(const io::Checkpoint& checkpoint) {
  return checkpoint.get_string(checkpoint.kind() == io::CheckpointKind::kGguf ? "general.architecture" : "model_type");
}

StatusOr<const DecoderArchitecture*> find_decoder_architecture(const io::Checkpoint& checkpoint) {
  CALLIE_ASSIGN_OR_RETURN(const std::string name, architecture_name(checkpoint));
  const bool gguf = checkpoint.kind() == io::CheckpointKind::kGguf;
  std::string known;
  for (const DecoderArchitecture* architecture : kArchitectures) {
    if (gguf ? architecture->gguf_name == name : is_one_of(name, architecture->hugging_face_type)) return architecture;
    known += (known.empty() ? "" : ", ") + std::string(architecture->gguf_name);
  }
  return error(StatusCode::kUnimplemented, "{}: architecture '{}' is not supported (known: {}, bert)",
               checkpoint.path(), name, known);
}

}  // namespace callie::models
