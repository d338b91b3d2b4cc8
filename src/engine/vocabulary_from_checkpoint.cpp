#include "engine/vocabulary_from_checkpoint.h"

#include "core/json.h"

namespace callie {
namespace {

using Kind = Vocabulary::Kind;

constexpr char kPrefix[] = "tokenizer.ggml.";

/// Reads the typed values of one file; a key that is there and has the wrong type is an error.
class Reader {
 public:
  explicit Reader(const io::Checkpoint& file) : file_(file) {}

  bool has(std::string_view name) const { return file_.has(key(name)); }
  Status token(std::string_view name, std::optional<int32_t>& out) const {
    if (!has(name)) return {};
    CALLIE_ASSIGN_OR_RETURN(const int64_t id, file_.get_int(key(name)));
    if (id == 0xffffffff || id == -1) return {};  // both are written for "none"
    if (id < 0 || id > (1 << 24)) return data_loss("{}: {} is out of range", key(name), id);
    out = static_cast<int32_t>(id);
    return {};
  }
  Status flag(std::string_view name, bool& out) const {
    if (!has(name)) return {};
    CALLIE_ASSIGN_OR_RETURN(out, file_.get_bool(key(name)));
    return {};
  }
  static std::string key(std::string_view name) { return kPrefix + std::string(name); }

