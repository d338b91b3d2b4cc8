#include <algorithm>
#include <cmath>

#include "core/atomic_file.h"
#include "core/json.h"
#include "plan/model/shape.h"

namespace callie::plan {
namespace {

class Reader {
 public:
  Reader(const Json& json, std::string path) : json_(json), path_(std::move(path)) {}

  /// The first of `names` that is present and not null; `fallback` when none is.
  StatusOr<int64_t> integer(std::initializer_list<const char*> names, int64_t fallback) const {
    for (const char* name : names) {
      const auto found = json_.find(name);
      if (found == json_.end() || found->is_null()) continue;
      if (!found->is_number_integer() && !(found->is_number() && found->get<double>() == std::floor(found->get<double>()))) {
        return data_loss("{}: {}: not a whole number", path_, name);
      }
      const double value = found->get<double>();
      if (!(value >= 0 && value <= 1e12)) return data_loss("{}: {}: {} is out of range", path_, name, value);
      return static_cast<int64_t>(value);
    }
    return fallback;
  }
  StatusOr<int64_t> required(std::initializer_list<const char*> names) const {
    CALLIE_ASSIGN_OR_RETURN(const int64_t value, integer(names, -1));
    if (value <= 0) return data_loss("{}: {}: missing or zero", path_, *names.begin());
    return value;
  }

 private:
  const Json& json_;
  std::string path_;
};

}  // namespace

StatusOr<ModelShape> model_from_config(const std::string& path) {
  CALLIE_ASSIGN_OR_RETURN(const std::string text, read_text_file(path, 16 << 20));
  Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded() || !json.is_object()) return data_loss("{}: not a JSON object", path);
  if (json.contains("text_config") && json["text_config"].is_object()) json = Json(json["text_config"]);
  const Reader read(json, path);
  ModelShape s;
  s.name = path;
  CALLIE_ASSIGN_OR_RETURN(const int64_t layers, read.required({"num_hidden_layers", "n_layer"}));
  CALLIE_ASSIGN_OR_RETURN(const int64_t hidden, read.required({"hidden_size", "n_embd"}));
  CALLIE_ASSIGN_OR_RETURN(const int64_t heads, read.required({"num_attention_heads", "n_head"}));
  if (layers > 10'000 || hidden > 10'000'000 || heads > 100'000) return data_loss("{}: sizes out of range", path);
  s.layers = static_cast<int>(layers);
  s.hidden = static_cast<int>(hidden);
  s.heads = static_cast<int>(heads);
  CALLIE_ASSIGN_OR_RETURN(s.vocabulary, read.required({"vocab_size"}));
  const auto put = [&](int& field, std::initializer_list<const char*> names, int64_t fallback) -> Status {
    CALLIE_ASSIGN_OR_RETURN(const int64_t value, read.integer(names, fallback));
    field = static_cast<int>(std::min<int64_t>(value, 1'000'000'000));
    return ok_status();
  };
  CALLIE_RETURN_IF_ERROR(put(s.kv_heads, {"num_key_value_heads"}, heads));
  CALLIE_RETURN_IF_ERROR(put(s.head_dim, {"head_dim"}, hidden / heads));
  CALLIE_RETURN_IF_ERROR(put(s.experts, {"num_experts", "num_local_experts", "n_routed_experts"}, 0));
  CALLIE_RETURN_IF_ERROR(put(s.experts_per_token, {"num_experts_per_tok"}, 0));
  CALLIE_RETURN_IF_ERROR(put(s.first_dense_layers, {"first_k_dense_replace"}, 0));
  CALLIE_RETURN_IF_ERROR(put(s.kv_rank, {"kv_lora_rank"}, 0));
  CALLIE_RETURN_IF_ERROR(put(s.q_rank, {"q_lora_rank"}, 0));
  CALLIE_RETURN_IF_ERROR(put(s.rope_dim, {"qk_rope_head_dim"}, 0));
  CALLIE_RETURN_IF_ERROR(put(s.nope_dim, {"qk_nope_head_dim"}, 0));
  CALLIE_RETURN_IF_ERROR(put(s.v_dim, {"v_head_dim"}, 0));
  CALLIE_RETURN_IF_ERROR(put(s.window, {"sliding_window"}, 0));
  CALLIE_ASSIGN_OR_RETURN(s.intermediate, read.integer({"intermediate_size", "n_inner"}, 4 * hidden));
  CALLIE_ASSIGN_OR_RETURN(s.max_context, read.integer({"max_position_embeddings", "n_positions"}, 0));
  if (s.mixture()) {
    CALLIE_ASSIGN_OR_RETURN(s.expert_intermediate, read.integer({"moe_intermediate_size"}, s.intermediate));
    CALLIE_ASSIGN_OR_RETURN(const int64_t shared, read.integer({"n_shared_experts"}, 0));
    CALLIE_ASSIGN_OR_RETURN(s.shared_intermediate,
                            read.integer({"shared_expert_intermediate_size"}, shared * s.expert_intermediate));
  }
  const auto type = json.find("model_type");
  const std::string family = type != json.end() && type->is_string() ? type->get<std::string>() : "";
  if (!family.empty()) s.tied = family.starts_with("gemma");  // files of this family leave it out
  if (const auto tied = json.find("tie_word_embeddings"); tied != json.end() && tied->is_boolean()) {
    s.tied = tied->get<bool>();
  }
  if (const auto use = json.find("use_sliding_window"); use != json.end() && *use == false) s.window = 0;
  if (s.window > 0) {
    // One full layer in so many; the families' own defaults where the file does not say.
    const int64_t usual = family.starts_with("gemma3") ? 6 : family == "cohere2" ? 4 : family == "gemma2" ? 2 : 0;
    CALLIE_ASSIGN_OR_RETURN(const int64_t pattern, read.integer({"sliding_window_pattern"}, usual));
    s.window_share = pattern > 1 ? 1.0 - 1.0 / static_cast<double>(pattern) : 1.0;
    if (const auto types = json.find("layer_types"); types != json.end() && types->is_array() && !types->empty()) {
      const auto sliding = std::count(types->begin(), types->end(), Json("sliding_attention"));
      s.window_share = static_cast<double>(sliding) / static_cast<double>(types->size());
      if (sliding == 0) s.window = 0;
    }
  }
  if (family == "bert" || family == "roberta" || family == "xlm-roberta") {
    s.decoder = false;
    s.gated = false;
  }
  if (family == "bloom" || family == "opt" || family == "gpt2" || family == "phi") s.gated = false;
  Status problem = s.check();
  if (!problem.ok()) return data_loss("{}", problem.message());
  return s;
}

}  // namespace callie::plan
