#include "engine/exit_heads.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

#include "core/hash.h"
#include "io/safetensors.h"
#include "kernels/vector_ops.h"
#include "tensor/formats/codec.h"

namespace callie {
namespace {

constexpr const char* kFormat = "callie-exits-1";

StatusOr<std::vector<float>> floats_of(const io::SafetensorsFile& file, const std::string& path, const std::string& name,
                                       int64_t size) {
  const io::TensorRecord* record = file.find(name);
  if (!record) return data_loss("{}: {}: missing", path, name);
  int64_t elements = 1;
  for (const int64_t n : record->shape) elements *= n;
  const bool half = record->type == tensor::StorageType::kF16;
  if (elements != size || (!half && record->type != tensor::StorageType::kF32)) {
    return data_loss("{}: {}: {} F32 or F16 values wanted", path, name, size);
  }
  std::vector<float> out(size);
  if (half) {
    kernels::from_f16(reinterpret_cast<const uint16_t*>(record->data.data()), size, out.data());
  } else {
    std::memcpy(out.data(), record->data.data(), size * sizeof(float));
  }
  return out;
}

template <typename T>
std::span<const uint8_t> bytes_of(std::span<const T> values) {
  return {reinterpret_cast<const uint8_t*>(values.data()), values.size_bytes()};
}

}  // namespace

uint64_t exit_fingerprint(const Model& model) {
  Xxh64Stream stream;
  const auto add = [&](const std::vector<float>& weights) { stream.update(bytes_of(std::span<const float>(weights))); };
  const nn::DecoderWeights& weights = model.decoder().weights();
  for (const nn::DecoderLayer& layer : weights.layers) {
    add(layer.attention_norm);
    add(layer.ffn_norm);
  }
  add(weights.output_norm);
  return stream.digest();
}

StatusOr<ExitFile> read_exit_file(const std::string& path) {
  CALLIE_ASSIGN_OR_RETURN(const auto file, io::SafetensorsFile::open(path));
  ExitFile out;
  std::string format;
  const auto number = [&](const std::string& text, auto& value, int base) -> bool {
    const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value, base);
    return code == std::errc() && end == text.data() + text.size();
  };
  for (const auto& [key, value] : file->metadata()) {
    if (key == "format") format = value;
    if (key == "report") out.report = value;
    if (key == "model" && !number(value, out.fingerprint, 16)) return data_loss("{}: model: not a hash", path);
    if (key == "head_rows" && (!number(value, out.head_rows, 10) || out.head_rows < 1)) {
      return data_loss("{}: head_rows: not a number of tokens", path);
    }
  }
  if (format != kFormat) return data_loss("{}: format: '{}' is not {}", path, format, kFormat);
  if (out.head_rows < 1) return data_loss("{}: head_rows: missing", path);
  if (const io::TensorRecord* tokens = file->find("tokens")) {
    if (tokens->type != tensor::StorageType::kI32 || tokens->shape.size() != 1) {
      return data_loss("{}: tokens: a list of I32 wanted", path);
    }
    out.tokens.resize(tokens->shape[0]);
    std::memcpy(out.tokens.data(), tokens->data.data(), tokens->data.size());
  }
  for (int i = 0;; ++i) {
    const std::string name = fmt::format("exits.{}.", i);
    const io::TensorRecord* map = file->find(name + "map");
    if (!map) break;
    if (map->shape.size() != 2 || map->shape[0] != map->shape[1]) return data_loss("{}: {}map: not square", path, name);
    const int64_t hidden = map->shape[0];
    ExitWeights& exit = out.exits.emplace_back();
    CALLIE_ASSIGN_OR_RETURN(exit.map, floats_of(*file, path, name + "map", hidden * hidden));
    CALLIE_ASSIGN_OR_RETURN(exit.bias, floats_of(*file, path, name + "bias", hidden));
    CALLIE_ASSIGN_OR_RETURN(const auto place, floats_of(*file, path, name + "layer_and_temperature", 2));
    exit.layer = static_cast<int>(place[0]);
    exit.temperature = place[1];
    if (!(exit.temperature > 0)) return data_loss("{}: {}layer_and_temperature: not above 0", path, name);
  }
  if (out.exits.empty()) return data_loss("{}: exits.0.map: missing", path);
  return out;
}

