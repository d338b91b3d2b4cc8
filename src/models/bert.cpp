#include "models/bert.h"

#include "models/architecture.h"
#include "models/hyper_parameters.h"
#include "tensor/formats/codec.h"

namespace callie::models {
namespace {

// Names of the tensors without ".weight" and ".bias"; "{}" stands for the layer.
struct BertNames {
  std::string prefix;  // some Hugging Face files put "bert." before every name
  std::string embedding, positions, token_types, embedding_norm;
  std::string query, key, value, output, attention_norm, up, down, ffn_norm;
};

BertNames bert_names(const io::Checkpoint& checkpoint) {
  if (checkpoint.kind() == io::CheckpointKind::kGguf) {
    return {"",           "token_embd",    "position_embd",     "token_types",          "token_embd_norm",
            "blk.{}.attn_q", "blk.{}.attn_k", "blk.{}.attn_v", "blk.{}.attn_output", "blk.{}.attn_output_norm",
            "blk.{}.ffn_up", "blk.{}.ffn_down", "blk.{}.layer_output_norm"};
  }
  const std::string prefix = checkpoint.find("bert.embeddings.word_embeddings.weight") ? "bert." : "";
  const std::string layer = "encoder.layer.{}.";
  return {prefix,
          "embeddings.word_embeddings",
          "embeddings.position_embeddings",
          "embeddings.token_type_embeddings",
          "embeddings.LayerNorm",
          layer + "attention.self.query",
          layer + "attention.self.key",
          layer + "attention.self.value",
          layer + "attention.output.dense",
          layer + "attention.output.LayerNorm",
          layer + "intermediate.dense",
          layer + "output.dense",
          layer + "output.LayerNorm"};
}

class Loader {
 public:
  Loader(const io::Checkpoint& checkpoint, const Context& context)
      : checkpoint_(checkpoint), context_(context), names_(bert_names(checkpoint)) {}

  StatusOr<nn::EncoderSpec> read_spec() const {
    const bool gguf = checkpoint_.kind() == io::CheckpointKind::kGguf;
    nn::EncoderSpec spec;
    CALLIE_ASSIGN_OR_RETURN(spec.hidden_size, checkpoint_.get_int(gguf ? "bert.embedding_length" : "hidden_size"));
    CALLIE_ASSIGN_OR_RETURN(spec.ffn_size, checkpoint_.get_int(gguf ? "bert.feed_forward_length" : "intermediate_size"));
    CALLIE_ASSIGN_OR_RETURN(spec.n_heads, checkpoint_.get_int(gguf ? "bert.attention.head_count" : "num_attention_heads"));
    CALLIE_ASSIGN_OR_RETURN(spec.context, checkpoint_.get_int(gguf ? "bert.context_length" : "max_position_embeddings"));
    CALLIE_ASSIGN_OR_RETURN(const double eps,
                            float_or(checkpoint_, gguf ? "bert.attention.layer_norm_epsilon" : "layer_norm_eps", 1e-12));
    spec.norm_eps = static_cast<float>(eps);
    const int64_t largest = int64_t{1} << 20;
    for (int64_t size : {spec.hidden_size, spec.ffn_size, spec.n_heads, spec.context}) {
      if (size < 1 || size > largest) return data_loss("{}: a size of {} is not in 1..{}", checkpoint_.path(), size, largest);
    }
    if (spec.hidden_size % spec.n_heads != 0) {
      return data_loss("{}: hidden size {} is not a multiple of {} heads", checkpoint_.path(), spec.hidden_size, spec.n_heads);
    }
    CALLIE_ASSIGN_OR_RETURN(const io::TensorRecord* embedding, find(names_.embedding + ".weight", {-1, spec.hidden_size}));
    spec.vocab_size = embedding->rows();
    return spec;
  }