 private:
  const io::Checkpoint& file_;
};

Status read_kind(const std::string& model, Vocabulary& v) {
  if (model == "gpt2") {
    v.kind = Kind::kByteBpe;
    v.pre = "default";
  } else if (model == "llama") {
    v.kind = Kind::kSentencePieceBpe;
    v.bos = 1;
    v.eos = 2;
    v.unk = 0;
    v.add_bos = v.add_space_prefix = v.escape_blanks = v.byte_fallback = v.fuse_unk = true;
  } else if (model == "t5") {
    v.kind = Kind::kUnigram;
    v.eos = 1;
    v.unk = 2;
    v.add_eos = v.add_space_prefix = v.escape_blanks = true;
  } else if (model == "bert") {
    v.kind = Kind::kWordPiece;
    v.cls = 101;
    v.unk = 100;
    v.sep = 102;
    v.pad = 0;
    v.mask = 103;
    v.add_bos = v.add_eos = v.word_start_marks = true;
    NormalizerStep bert;
    bert.kind = NormalizerStep::Kind::kBert;
    v.normalizer.push_back(bert);
    PreTokenizerStep words;
    words.kind = PreTokenizerStep::Kind::kBert;
    v.pre_tokenizer.push_back(words);
  } else {
    return error(StatusCode::kUnimplemented, "tokenizer.ggml.model: '{}' is not supported", model);
  }
  return {};
}

Status read_ids(const Reader& reader, Vocabulary& v) {
  CALLIE_RETURN_IF_ERROR(reader.token("bos_token_id", v.bos));
  CALLIE_RETURN_IF_ERROR(reader.token("eos_token_id", v.eos));
  CALLIE_RETURN_IF_ERROR(reader.token("eot_token_id", v.eot));
  CALLIE_RETURN_IF_ERROR(reader.token("eom_token_id", v.eom));
  CALLIE_RETURN_IF_ERROR(reader.token("unknown_token_id", v.unk));
  CALLIE_RETURN_IF_ERROR(reader.token("padding_token_id", v.pad));
  CALLIE_RETURN_IF_ERROR(reader.token("seperator_token_id", v.sep));
  CALLIE_RETURN_IF_ERROR(reader.token("cls_token_id", v.cls));
  CALLIE_RETURN_IF_ERROR(reader.token("mask_token_id", v.mask));
  return {};
}

StatusOr<Vocabulary> from_gguf(const io::Checkpoint& file) {
  const Reader reader(file);
  Vocabulary v;
  CALLIE_ASSIGN_OR_RETURN(const std::string model, file.get_string(Reader::key("model")));
  CALLIE_RETURN_IF_ERROR(read_kind(model, v));
  CALLIE_ASSIGN_OR_RETURN(v.tokens, file.get_strings(Reader::key("tokens")));
  if (reader.has("scores")) {
    CALLIE_ASSIGN_OR_RETURN(v.scores, file.get_floats(Reader::key("scores")));
  }
  if (reader.has("token_type")) {
    CALLIE_ASSIGN_OR_RETURN(const std::vector<int64_t> types, file.get_ints(Reader::key("token_type")));
    v.types.reserve(types.size());
    for (int64_t type : types) {
      if (type < 0 || type > 6) return data_loss("tokenizer.ggml.token_type: {} is not a type", type);
      v.types.push_back(type == 0 ? TokenType::kNormal : static_cast<TokenType>(type));
    }
  }
  if (v.kind == Kind::kByteBpe) {
    CALLIE_ASSIGN_OR_RETURN(v.merges, file.get_strings(Reader::key("merges")));
    if (reader.has("pre")) {
      CALLIE_ASSIGN_OR_RETURN(v.pre, file.get_string(Reader::key("pre")));
    }
    v.add_bos = v.pre == "llama-bpe" || v.pre == "llama3" || v.pre == "llama-v3";
  }
  if (v.kind == Kind::kUnigram && reader.has("precompiled_charsmap")) {
    CALLIE_ASSIGN_OR_RETURN(const std::vector<int64_t> bytes, file.get_ints(Reader::key("precompiled_charsmap")));
    NormalizerStep map;
    map.kind = NormalizerStep::Kind::kPrecompiled;
    for (int64_t byte : bytes) map.content += static_cast<char>(byte);
    if (!map.content.empty()) v.normalizer.push_back(std::move(map));
  }
  CALLIE_RETURN_IF_ERROR(read_ids(reader, v));
  CALLIE_RETURN_IF_ERROR(reader.flag("add_bos_token", v.add_bos));
  CALLIE_RETURN_IF_ERROR(reader.flag(v.kind == Kind::kWordPiece ? "add_sep_token" : "add_eos_token", v.add_eos));
  CALLIE_RETURN_IF_ERROR(reader.flag("add_space_prefix", v.add_space_prefix));
  CALLIE_RETURN_IF_ERROR(reader.flag("remove_extra_whitespaces", v.remove_extra_blanks));
  if (v.kind == Kind::kByteBpe) {
    v.add_space_prefix = v.remove_extra_blanks = false;
    // Files name one (SmolLM2: "<|endoftext|>"), but Hugging Face's byte-level models have none: a byte without a token
    // must not end the text.
    v.unk.reset();
  }
  if (file.has("tokenizer.chat_template")) {
    CALLIE_ASSIGN_OR_RETURN(v.chat_template, file.get_string("tokenizer.chat_template"));
  }
  return v;
}

StatusOr<std::string> optional_side_file(const io::Checkpoint& folder, std::string_view name) {
  StatusOr<std::string> text = folder.side_file(name);
  if (!text.ok() && text.status().code() == StatusCode::kNotFound) return std::string();
  return text;
}

/// "eos_token_id" of config.json or generation_config.json: one id or several.
void add_ends(std::string_view text, Vocabulary& v) {
  const Json config = Json::parse(text, nullptr, false);
  if (!config.is_object() || !config.contains("eos_token_id")) return;
  const Json& ends = config["eos_token_id"];
  const auto add = [&](const Json& id) {
    if (id.is_number_integer() && id.get<int64_t>() >= 0 && id.get<int64_t>() < static_cast<int64_t>(v.tokens.size())) {
      v.end_of_generation.push_back(static_cast<int32_t>(id.get<int64_t>()));
    }
  };
  if (ends.is_array()) {
    for (const Json& id : ends) add(id);
  } else {
    add(ends);
  }
}

StatusOr<Vocabulary> from_folder(const io::Checkpoint& folder) {
  CALLIE_ASSIGN_OR_RETURN(const std::string json, folder.side_file("tokenizer.json"));
  CALLIE_ASSIGN_OR_RETURN(const std::string config, optional_side_file(folder, "tokenizer_config.json"));
  CALLIE_ASSIGN_OR_RETURN(Vocabulary v, parse_tokenizer_json(json, config));
  CALLIE_ASSIGN_OR_RETURN(std::string chat, optional_side_file(folder, "chat_template.jinja"));
  if (!chat.empty()) v.chat_template = std::move(chat);
  for (const char* name : {"config.json", "generation_config.json"}) {
    CALLIE_ASSIGN_OR_RETURN(const std::string text, optional_side_file(folder, name));
    if (!text.empty()) add_ends(text, v);
  }
  return v;
}

}  // namespace

StatusOr<Vocabulary> vocabulary_from_checkpoint(const io::Checkpoint& checkpoint) {
  StatusOr<Vocabulary> v =
      checkpoint.kind() == io::CheckpointKind::kGguf ? from_gguf(checkpoint) : from_folder(checkpoint);
  if (!v.ok()) return v.status().with_context(checkpoint.path());
  return v;
}

StatusOr<std::unique_ptr<Tokenizer>> tokenizer_from_checkpoint(const io::Checkpoint& checkpoint) {
  CALLIE_ASSIGN_OR_RETURN(Vocabulary v, vocabulary_from_checkpoint(checkpoint));
  StatusOr<std::unique_ptr<Tokenizer>> tokenizer = Tokenizer::create(std::move(v));
  if (!tokenizer.ok()) return tokenizer.status().with_context(checkpoint.path());
  return tokenizer;
}

}  // namespace callie
