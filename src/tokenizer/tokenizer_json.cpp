#include <algorithm>
#include <cmath>

#include "core/json.h"
#include "tokenizer/scanners.h"
#include "tokenizer/text.h"
#include "tokenizer/vocabulary.h"

namespace callie {
namespace {

using Kind = Vocabulary::Kind;

constexpr int64_t kMaxTokens = 1 << 24;

const Json kNull;

const Json& member(const Json& object, const char* name) {
  if (!object.is_object()) return kNull;
  const auto found = object.find(name);
  return found == object.end() ? kNull : *found;
}
std::string text_of(const Json& object, const char* name, std::string fallback = "") {
  const Json& value = member(object, name);
  return value.is_string() ? value.get<std::string>() : fallback;
}
bool flag_of(const Json& object, const char* name, bool fallback) {
  const Json& value = member(object, name);
  return value.is_boolean() ? value.get<bool>() : fallback;
}

Status unsupported(const char* field, const std::string& type) {
  return error(StatusCode::kUnimplemented, "tokenizer.json: {}.type: '{}' is not supported", field, type);
}

/// {"String": …} or {"Regex": …}.
Status read_pattern(const Json& step, const char* field, std::string& pattern, bool& is_regex) {
  const Json& value = member(step, "pattern");
  is_regex = member(value, "Regex").is_string();
  pattern = text_of(value, is_regex ? "Regex" : "String");
  if (!is_regex && !member(value, "String").is_string()) return data_loss("tokenizer.json: {}.pattern: missing", field);
  return {};
}

Status read_normalizer(const Json& step, std::vector<NormalizerStep>& out) {
  using Step = NormalizerStep::Kind;
  if (step.is_null()) return {};
  const std::string type = text_of(step, "type");
  NormalizerStep made;
  if (type == "Sequence") {
    const Json& steps = member(step, "normalizers");
    if (!steps.is_array()) return data_loss("tokenizer.json: normalizer.normalizers: not an array");
    for (const Json& inner : steps) CALLIE_RETURN_IF_ERROR(read_normalizer(inner, out));
    return {};
  }
  if (type == "ByteLevel") return {};  // the byte alphabet is undone in the vocabulary instead
  if (type == "NFC") {
    made.kind = Step::kNfc;
  } else if (type == "NFD") {
    made.kind = Step::kNfd;
  } else if (type == "NFKC") {
    made.kind = Step::kNfkc;
  } else if (type == "NFKD") {
    made.kind = Step::kNfkd;
  } else if (type == "Lowercase") {
    made.kind = Step::kLowercase;
  } else if (type == "StripAccents") {
    made.kind = Step::kStripAccents;
  } else if (type == "Nmt") {
    made.kind = Step::kNmt;
  } else if (type == "Strip") {
    made.kind = Step::kStrip;
    made.left = flag_of(step, "strip_left", true);
    made.right = flag_of(step, "strip_right", true);
  } else if (type == "Prepend") {
    made.kind = Step::kPrepend;
    made.content = text_of(step, "prepend");
  } else if (type == "Replace") {
    made.kind = Step::kReplace;
    made.content = text_of(step, "content");
    CALLIE_RETURN_IF_ERROR(read_pattern(step, "normalizer", made.pattern, made.is_regex));
  } else if (type == "BertNormalizer") {
    made.kind = Step::kBert;
    made.clean_text = flag_of(step, "clean_text", true);
    made.chinese_chars = flag_of(step, "handle_chinese_chars", true);
    made.lowercase = flag_of(step, "lowercase", true);
    if (member(step, "strip_accents").is_boolean()) made.strip_accents = flag_of(step, "strip_accents", true);
  } else if (type == "Precompiled") {
    made.kind = Step::kPrecompiled;
    CALLIE_ASSIGN_OR_RETURN(made.content, decode_base64(text_of(step, "precompiled_charsmap")));
  } else {
    return unsupported("normalizer", type);
  }
  out.push_back(std::move(made));
  return {};
}

Status read_behavior(const std::string& name, PreTokenizerStep::Behavior& out) {
  using Behavior = PreTokenizerStep::Behavior;
  if (name == "Removed") {
    out = Behavior::kRemoved;
  } else if (name == "Isolated") {
    out = Behavior::kIsolated;
  } else if (name == "MergedWithPrevious") {
    out = Behavior::kMergedWithPrevious;
  } else if (name == "MergedWithNext") {
    out = Behavior::kMergedWithNext;
  } else if (name == "Contiguous") {
    out = Behavior::kContiguous;
  } else {
    return data_loss("tokenizer.json: pre_tokenizer.behavior: '{}'", name);
  }
  return {};
}

Status read_pre_tokenizer(const Json& step, Vocabulary& v, bool& byte_level) {
  using Step = PreTokenizerStep::Kind;
  if (step.is_null()) return {};
  const std::string type = text_of(step, "type");
  PreTokenizerStep made;
  if (type == "Sequence") {
    const Json& steps = member(step, "pretokenizers");
    if (!steps.is_array()) return data_loss("tokenizer.json: pre_tokenizer.pretokenizers: not an array");
    for (const Json& inner : steps) CALLIE_RETURN_IF_ERROR(read_pre_tokenizer(inner, v, byte_level));
    return {};
  }
  if (type == "ByteLevel") {
    made.kind = Step::kByteLevel;
    made.add_prefix_space = flag_of(step, "add_prefix_space", true);
    if (flag_of(step, "use_regex", true)) made.pattern = patterns::kGpt2;
    byte_level = true;
  } else if (type == "Split") {
    made.kind = Step::kRegex;
    CALLIE_RETURN_IF_ERROR(read_pattern(step, "pre_tokenizer", made.pattern, made.is_regex));
    CALLIE_RETURN_IF_ERROR(read_behavior(text_of(step, "behavior", "Isolated"), made.behavior));
    made.invert = flag_of(step, "invert", false);
  } else if (type == "Digits") {
    made.kind = Step::kDigits;
    made.individual = flag_of(step, "individual_digits", false);
  } else if (type == "Whitespace") {
    made.kind = Step::kWhitespace;
  } else if (type == "WhitespaceSplit") {
    made.kind = Step::kWhitespaceSplit;
  } else if (type == "Punctuation") {
    made.kind = Step::kPunctuation;
    CALLIE_RETURN_IF_ERROR(read_behavior(text_of(step, "behavior", "Isolated"), made.behavior));
  } else if (type == "CharDelimiterSplit") {
    made.kind = Step::kRegex;
    made.is_regex = false;
    made.pattern = text_of(step, "delimiter");
    made.behavior = PreTokenizerStep::Behavior::kRemoved;
  } else if (type == "BertPreTokenizer") {
    made.kind = Step::kBert;
  } else if (type == "Metaspace") {
    made.kind = Step::kMetaspace;
    const std::string replacement = text_of(step, "replacement", std::string(text::kBlankMark));
    if (replacement != text::kBlankMark) return unsupported("pre_tokenizer.replacement", replacement);
    const std::string scheme =
        text_of(step, "prepend_scheme", flag_of(step, "add_prefix_space", true) ? "always" : "never");
    made.prepend = scheme == "never"   ? PreTokenizerStep::Prepend::kNever
                   : scheme == "first" ? PreTokenizerStep::Prepend::kFirst
                                       : PreTokenizerStep::Prepend::kAlways;
    made.split = flag_of(step, "split", true);
  } else {
    return unsupported("pre_tokenizer", type);
  }
  v.pre_tokenizer.push_back(std::move(made));
  return {};
}

Status put_token(Vocabulary& v, int64_t id, std::string token) {
  if (id < 0 || id >= kMaxTokens) return data_loss("tokenizer.json: the id {} of '{}' is out of range", id, token);
  const size_t index = static_cast<size_t>(id);
  if (index >= v.tokens.size()) {
    v.tokens.resize(index + 1);
    v.types.resize(index + 1, TokenType::kUnused);
  }
  v.tokens[index] = std::move(token);
  v.types[index] = TokenType::kNormal;
  return {};
}

Status read_vocabulary_map(const Json& vocab, Vocabulary& v) {
  if (!vocab.is_object()) return data_loss("tokenizer.json: model.vocab: not an object");
  const int64_t limit = static_cast<int64_t>(vocab.size()) * 4 + 65536;  // ids may have gaps, not deserts
  for (const auto& [token, id] : vocab.items()) {
    if (!id.is_number_integer()) return data_loss("tokenizer.json: model.vocab: the id of '{}' is not an integer", token);
    const int64_t value = id.get<int64_t>();
    if (value > limit) return data_loss("tokenizer.json: model.vocab: the id {} of '{}' is too large", value, token);
    CALLIE_RETURN_IF_ERROR(put_token(v, value, token));
  }
  return {};
}

int32_t find_token(const Vocabulary& v, const std::string& token) {
  const auto found = std::find(v.tokens.begin(), v.tokens.end(), token);
  return found == v.tokens.end() ? -1 : static_cast<int32_t>(found - v.tokens.begin());
}
void set_token(const Vocabulary& v, const std::string& token, std::optional<int32_t>& out) {
  if (token.empty()) return;
  const int32_t id = find_token(v, token);
  if (id >= 0) out = id;
}

Status read_bpe(const Json& model, Vocabulary& v) {
  CALLIE_RETURN_IF_ERROR(read_vocabulary_map(member(model, "vocab"), v));
  for (const char* affix : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    if (!text_of(model, affix).empty()) {
      return error(StatusCode::kUnimplemented, "tokenizer.json: model.{} is not supported", affix);
    }
  }
  const Json& merges = member(model, "merges");
  if (!merges.is_array()) return data_loss("tokenizer.json: model.merges: not an array");
  v.merges.reserve(merges.size());
  for (const Json& merge : merges) {
    if (merge.is_string()) {
      v.merges.push_back(merge.get<std::string>());
    } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
      const auto &left = merge[0].get_ref<const std::string&>(), &right = merge[1].get_ref<const std::string&>();
      if (left.find(' ') != std::string::npos || right.find(' ') != std::string::npos) {
        return error(StatusCode::kUnimplemented, "tokenizer.json: model.merges[{}]: a token with a blank",
                     v.merges.size());
      }
      std::string& joined = v.merges.emplace_back(left);
      joined += ' ';
      joined += right;
    } else {
      return data_loss("tokenizer.json: model.merges[{}]: not a pair", v.merges.size());
    }
  }
  v.byte_fallback = flag_of(model, "byte_fallback", false);
  v.fuse_unk = flag_of(model, "fuse_unk", false);
  v.ignore_merges = flag_of(model, "ignore_merges", false);
  set_token(v, text_of(model, "unk_token"), v.unk);
  return {};
}

Status read_unigram(const Json& model, Vocabulary& v) {
  const Json& vocab = member(model, "vocab");
  if (!vocab.is_array()) return data_loss("tokenizer.json: model.vocab: not an array");
  for (const Json& entry : vocab) {
    if (!entry.is_array() || entry.size() != 2 || !entry[0].is_string() || !entry[1].is_number()) {
      return data_loss("tokenizer.json: model.vocab[{}]: not [token, score]", v.tokens.size());
    }
    v.scores.push_back(static_cast<float>(entry[1].get<double>()));
    CALLIE_RETURN_IF_ERROR(put_token(v, static_cast<int64_t>(v.tokens.size()), entry[0].get<std::string>()));
  }
  const Json& unk = member(model, "unk_id");
  if (unk.is_number_integer()) {
    if (unk.get<int64_t>() < 0 || unk.get<int64_t>() >= static_cast<int64_t>(v.tokens.size())) {
      return data_loss("tokenizer.json: model.unk_id: out of range");
    }
    v.unk = static_cast<int32_t>(unk.get<int64_t>());
  }
  v.byte_fallback = flag_of(model, "byte_fallback", false);
  return {};
}

Status read_word_piece(const Json& model, Vocabulary& v) {
  CALLIE_RETURN_IF_ERROR(read_vocabulary_map(member(model, "vocab"), v));
  v.continuing_prefix = text_of(model, "continuing_subword_prefix", "##");
  const Json& longest = member(model, "max_input_chars_per_word");
  if (longest.is_number_integer()) v.max_word_chars = static_cast<int>(std::clamp<int64_t>(longest.get<int64_t>(), 1, 1 << 20));
  set_token(v, text_of(model, "unk_token", "[UNK]"), v.unk);
  return {};
}

Status read_added(const Json& added, Vocabulary& v) {
  if (added.is_null()) return {};
  if (!added.is_array()) return data_loss("tokenizer.json: added_tokens: not an array");
  const int64_t limit = static_cast<int64_t>(v.tokens.size() + added.size()) * 2 + 65536;
  for (const Json& entry : added) {
    const Json& id = member(entry, "id");
    const std::string content = text_of(entry, "content");
    if (!id.is_number_integer() || content.empty()) return data_loss("tokenizer.json: added_tokens: no id or no content");
    if (id.get<int64_t>() > limit) return data_loss("tokenizer.json: added_tokens: the id of '{}' is too large", content);
    CALLIE_RETURN_IF_ERROR(put_token(v, id.get<int64_t>(), content));
    AddedToken token;
    token.id = static_cast<int32_t>(id.get<int64_t>());
    token.single_word = flag_of(entry, "single_word", false);
    token.lstrip = flag_of(entry, "lstrip", false);
    token.rstrip = flag_of(entry, "rstrip", false);
    token.normalized = flag_of(entry, "normalized", false);
    v.types[static_cast<size_t>(token.id)] =
        flag_of(entry, "special", false) ? TokenType::kControl : TokenType::kUserDefined;
    v.added.push_back(token);
  }
  return {};
}

void read_post_processor(const Json& step, Vocabulary& v) {
  const std::string type = text_of(step, "type");
  const auto put = [&](bool first, const std::string& token) {
    const int32_t id = find_token(v, token);
    if (id < 0) return;
    const bool bert = v.kind == Kind::kWordPiece;
    (first ? (bert ? v.cls : v.bos) : (bert ? v.sep : v.eos)) = id;
    (first ? v.add_bos : v.add_eos) = true;
  };
  if (type == "Sequence") {
    const Json& steps = member(step, "processors");
    if (steps.is_array()) {
      for (const Json& inner : steps) read_post_processor(inner, v);
    }
  } else if (type == "TemplateProcessing") {
    const Json& single = member(step, "single");
    bool before = true;
    if (!single.is_array()) return;
    for (const Json& part : single) {
      if (!member(part, "Sequence").is_null()) before = false;
      const Json& special = member(part, "SpecialToken");
      if (!special.is_null()) put(before, text_of(special, "id"));
    }
  } else if (type == "BertProcessing" || type == "RobertaProcessing") {
    for (const char* name : {"cls", "sep"}) {
      const Json& pair = member(step, name);
      if (pair.is_array() && !pair.empty() && pair[0].is_string()) {
        put(std::string_view(name) == "cls", pair[0].get<std::string>());
      }
    }
  }
}

std::string token_text(const Json& config, const char* name) {
  const Json& value = member(config, name);
  return value.is_object() ? text_of(value, "content") : text_of(config, name);
}

Status read_config(std::string_view text, bool has_template, Vocabulary& v) {
  if (text.empty()) return {};
  const Json config = Json::parse(text, nullptr, false);
  if (!config.is_object()) return data_loss("tokenizer_config.json: not a JSON object");
  set_token(v, token_text(config, "bos_token"), v.bos);
  set_token(v, token_text(config, "pad_token"), v.pad);
  set_token(v, token_text(config, "unk_token"), v.unk);
  set_token(v, token_text(config, "cls_token"), v.cls);
  set_token(v, token_text(config, "sep_token"), v.sep);
  set_token(v, token_text(config, "mask_token"), v.mask);
  std::optional<int32_t> eos;
  set_token(v, token_text(config, "eos_token"), eos);
  if (eos && !(v.add_eos && v.eos)) v.eos = eos;
  if (eos) v.end_of_generation.push_back(*eos);
  if (!has_template) {
    v.add_bos = flag_of(config, "add_bos_token", v.add_bos);
    v.add_eos = flag_of(config, "add_eos_token", v.add_eos);
  }
  const Json& chat = member(config, "chat_template");
  if (chat.is_string()) v.chat_template = chat.get<std::string>();
  if (chat.is_array()) {
    for (const Json& named : chat) {
      if (v.chat_template.empty() || text_of(named, "name") == "default") v.chat_template = text_of(named, "template");
    }
  }
  return {};
}

}  // namespace