Status write_exit_file(const std::string& path, const ExitFile& file) {
  std::vector<io::TensorRecord> records;
  std::vector<std::vector<uint16_t>> maps;
  std::vector<std::array<float, 2>> places(file.exits.size());
  for (size_t i = 0; i < file.exits.size(); ++i) {
    const ExitWeights& exit = file.exits[i];
    const auto hidden = static_cast<int64_t>(exit.bias.size());
    auto& half = maps.emplace_back(exit.map.size());
    kernels::to_f16(exit.map.data(), static_cast<int64_t>(half.size()), half.data());
    places[i] = {static_cast<float>(exit.layer), exit.temperature};
    const std::string name = fmt::format("exits.{}.", i);
    records.push_back({name + "map", tensor::StorageType::kF16, {hidden, hidden}, bytes_of(std::span<const uint16_t>(half))});
    records.push_back({name + "bias", tensor::StorageType::kF32, {hidden}, bytes_of(std::span<const float>(exit.bias))});
    records.push_back({name + "layer_and_temperature", tensor::StorageType::kF32, {2}, bytes_of(std::span<const float>(places[i]))});
  }
  if (!file.tokens.empty()) {
    records.push_back({"tokens", tensor::StorageType::kI32, {static_cast<int64_t>(file.tokens.size())},
                       bytes_of(std::span<const int32_t>(file.tokens))});
  }
  const std::pair<std::string, std::string> metadata[] = {{"format", kFormat},
                                                          {"model", fmt::format("{:016x}", file.fingerprint)},
                                                          {"head_rows", fmt::format("{}", file.head_rows)},
                                                          {"report", file.report}};
  return io::write_safetensors(path, records, metadata);
}

ExitHeads::ExitHeads(std::shared_ptr<const Model> model, int64_t head_rows)
    : model_(std::move(model)), head_(model_, head_rows) {}

StatusOr<std::shared_ptr<const ExitHeads>> ExitHeads::load(const std::string& path, std::span<const int> layers,
                                                           std::shared_ptr<const Model> model, const Context& context) {
  CALLIE_ASSIGN_OR_RETURN(ExitFile file, read_exit_file(path));
  if (file.fingerprint != exit_fingerprint(*model)) {
    return error(StatusCode::kFailedPrecondition, "{}: trained on another model than {}", path, model->path());
  }
  for (const int layer : layers) {
    const auto has = [&](const ExitWeights& exit) { return exit.layer == layer; };
    if (std::none_of(file.exits.begin(), file.exits.end(), has)) {
      return invalid_argument("{}: no exit after layer {}", path, layer);
    }
  }
  if (!layers.empty()) {
    std::erase_if(file.exits, [&](const ExitWeights& exit) {
      return std::find(layers.begin(), layers.end(), exit.layer) == layers.end();
    });
  }
  auto heads = create(file, std::move(model), context);
  if (!heads.ok()) return heads.status().with_context(path);
  return heads;
}

StatusOr<std::shared_ptr<const ExitHeads>> ExitHeads::create(const ExitFile& file, std::shared_ptr<const Model> model,
                                                             const Context& context) {
  const int64_t hidden = model->spec().hidden_size;
  const auto n_layers = static_cast<int>(model->spec().layers.size());
  std::shared_ptr<ExitHeads> out(new ExitHeads(model, file.head_rows));
  for (const int32_t token : file.tokens) {
    if (token < 0 || token >= model->spec().vocab_size) return data_loss("tokens: {} is not in the vocabulary", token);
  }
  out->head_.add(file.tokens);
  for (const ExitWeights& exit : file.exits) {
    if (static_cast<int64_t>(exit.bias.size()) != hidden) {
      return data_loss("exits: a width of {}, the model has {}", exit.bias.size(), hidden);
    }
    if (exit.layer < 0 || exit.layer + 1 >= n_layers) return data_loss("exits: no exit can stand after layer {}", exit.layer);
    nn::ExitHead& head = out->heads_.emplace_back();
    head.layer = exit.layer;
    head.temperature = exit.temperature;
    head.map.bias = exit.bias;
    const bool eight_bits = hidden % kernels::kUnitColumns == 0;
    const auto type = eight_bits ? tensor::StorageType::kQ8_0 : tensor::StorageType::kF32;
    const tensor::StorageTypeInfo* info = tensor::storage_type_info(type);
    std::vector<uint8_t> bytes(exit.map.size() / info->block_elements * info->block_bytes);
    CALLIE_RETURN_IF_ERROR(tensor::encode(type, exit.map.data(), static_cast<int64_t>(exit.map.size()), bytes));
    CALLIE_ASSIGN_OR_RETURN(head.map.parts.emplace_back(), tensor::PackedMatrix::pack(type, bytes, hidden, hidden, context));
  }
  std::sort(out->heads_.begin(), out->heads_.end(), [](const auto& a, const auto& b) { return a.layer < b.layer; });
  for (size_t i = 1; i < out->heads_.size(); ++i) {
    if (out->heads_[i].layer == out->heads_[i - 1].layer) return data_loss("exits: two after layer {}", out->heads_[i].layer);
  }
  const nn::Linear* part = out->head_.linear();
  for (nn::ExitHead& head : out->heads_) head.head = part ? part : &model->decoder().weights().head;
  return std::shared_ptr<const ExitHeads>(std::move(out));
}

std::vector<uint32_t> ExitHeads::permille() const {
  std::vector<uint32_t> out;
  const auto n_layers = static_cast<double>(model_->spec().layers.size());
  for (const nn::ExitHead& head : heads_) out.push_back(static_cast<uint32_t>(1000 * (head.layer + 1) / n_layers));
  return out;
}

int64_t ExitHeads::bytes_each() const {
  return heads_.empty() ? 0 : heads_.front().map.bytes() + heads_.front().head->bytes();
}

}  // namespace callie