  StatusOr<nn::EncoderWeights> read_weights(const nn::EncoderSpec& spec) const {
    const int64_t hidden = spec.hidden_size;
    nn::EncoderWeights weights;
    CALLIE_ASSIGN_OR_RETURN(weights.embedding, matrix(names_.embedding, spec.vocab_size, hidden));
    CALLIE_ASSIGN_OR_RETURN(weights.positions, values(names_.positions + ".weight", {-1, hidden}));
    if (static_cast<int64_t>(weights.positions.size()) < spec.context * hidden) {
      return data_loss("{}: tensor '{}.weight' has fewer rows than the context of {}", checkpoint_.path(),
                       names_.positions, spec.context);
    }
    CALLIE_ASSIGN_OR_RETURN(weights.token_type, values(names_.token_types + ".weight", {-1, hidden}));
    weights.token_type.resize(hidden);
    CALLIE_ASSIGN_OR_RETURN(weights.embedding_norm, norm(names_.embedding_norm, hidden));
    CALLIE_ASSIGN_OR_RETURN(const int64_t n_layers,
                            checkpoint_.get_int(checkpoint_.kind() == io::CheckpointKind::kGguf ? "bert.block_count"
                                                                                               : "num_hidden_layers"));
    if (n_layers < 1 || n_layers > 4096) return data_loss("{}: {} layers", checkpoint_.path(), n_layers);
    for (int64_t i = 0; i < n_layers; ++i) {
      nn::EncoderLayer& layer = weights.layers.emplace_back();
      const auto at = [&](std::string name) { return name.replace(name.find("{}"), 2, std::to_string(i)); };
      for (const std::string& name : {names_.query, names_.key, names_.value}) {
        CALLIE_RETURN_IF_ERROR(add(at(name), hidden, hidden, &layer.qkv));
      }
      CALLIE_RETURN_IF_ERROR(add(at(names_.output), hidden, hidden, &layer.output));
      CALLIE_RETURN_IF_ERROR(add(at(names_.up), spec.ffn_size, hidden, &layer.up));
      CALLIE_RETURN_IF_ERROR(add(at(names_.down), hidden, spec.ffn_size, &layer.down));
      CALLIE_ASSIGN_OR_RETURN(layer.attention_norm, norm(at(names_.attention_norm), hidden));
      CALLIE_ASSIGN_OR_RETURN(layer.ffn_norm, norm(at(names_.ffn_norm), hidden));
    }
    return weights;
  }

 private:
  // A dimension of -1 may have any size.
  StatusOr<const io::TensorRecord*> find(const std::string& name, std::vector<int64_t> shape) const {
    const io::TensorRecord* record = checkpoint_.find(names_.prefix + name);
    if (!record) return data_loss("{}: tensor '{}{}' is missing", checkpoint_.path(), names_.prefix, name);
    // A GGUF with one token type stores it as a vector.
    if (record->shape.size() == 1 && shape.size() == 2 && shape[0] == -1) shape.erase(shape.begin());
    bool fits = record->shape.size() == shape.size();
    for (size_t i = 0; fits && i < shape.size(); ++i) fits = shape[i] == -1 || shape[i] == record->shape[i];
    if (!fits) return data_loss("{}: tensor '{}' does not have the shape that the hyper-parameters say", checkpoint_.path(), name);
    return record;
  }

  StatusOr<std::vector<float>> values(const std::string& name, std::vector<int64_t> shape) const {
    CALLIE_ASSIGN_OR_RETURN(const io::TensorRecord* record, find(name, std::move(shape)));
    int64_t n = 1;
    for (int64_t size : record->shape) n *= size;
    std::vector<float> out(n);
    const Status status = tensor::decode(record->type, record->data, n, out.data());
    if (!status.ok()) return status.with_context(fmt::format("{}: tensor '{}'", checkpoint_.path(), name));
    return out;
  }

  StatusOr<tensor::PackedMatrix> matrix(const std::string& name, int64_t rows, int64_t cols) const {
    CALLIE_ASSIGN_OR_RETURN(const io::TensorRecord* record, find(name + ".weight", {rows, cols}));
    auto packed = tensor::PackedMatrix::pack(record->type, record->data, rows, cols, context_);
    if (!packed.ok()) return packed.status().with_context(fmt::format("{}: tensor '{}.weight'", checkpoint_.path(), name));
    return packed;
  }

  Status add(const std::string& name, int64_t rows, int64_t cols, nn::Linear* linear) const {
    CALLIE_ASSIGN_OR_RETURN(linear->parts.emplace_back(), matrix(name, rows, cols));
    CALLIE_ASSIGN_OR_RETURN(const std::vector<float> bias, values(name + ".bias", {rows}));
    linear->bias.insert(linear->bias.end(), bias.begin(), bias.end());
    return ok_status();
  }

  StatusOr<nn::LayerNorm> norm(const std::string& name, int64_t size) const {
    nn::LayerNorm norm;
    CALLIE_ASSIGN_OR_RETURN(norm.weight, values(name + ".weight", {size}));
    CALLIE_ASSIGN_OR_RETURN(norm.bias, values(name + ".bias", {size}));
    return norm;
  }

  const io::Checkpoint& checkpoint_;
  const Context& context_;
  BertNames names_;
};

}  // namespace

bool is_bert(const io::Checkpoint& checkpoint) {
  const auto name = architecture_name(checkpoint);
  return name.ok() && *name == "bert";
}

StatusOr<std::unique_ptr<nn::Encoder>> load_bert(const io::Checkpoint& checkpoint, const Context& context) {
  const Loader loader(checkpoint, context);
  CALLIE_ASSIGN_OR_RETURN(const nn::EncoderSpec spec, loader.read_spec());
  CALLIE_ASSIGN_OR_RETURN(nn::EncoderWeights weights, loader.read_weights(spec));
  return std::make_unique<nn::Encoder>(spec, std::move(weights));
}

}  // namespace callie::models
