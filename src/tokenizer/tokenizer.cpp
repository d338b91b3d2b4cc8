#include "tokenizer/tokenizer.h"

#include <algorithm>
#include <deque>

#include "core/hash.h"
#include "tokenizer/added_tokens.h"
#include "tokenizer/byte_alphabet.h"
#include "tokenizer/model.h"
#include "tokenizer/normalizer.h"
#include "tokenizer/pre_tokenizer.h"
#include "tokenizer/text.h"
#include "tokenizer/vocabulary_hash.h"

namespace callie {
namespace {

using Kind = Vocabulary::Kind;

/// Control tokens of these names end a generation, whatever a file says of its EOS: the ends of text, of turns and of
/// messages of the known families.
constexpr std::string_view kEndNames[] = {
    "</s>",        "<|endoftext|>",   "<|end_of_text|>", "<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|end|>",
    "<end_of_turn>", "<|end_of_turn|>", "<turn|>",       "<EOT>",      "[EOT]",      "<|return|>", "<|call|>",
    "<end_of_utterance>", "<｜end▁of▁sentence｜>", "<|eos|>", "<eos>", "<|END_OF_TURN_TOKEN|>", "<|endofturn|>"};

/// The value of "<0xNN>", or -1.
int byte_token_value(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return -1;
  int value = 0;
  for (char c : token.substr(3, 2)) {
    const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    if (digit < 0) return -1;
    value = value * 16 + digit;
  }
  return value;
}

Status check_id(const std::optional<int32_t>& id, const char* name, size_t tokens) {
  if (id && (*id < 0 || static_cast<size_t>(*id) >= tokens)) {
    return data_loss("tokenizer.{}_token_id: {} of {} tokens", name, *id, tokens);
  }
  return {};
}

Status check(const Vocabulary& v) {
  const size_t count = v.tokens.size();
  if (count == 0) return data_loss("tokenizer.tokens: empty");
  if (count > (1u << 24)) return data_loss("tokenizer.tokens: {} tokens", count);
  if (!v.types.empty() && v.types.size() != count) {
    return data_loss("tokenizer.token_type: {} for {} tokens", v.types.size(), count);
  }
  if (!v.scores.empty() && v.scores.size() != count) {
    return data_loss("tokenizer.scores: {} for {} tokens", v.scores.size(), count);
  }
  CALLIE_RETURN_IF_ERROR(check_id(v.bos, "bos", count));
  CALLIE_RETURN_IF_ERROR(check_id(v.eos, "eos", count));
  CALLIE_RETURN_IF_ERROR(check_id(v.eot, "eot", count));
  CALLIE_RETURN_IF_ERROR(check_id(v.eom, "eom", count));
  CALLIE_RETURN_IF_ERROR(check_id(v.unk, "unknown", count));
  CALLIE_RETURN_IF_ERROR(check_id(v.pad, "padding", count));
  CALLIE_RETURN_IF_ERROR(check_id(v.sep, "seperator", count));
  CALLIE_RETURN_IF_ERROR(check_id(v.cls, "cls", count));
  CALLIE_RETURN_IF_ERROR(check_id(v.mask, "mask", count));
  for (const AddedToken& added : v.added) {
    CALLIE_RETURN_IF_ERROR(check_id(added.id, "added", count));
  }
  return {};
}

/// What a GGUF leaves unsaid becomes steps.
Status complete(Vocabulary& v) {
  if (!v.pre.empty() && v.kind == Kind::kByteBpe && v.pre_tokenizer.empty()) {
    CALLIE_ASSIGN_OR_RETURN(PreTokenizerPreset preset, pre_tokenizer_by_name(v.pre));
    v.pre_tokenizer = std::move(preset.steps);
    v.ignore_merges = v.ignore_merges || preset.ignore_merges;
  }
  using Step = NormalizerStep::Kind;
  if (v.remove_extra_blanks) {
    v.normalizer.push_back({.kind = Step::kReplace, .pattern = " {2,}", .content = " ", .is_regex = true});
    v.normalizer.push_back({.kind = Step::kStrip});
  }
  if (v.add_space_prefix) v.normalizer.push_back({.kind = Step::kPrepend, .content = std::string(text::kBlankMark)});
  if (v.escape_blanks) {
    v.normalizer.push_back({.kind = Step::kReplace, .pattern = " ", .content = std::string(text::kBlankMark)});
  }
  return {};
}

bool puts_blank_first(const Vocabulary& v) {
  if (v.kind == Kind::kWordPiece) return true;
  for (const NormalizerStep& step : v.normalizer) {
    if (step.kind == NormalizerStep::Kind::kPrepend && step.content == text::kBlankMark) return true;
  }
  for (const PreTokenizerStep& step : v.pre_tokenizer) {
    if (step.kind == PreTokenizerStep::Kind::kMetaspace && step.prepend != PreTokenizerStep::Prepend::kNever) return true;
    if (step.kind == PreTokenizerStep::Kind::kByteLevel && step.add_prefix_space) return true;
  }
  return false;
}

}  // namespace

struct Tokenizer::Impl {
  Vocabulary vocabulary;
  uint64_t hash = 0;
  std::string match_arena, shown_arena;
  TokenTable table;
  std::vector<std::string_view> shown;  // by id: the bytes it stands for
  std::vector<int32_t> ends;
  AddedTokens raw_added, normalized_added;
  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
  std::unique_ptr<TokenModel> model;
  bool blank_first = false;