StatusOr<std::string> decode_base64(std::string_view text) {
  std::string out;
  uint32_t bits = 0;
  int count = 0;
  for (char c : text) {
    const int value = c >= 'A' && c <= 'Z'   ? c - 'A'
                      : c >= 'a' && c <= 'z' ? c - 'a' + 26
                      : c >= '0' && c <= '9' ? c - '0' + 52
                      : c == '+'             ? 62
                      : c == '/'             ? 63
                                             : -1;
    if (c == '=') break;
    if (value < 0) return data_loss("base64: character {} is not of the alphabet", static_cast<int>(c));
    bits = bits << 6 | static_cast<uint32_t>(value);
    if (++count % 4 != 1) out += static_cast<char>(bits >> (2 * (3 - (count - 1) % 4)));
  }
  return out;
}

StatusOr<Vocabulary> parse_tokenizer_json(std::string_view text, std::string_view tokenizer_config_json) {
  const Json json = Json::parse(text, nullptr, false);
  if (!json.is_object()) return data_loss("tokenizer.json: not a JSON object");
  const Json& model = member(json, "model");
  if (!model.is_object()) return data_loss("tokenizer.json: model: missing");
  Vocabulary v;
  bool byte_level = text_of(member(json, "decoder"), "type") == "ByteLevel";
  CALLIE_RETURN_IF_ERROR(read_normalizer(member(json, "normalizer"), v.normalizer));
  CALLIE_RETURN_IF_ERROR(read_pre_tokenizer(member(json, "pre_tokenizer"), v, byte_level));
  std::string type = text_of(model, "type");
  if (type.empty()) {  // old files do not name it
    type = !member(model, "merges").is_null() ? "BPE" : member(model, "vocab").is_array() ? "Unigram" : "WordPiece";
  }
  if (type == "BPE") {
    v.kind = byte_level ? Kind::kByteBpe : Kind::kSentencePieceBpe;
    CALLIE_RETURN_IF_ERROR(read_bpe(model, v));
  } else if (type == "Unigram") {
    v.kind = Kind::kUnigram;
    CALLIE_RETURN_IF_ERROR(read_unigram(model, v));
  } else if (type == "WordPiece") {
    v.kind = Kind::kWordPiece;
    CALLIE_RETURN_IF_ERROR(read_word_piece(model, v));
  } else {
    return unsupported("model", type);
  }
  CALLIE_RETURN_IF_ERROR(read_added(member(json, "added_tokens"), v));
  if (!v.scores.empty()) v.scores.resize(v.tokens.size());
  if (v.byte_fallback) {
    for (size_t i = 0; i < v.tokens.size(); ++i) {
      const std::string& token = v.tokens[i];
      if (v.types[i] == TokenType::kNormal && token.size() == 6 && token.starts_with("<0x") && token.back() == '>') {
        v.types[i] = TokenType::kByte;
      }
    }
  }
  const Json& post = member(json, "post_processor");
  read_post_processor(post, v);
  CALLIE_RETURN_IF_ERROR(read_config(tokenizer_config_json, v.add_bos || v.add_eos, v));
  return v;
}

}  // namespace callie
