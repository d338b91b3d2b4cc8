#include "models/decoder_loader.h"

#include <algorithm>

#include "core/interrupt.h"
#include "models/architecture.h"
#include "tensor/formats/codec.h"
#include "tensor/packed_matrix.h"

namespace callie::models {
namespace {

constexpr int64_t kAlignment = 4096;
// Narrower models lose more than 2e-3 nats to 8-bit activations (SmolLM2-135M 2.9e-3, with fine inputs 1.3e-3).
constexpr int64_t kFineBelow = 768;
// So coarse weights leave them less margin: SmolLM2-135M in Q2_K 2.7e-3, with fine inputs of gate and up 1.4e-3.
constexpr int kCoarseBits = 2;
constexpr int64_t kPartBytes = int64_t{16} << 20;  // of a source, packed at a time

std::string layer_name(const std::string& pattern, int64_t layer) {
  std::string name = pattern;
  const size_t place = name.find("{}");
  if (place != std::string::npos) name.replace(place, 2, std::to_string(layer));
  return name;
}

std::string bias_name(const std::string& weight_name) {
  constexpr std::string_view kSuffix = ".weight";
  return weight_name.substr(0, weight_name.size() - kSuffix.size()) + ".bias";
}

StatusOr<const io::TensorRecord*> require(const io::Checkpoint& checkpoint, const std::string& name) {
  const io::TensorRecord* record = checkpoint.find(name);
  if (!record) return data_loss("{}: tensor '{}' is missing", checkpoint.path(), name);
  return record;
}

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

}  // namespace

std::vector<uint8_t> PackedEntry::descriptor() const {
  std::vector<uint8_t> out = {static_cast<uint8_t>(family.coding), family.bits, family.group,
                              static_cast<uint8_t>(family.scale), family.zero};
  for (const uint8_t entry : family.table) out.push_back(entry);
  for (int64_t size : {rows, cols}) {
    for (int shift = 0; shift < 64; shift += 8) out.push_back(static_cast<uint8_t>(size >> shift));
  }
  return out;
}

Status DecoderPlan::add_matrix(const io::Checkpoint& checkpoint, const std::string& name, int64_t rows, int64_t cols,
                               int* index) {
  CALLIE_ASSIGN_OR_RETURN(const io::TensorRecord* record, require(checkpoint, name));
  if (record->shape != std::vector<int64_t>{rows, cols}) {
    return data_loss("{}: tensor '{}' has shape {}, the hyper-parameters say [{}, {}]", checkpoint.path(), name,
                     shape_text(record->shape), rows, cols);
  }
  PackedEntry entry;
  entry.name = name;
  entry.rows = rows;
  entry.cols = cols;
  const auto family = tensor::packed_family(record->type);
  const auto bytes = tensor::PackedMatrix::packed_size(record->type, rows, cols);
  for (const Status& status : {family.status(), bytes.status()}) {
    if (!status.ok()) return status.with_context(fmt::format("{}: tensor '{}'", checkpoint.path(), name));
  }
  entry.family = *family;
  entry.bytes = *bytes;
  entry.offset = packed_bytes_;
  packed_bytes_ += (entry.bytes + kAlignment - 1) / kAlignment * kAlignment;
  *index = static_cast<int>(entries_.size());
  entries_.push_back(std::move(entry));
  return ok_status();
}

Status DecoderPlan::add_linear(const io::Checkpoint& checkpoint,
                               std::initializer_list<std::pair<std::string, int64_t>> parts, int64_t cols,
                               LinearPlan* plan) {
  for (const auto& [name, rows] : parts) {
    CALLIE_RETURN_IF_ERROR(add_matrix(checkpoint, name, rows, cols, &plan->entries.emplace_back()));
    const std::string bias = bias_name(name);
    plan->bias_names.push_back(checkpoint.find(bias) ? bias : "");
  }
  return ok_status();
}

StatusOr<DecoderPlan> DecoderPlan::make(const io::Checkpoint& checkpoint) {
  CALLIE_ASSIGN_OR_RETURN(const DecoderArchitecture* architecture, find_decoder_architecture(checkpoint));
  DecoderPlan plan;
  CALLIE_ASSIGN_OR_RETURN(plan.spec_, architecture->read_spec(checkpoint));
  nn::DecoderSpec& spec = plan.spec_;
  const DecoderTensorNames names = architecture->names(checkpoint.kind());

  CALLIE_ASSIGN_OR_RETURN(const io::TensorRecord* embedding, require(checkpoint, names.embedding));
  spec.vocab_size = embedding->rows();
  spec.fine_inputs = spec.hidden_size < kFineBelow && spec.hidden_size % kernels::kUnitColumns == 0;
  const int64_t hidden = spec.hidden_size;
  CALLIE_RETURN_IF_ERROR(plan.add_matrix(checkpoint, names.embedding, spec.vocab_size, hidden, &plan.embedding_));
  if (!names.rope_frequencies.empty() && checkpoint.find(names.rope_frequencies)) {
    CALLIE_ASSIGN_OR_RETURN(spec.ropes[0].freq_factors,
                            plan.read_vector(checkpoint, names.rope_frequencies, spec.ropes[0].rotary_dim / 2, false));
  }
  for (int64_t i = 0; i < static_cast<int64_t>(spec.layers.size()); ++i) {
    LayerPlan& layer = plan.layers_.emplace_back();
    const auto at = [&](const std::string& pattern) { return layer_name(pattern, i); };
    CALLIE_RETURN_IF_ERROR(plan.add_linear(
        checkpoint,
        {{at(names.query), spec.q_size()}, {at(names.key), spec.kv_size()}, {at(names.value), spec.kv_size()}}, hidden,
        &layer.qkv));
    CALLIE_RETURN_IF_ERROR(
        plan.add_linear(checkpoint, {{at(names.attention_output), hidden}}, spec.q_size(), &layer.output));
    CALLIE_RETURN_IF_ERROR(plan.add_linear(
        checkpoint, {{at(names.gate), spec.ffn_size}, {at(names.up), spec.ffn_size}}, hidden, &layer.gate_up));
    CALLIE_RETURN_IF_ERROR(plan.add_linear(checkpoint, {{at(names.down), hidden}}, spec.ffn_size, &layer.down));
    layer.attention_norm = at(names.attention_norm);
    layer.ffn_norm = at(names.ffn_norm);
    if (spec.qk_norm) {
      layer.query_norm = at(names.query_norm);
      layer.key_norm = at(names.key_norm);
    }
    if (spec.post_norms) {
      layer.post_attention_norm = at(names.post_attention_norm);
      layer.post_ffn_norm = at(names.post_ffn_norm);
    }
  }
  plan.output_norm_ = names.output_norm;
  // A file without a head of its own ties it to the embedding table.
  if (spec.tied_head || !checkpoint.find(names.head)) {
    spec.tied_head = true;
    plan.head_ = {{plan.embedding_}, {""}};
  } else {
    CALLIE_RETURN_IF_ERROR(plan.add_linear(checkpoint, {{names.head, spec.vocab_size}}, hidden, &plan.head_));
  }
  return plan;
}

Status DecoderPlan::pack(const io::Checkpoint& checkpoint, std::span<uint8_t> memory, const Context& context,
                         const std::function<void(int64_t)>& on_bytes) const {
  for (const PackedEntry& entry : entries_) {
    CALLIE_ASSIGN_OR_RETURN(const io::TensorRecord* record, require(checkpoint, entry.name));
    CALLIE_ASSIGN_OR_RETURN(const int64_t panel_bytes,
                            tensor::PackedMatrix::packed_size(record->type, kernels::kPanelRows, entry.cols));
    const int64_t row_bytes = static_cast<int64_t>(record->data.size()) / entry.rows;
    // In parts, each let go of when it is packed: the source of a large table never lies in memory as a whole.
    const int64_t part_rows =
        std::max<int64_t>(kPartBytes / std::max<int64_t>(row_bytes, 1) / kernels::kPanelRows, 1) * kernels::kPanelRows;
    for (int64_t row = 0; row < entry.rows; row += part_rows) {
      if (interrupted()) return Status(StatusCode::kCancelled, "");
      const int64_t n = std::min(part_rows, entry.rows - row);
      io::TensorRecord part = *record;
      part.data = record->data.subspan(row * row_bytes, n * row_bytes);
      const int64_t offset = row / kernels::kPanelRows * panel_bytes;
      const Status status = tensor::PackedMatrix::pack(part.type, part.data, n, entry.cols, context,
                                                       memory.subspan(entry.offset + offset, entry.bytes - offset))
                                .status();
      if (!status.ok()) return status.with_context(fmt::format("{}: tensor '{}'", checkpoint.path(), entry.name));
      checkpoint.release(part);
      if (on_bytes) on_bytes(entry.offset + offset);
    }
  }
  return ok_status();
}

StatusOr<std::vector<float>> DecoderPlan::read_vector(const io::Checkpoint& checkpoint, const std::string& name,
                                                      int64_t size, bool is_norm) const {
  CALLIE_ASSIGN_OR_RETURN(const io::TensorRecord* record, require(checkpoint, name));
  if (record->shape != std::vector<int64_t>{size}) {
    return data_loss("{}: tensor '{}' has shape {}, the hyper-parameters say [{}]", checkpoint.path(), name,
                     shape_text(record->shape), size);
  }
  std::vector<float> values(size);
  const Status status = tensor::decode(record->type, record->data, size, values.data());
  if (!status.ok()) return status.with_context(fmt::format("{}: tensor '{}'", checkpoint.path(), name));
  if (is_norm && spec_.norm_plus_one) {
    for (float& value : values) value += 1;
  }
  return values;
}

StatusOr<tensor::PackedMatrix> DecoderPlan::bind_matrix(int index, const PackedMemory& memory) const {
  const PackedEntry& entry = entries_[index];
  return tensor::PackedMatrix::over(entry.family, entry.rows, entry.cols, memory(entry));
}

StatusOr<nn::Linear> DecoderPlan::bind_linear(const io::Checkpoint& checkpoint, const LinearPlan& plan,
                                              const PackedMemory& memory) const {
  nn::Linear linear;
  const bool has_bias = std::any_of(plan.bias_names.begin(), plan.bias_names.end(),
                                    [](const std::string& name) { return !name.empty(); });
  for (size_t i = 0; i < plan.entries.size(); ++i) {
    CALLIE_ASSIGN_OR_RETURN(linear.parts.emplace_back(), bind_matrix(plan.entries[i], memory));
    if (!has_bias) continue;
    const int64_t rows = entries_[plan.entries[i]].rows;
    std::vector<float> bias(rows, 0.0f);
    if (!plan.bias_names[i].empty()) {
      CALLIE_ASSIGN_OR_RETURN(bias, read_vector(checkpoint, plan.bias_names[i], rows, false));
    }
    linear.bias.insert(linear.bias.end(), bias.begin(), bias.end());
  }
  return linear;
}

StatusOr<nn::DecoderWeights> DecoderPlan::bind(const io::Checkpoint& checkpoint,
                                               const PackedMemory& memory) const {
  nn::DecoderWeights weights;
  CALLIE_ASSIGN_OR_RETURN(weights.embedding, bind_matrix(embedding_, memory));
  CALLIE_ASSIGN_OR_RETURN(weights.head, bind_linear(checkpoint, head_, memory));
  weights.head.fine = spec_.fine_inputs;
  CALLIE_ASSIGN_OR_RETURN(weights.output_norm, read_vector(checkpoint, output_norm_, spec_.hidden_size, true));
  for (const LayerPlan& plan : layers_) {
    nn::DecoderLayer& layer = weights.layers.emplace_back();
    CALLIE_ASSIGN_OR_RETURN(layer.qkv, bind_linear(checkpoint, plan.qkv, memory));
    layer.qkv.fine = spec_.fine_inputs;
    CALLIE_ASSIGN_OR_RETURN(layer.output, bind_linear(checkpoint, plan.output, memory));
    CALLIE_ASSIGN_OR_RETURN(layer.gate_up, bind_linear(checkpoint, plan.gate_up, memory));
    CALLIE_ASSIGN_OR_RETURN(layer.down, bind_linear(checkpoint, plan.down, memory));
    layer.gate_up.fine = spec_.fine_inputs && layer.down.parts.front().view().family.bits == kCoarseBits;
    const struct {
      const std::string* name;
      int64_t size;
      std::vector<float>* out;
    } norms[] = {{&plan.attention_norm, spec_.hidden_size, &layer.attention_norm},
                 {&plan.ffn_norm, spec_.hidden_size, &layer.ffn_norm},
                 {&plan.query_norm, spec_.head_dim, &layer.query_norm},
                 {&plan.key_norm, spec_.head_dim, &layer.key_norm},
                 {&plan.post_attention_norm, spec_.hidden_size, &layer.post_attention_norm},
                 {&plan.post_ffn_norm, spec_.hidden_size, &layer.post_ffn_norm}};
    for (const auto& norm : norms) {
      if (norm.name->empty()) continue;
      CALLIE_ASSIGN_OR_RETURN(*norm.out, read_vector(checkpoint, *norm.name, norm.size, true));
    }
  }
  return weights;
}

}  // namespace callie::models