  TokenType type(size_t id) const { return vocabulary.types.empty() ? TokenType::kNormal : vocabulary.types[id]; }

  void build_tokens();
  void build_added();
  void build_ends();
  Status encode_text(std::string_view text, bool prepend, bool first, const EncodeOptions& options,
                     TokenModel::Session& session, PreTokenizer::Pieces& pieces, TokenModel::Output& out) const;
};

void Tokenizer::Impl::build_tokens() {
  const std::vector<std::string>& tokens = vocabulary.tokens;
  const size_t count = tokens.size();
  const bool byte_level = vocabulary.kind == Kind::kByteBpe;
  size_t bytes = 0;
  for (const std::string& token : tokens) bytes += token.size() + 1;
  match_arena.reserve(bytes);
  shown_arena.reserve(byte_level ? 0 : bytes);
  std::vector<uint32_t> match_ends(count), shown_ends(count);
  std::fill(std::begin(table.byte_ids), std::end(table.byte_ids), -1);
  for (size_t i = 0; i < count; ++i) {
    const std::string& token = tokens[i];
    const TokenType kind = type(i);
    const bool literal = kind == TokenType::kControl || kind == TokenType::kUserDefined || kind == TokenType::kUnknown;
    if (byte_level) {
      const size_t before = match_arena.size();
      if (literal || !decode_byte_alphabet(token, match_arena)) match_arena += token;
      if (!literal && match_arena.size() == before + 1) {
        int32_t& id = table.byte_ids[static_cast<uint8_t>(match_arena.back())];
        if (id < 0) id = static_cast<int32_t>(i);
      }
    } else {
      match_arena += token;
      const int value = byte_token_value(token);
      if (value >= 0 && (kind == TokenType::kByte || (kind == TokenType::kNormal && vocabulary.byte_fallback))) {
        if (table.byte_ids[value] < 0) table.byte_ids[value] = static_cast<int32_t>(i);
        shown_arena += static_cast<char>(value);
      } else if (vocabulary.kind == Kind::kWordPiece) {
        std::string_view text = token;
        bool begins = true;
        if (vocabulary.word_start_marks) {
          begins = text.starts_with(text::kBlankMark);
          if (begins) text.remove_prefix(text::kBlankMark.size());
        } else if (text.starts_with(vocabulary.continuing_prefix)) {
          begins = false;
          text.remove_prefix(vocabulary.continuing_prefix.size());
        }
        if (begins && !literal) shown_arena += ' ';
        shown_arena += text;
      } else {
        size_t at = 0;
        for (size_t found; (found = token.find(text::kBlankMark, at)) != std::string::npos;) {
          shown_arena.append(token, at, found - at);
          shown_arena += ' ';
          at = found + text::kBlankMark.size();
        }
        shown_arena.append(token, at);
      }
    }
    match_ends[i] = static_cast<uint32_t>(match_arena.size());
    shown_ends[i] = static_cast<uint32_t>(shown_arena.size());
  }
  table.bytes.resize(count);
  table.by_bytes.reserve(count);
  const auto cut = [](const std::string& arena, const std::vector<uint32_t>& ends, size_t i) {
    const uint32_t begin = i == 0 ? 0 : ends[i - 1];
    return std::string_view(arena).substr(begin, ends[i] - begin);
  };
  for (size_t i = 0; i < count; ++i) {
    table.bytes[i] = cut(match_arena, match_ends, i);
    const TokenType kind = type(i);
    const bool plain = kind == TokenType::kNormal || kind == TokenType::kUnused ||
                       (kind == TokenType::kUserDefined && !byte_level);
    if (plain && !table.bytes[i].empty()) table.by_bytes.insert(table.bytes[i], static_cast<int32_t>(i));
  }
  if (byte_level) {
    shown = table.bytes;
  } else {
    shown.resize(count);
    for (size_t i = 0; i < count; ++i) shown[i] = cut(shown_arena, shown_ends, i);
  }
}

void Tokenizer::Impl::build_added() {
  std::vector<AddedToken> flags(vocabulary.types.empty() ? 0 : vocabulary.tokens.size());
  std::vector<bool> listed(flags.size());
  for (const AddedToken& added : vocabulary.added) {
    if (static_cast<size_t>(added.id) < flags.size()) {
      flags[static_cast<size_t>(added.id)] = added;
      listed[static_cast<size_t>(added.id)] = true;
    }
  }
  std::vector<AddedTokens::Entry> raw, normalized;
  for (size_t i = 0; i < flags.size(); ++i) {
    const TokenType kind = vocabulary.types[i];
    const bool special = kind == TokenType::kControl || kind == TokenType::kUnknown;
    if (!special && kind != TokenType::kUserDefined && !listed[i]) continue;
    if (vocabulary.tokens[i].empty()) continue;
    AddedTokens::Entry entry{vocabulary.tokens[i], static_cast<int32_t>(i), special, flags[i]};
    if (entry.flags.normalized) {
      StatusOr<std::string> content = normalizer.apply(entry.content);
      if (content.ok()) entry.content = std::move(content).value();
      normalized.push_back(std::move(entry));
    } else {
      raw.push_back(std::move(entry));
    }
  }
  raw_added.build(std::move(raw));
  normalized_added.build(std::move(normalized));
}

void Tokenizer::Impl::build_ends() {
  for (const auto& id : {vocabulary.eos, vocabulary.eot, vocabulary.eom}) {
    if (id) ends.push_back(*id);
  }
  for (int32_t id : vocabulary.end_of_generation) {
    if (id >= 0 && static_cast<size_t>(id) < vocabulary.tokens.size()) ends.push_back(id);
  }
  for (size_t i = 0; i < vocabulary.types.size(); ++i) {
    if (vocabulary.types[i] != TokenType::kControl && vocabulary.types[i] != TokenType::kUserDefined) continue;
    if (std::find(std::begin(kEndNames), std::end(kEndNames), vocabulary.tokens[i]) != std::end(kEndNames)) {
      ends.push_back(static_cast<int32_t>(i));
    }
  }
  std::sort(ends.begin(), ends.end());
  ends.erase(std::unique(ends.begin(), ends.end()), ends.end());
}

StatusOr<std::unique_ptr<Tokenizer>> Tokenizer::create(Vocabulary vocabulary) {
  CALLIE_RETURN_IF_ERROR(check(vocabulary));
  CALLIE_RETURN_IF_ERROR(complete(vocabulary));
  auto impl = std::make_unique<Impl>();
  impl->hash = hash_vocabulary(vocabulary);
  impl->vocabulary = std::move(vocabulary);
  CALLIE_ASSIGN_OR_RETURN(impl->normalizer, Normalizer::create(impl->vocabulary.normalizer));
  CALLIE_ASSIGN_OR_RETURN(impl->pre_tokenizer, PreTokenizer::create(impl->vocabulary.pre_tokenizer));
  impl->build_tokens();
  impl->build_added();
  impl->build_ends();
  impl->blank_first = puts_blank_first(impl->vocabulary);
  switch (impl->vocabulary.kind) {
    case Kind::kByteBpe:
    case Kind::kSentencePieceBpe: {
      CALLIE_ASSIGN_OR_RETURN(impl->model, make_bpe(impl->vocabulary, impl->table));
      break;
    }
    case Kind::kUnigram: {
      CALLIE_ASSIGN_OR_RETURN(impl->model, make_unigram(impl->vocabulary, impl->table));
      break;
    }
    case Kind::kWordPiece: {
      CALLIE_ASSIGN_OR_RETURN(impl->model, make_word_piece(impl->vocabulary, impl->table));
      break;
    }
  }
  std::vector<std::string>().swap(impl->vocabulary.merges);
  std::vector<float>().swap(impl->vocabulary.scores);
  return std::unique_ptr<Tokenizer>(new Tokenizer(std::move(impl)));
}

Tokenizer::Tokenizer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Tokenizer::~Tokenizer() = default;

Status Tokenizer::Impl::encode_text(std::string_view text, bool prepend, bool first, const EncodeOptions& options,
                                    TokenModel::Session& session, PreTokenizer::Pieces& pieces,
                                    TokenModel::Output& out) const {
  std::string normalized;
  std::string_view source = text;
  if (!normalizer.empty()) {
    CALLIE_ASSIGN_OR_RETURN(normalized, normalizer.apply(text, prepend));
    source = normalized;
  }
  std::vector<AddedTokens::Part> parts;
  if (normalized_added.empty()) {
    if (!source.empty()) parts.push_back({source, -1});
  } else {
    normalized_added.split(source, options.parse_special, parts);
  }
  for (size_t i = 0; i < parts.size(); ++i) {
    if (parts[i].id >= 0) {
      out.ids.push_back(parts[i].id);
      continue;
    }
    CALLIE_RETURN_IF_ERROR(pre_tokenizer.split(parts[i].text, first && i == 0, pieces));
    for (std::string_view piece : pieces.views) {
      if (session.encode(piece, out)) continue;
      std::string place;
      if (piece.data() >= text.data() && piece.data() < text.data() + text.size()) {
        place = fmt::format(" at byte {} of this part of the text",
                            static_cast<size_t>(piece.data() - text.data()) + out.missing_at);
      }
      return invalid_argument("the vocabulary has no token for byte {} (0x{:02X}){}", out.missing_byte,
                              out.missing_byte, place);
    }
  }
  return {};
}

StatusOr<std::vector<int32_t>> Tokenizer::encode(std::string_view text, const EncodeOptions& options) const {
  const Vocabulary& v = impl_->vocabulary;
  TokenModel::Output out;
  out.lossy = options.lossy;
  out.ids.reserve(text.size() / 4 + 8);
  if (options.add_special && v.add_bos) {
    const bool cls = v.kind == Kind::kWordPiece && v.cls;
    if (const auto first = cls ? v.cls : v.bos) out.ids.push_back(*first);
  }
  std::vector<AddedTokens::Part> parts;
  if (impl_->raw_added.empty()) {
    if (!text.empty()) parts.push_back({text, -1});
  } else {
    impl_->raw_added.split(text, options.parse_special, parts);
  }
  const std::unique_ptr<TokenModel::Session> session = impl_->model->session();
  PreTokenizer::Pieces pieces;
  for (const AddedTokens::Part& part : parts) {
    if (part.id >= 0) {
      out.ids.push_back(part.id);
      continue;
    }
    const bool at_start = part.text.data() == text.data();
    const Status status = impl_->encode_text(part.text, options.first || !at_start, options.first && at_start, options,
                                             *session, pieces, out);
    CALLIE_RETURN_IF_ERROR(status);
  }
  if (options.add_special && v.add_eos) {
    const bool sep = v.kind == Kind::kWordPiece && v.sep;
    if (const auto last = sep ? v.sep : v.eos) out.ids.push_back(*last);
  }
  return std::move(out.ids);
}

std::string_view Tokenizer::token_bytes(int32_t id) const {
  if (id < 0 || static_cast<size_t>(id) >= impl_->shown.size()) return {};
  return impl_->shown[static_cast<size_t>(id)];
}

StatusOr<std::string> Tokenizer::decode(std::span<const int32_t> ids, const DecodeOptions& options) const {
  std::string out;
  bool begun = false;
  for (size_t i = 0; i < ids.size(); ++i) {
    const int32_t id = ids[i];
    if (id < 0 || id >= vocab_size()) {
      return invalid_argument("id {} at place {} is not one of the {} tokens", id, i, vocab_size());
    }
    const bool special = is_special(id);
    if (special && options.skip_special) continue;
    std::string_view bytes = token_bytes(id);
    if (!special) {
      if (!begun && options.strip_prefix && impl_->blank_first && bytes.starts_with(' ')) bytes.remove_prefix(1);
      begun = true;
    }
    out += bytes;
  }
  return out;
}

int Tokenizer::vocab_size() const { return static_cast<int>(impl_->shown.size()); }

bool Tokenizer::is_special(int32_t id) const {
  if (id < 0 || id >= vocab_size()) return false;
  const TokenType type = impl_->type(static_cast<size_t>(id));
  return type == TokenType::kControl || type == TokenType::kUnknown;
}

bool Tokenizer::is_end_of_generation(int32_t id) const {
  return std::binary_search(impl_->ends.begin(), impl_->ends.end(), id);
}

std::vector<int32_t> Tokenizer::end_of_generation_ids() const { return impl_->ends; }

int32_t Tokenizer::token_id(std::string_view token) const {
  const auto& tokens = impl_->vocabulary.tokens;
  const auto found = std::find(tokens.begin(), tokens.end(), token);
  return found == tokens.end() ? -1 : static_cast<int32_t>(found - tokens.begin());
}

uint64_t Tokenizer::hash() const { return impl_->hash; }
const Vocabulary& Tokenizer::vocabulary() const { return impl_->vocabulary; }

}  // namespace callie
