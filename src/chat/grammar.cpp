#include "chat/grammar.h"

#include <algorithm>
#include <list>
#include <mutex>
#include <unordered_map>

#include "chat/rust_api.h"
#include "core/lines.h"
#include "tokenizer/tokenizer.h"

namespace callie {

namespace {

/// What a matcher was made from, and the tokens that it has read for all its answers.
struct Origin {
  GrammarCompiler::Kind kind;
  std::string source;
  std::vector<std::string> warnings;
  int64_t tokens = 0;
};

}  // namespace

struct GrammarCompiler::Impl {
  const Tokenizer* tokenizer = nullptr;
  rust::CallieGrammarFactory* factory = nullptr;
  std::vector<int32_t> ends;
  /// Tokens that stand for the same bytes as an earlier one: (token, the earlier one).
  std::vector<std::pair<int32_t, int32_t>> twins;
  std::unordered_map<int32_t, int32_t> twin_of;

  Impl() = default;
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl() {
    for (const Idle& one : idle) rust::callie_matcher_free(one.matcher);
    rust::callie_grammar_factory_free(factory);
  }

  /// A matcher of an ended answer of the same constraint, at its beginning; null when there is none. Nothing is compiled
  /// again; its masks are those of a fresh one.
  rust::CallieMatcher* take(Kind kind, std::string_view source, Origin& origin) {
    std::lock_guard lock(mutex);
    for (auto one = idle.begin(); one != idle.end(); ++one) {
      if (one->origin.kind != kind || one->origin.source != source) continue;
      rust::CallieMatcher* matcher = one->matcher;
      origin = std::move(one->origin);
      idle.erase(one);
      return matcher;
    }
    return nullptr;
  }

  /// Takes a matcher over when its answer has ended.
  void give_back(rust::CallieMatcher* matcher, Origin origin) {
    // What it has built grows with what it has read, up to a limit of the library at which it would fail.
    if (origin.tokens >= kMaxRead || !rust::callie_matcher_reset(matcher)) return rust::callie_matcher_free(matcher);
    rust::CallieMatcher* oldest = nullptr;
    {
      std::lock_guard lock(mutex);
      idle.push_front({matcher, std::move(origin)});
      if (idle.size() > kMaxIdle) {
        oldest = idle.back().matcher;
        idle.pop_back();
      }
    }
    rust::callie_matcher_free(oldest);
  }

 private:
  struct Idle {
    rust::CallieMatcher* matcher;
    Origin origin;
  };
  static constexpr int64_t kMaxRead = 4096;
  static constexpr size_t kMaxIdle = 64;
  std::mutex mutex;
  std::list<Idle> idle;  // the latest first; guarded by mutex
};

namespace {

constexpr size_t kMaxForced = 256;

size_t tokenize(const void* user_data, const uint8_t* bytes, size_t length, uint32_t* ids, size_t capacity) {
  EncodeOptions options;
  options.first = false;
  const auto found = static_cast<const Tokenizer*>(user_data)->encode(
      {reinterpret_cast<const char*>(bytes), length}, options);
  if (!found.ok() || found->size() > capacity) return capacity + 1;  // the other side then takes the longest tokens
  for (size_t i = 0; i < found->size(); ++i) ids[i] = static_cast<uint32_t>((*found)[i]);
  return found->size();
}

class GrammarMask : public TokenMask {
 public:
  /// `origin` is null for a clone, whose matcher nobody uses again.
  GrammarMask(std::shared_ptr<GrammarCompiler::Impl> shared, rust::CallieMatcher* matcher, std::unique_ptr<Origin> origin)
      : shared_(std::move(shared)), matcher_(matcher), origin_(std::move(origin)) {}
  ~GrammarMask() override {
    if (origin_) {
      shared_->give_back(matcher_, std::move(*origin_));
    } else {
      rust::callie_matcher_free(matcher_);
    }
  }
  GrammarMask(const GrammarMask&) = delete;
  GrammarMask& operator=(const GrammarMask&) = delete;

  Status fill(std::span<uint32_t> bits) override {
    if (bits.size() < static_cast<size_t>(shared_->tokenizer->vocab_size() + 31) / 32) {
      return error(StatusCode::kInternal, "token mask: {} words are too few", bits.size());
    }
    if (ended_) {
      std::fill(bits.begin(), bits.end(), 0u);
    } else {
      rust::CallieRustBytes problem;
      if (!rust::callie_matcher_mask(matcher_, bits.data(), bits.size(), &problem)) {
        return invalid_argument("grammar: {}", rust::take(problem));
      }
      for (const auto& [token, twin] : shared_->twins) {
        if (get(bits, twin)) set(bits, token, true);
      }
    }
    const bool end = ended_ || can_end();
    for (int32_t id : shared_->ends) set(bits, id, end);
    return {};
  }

  Status accept(int32_t token) override {
    const Tokenizer& tokenizer = *shared_->tokenizer;
    if (token < 0 || token >= tokenizer.vocab_size()) return invalid_argument("grammar: {} is not a token", token);
    if (tokenizer.is_end_of_generation(token)) {
      if (!can_end()) return invalid_argument("grammar: the text cannot end here");
      ended_ = true;
      return {};
    }
    if (ended_) return invalid_argument("grammar: the text has ended");
    const auto twin = shared_->twin_of.find(token);
    if (twin != shared_->twin_of.end()) token = twin->second;
    rust::CallieRustBytes problem;
    const int32_t done = rust::callie_matcher_accept(matcher_, static_cast<uint32_t>(token), &problem);
    if (done < 0) return invalid_argument("grammar: {}", rust::take(problem));
    if (done == 0) return invalid_argument("grammar: the token {} is not allowed here", token);
    if (origin_) ++origin_->tokens;
    return {};
  }

  bool can_end() override { return ended_ || rust::callie_matcher_can_end(matcher_); }
  bool must_end() override { return ended_ || rust::callie_matcher_stopped(matcher_); }

  std::unique_ptr<TokenMask> clone() const override {
    rust::CallieMatcher* copy = rust::callie_matcher_clone(matcher_);
    if (!copy) return nullptr;
    auto made = std::make_unique<GrammarMask>(shared_, copy, nullptr);
    made->ended_ = ended_;
    return made;
  }

  std::vector<int32_t> forced() override {
    if (ended_) return {};
    uint32_t ids[kMaxForced];
    const size_t count = rust::callie_matcher_forced(matcher_, ids, kMaxForced);
    return std::vector<int32_t>(ids, ids + count);
  }

 private:
  static bool get(std::span<const uint32_t> bits, int32_t id) {
    return bits[static_cast<size_t>(id) / 32] >> (id % 32) & 1;
  }
  static void set(std::span<uint32_t> bits, int32_t id, bool on) {
    uint32_t& word = bits[static_cast<size_t>(id) / 32];
    word = on ? word | 1u << (id % 32) : word & ~(1u << (id % 32));
  }

  std::shared_ptr<GrammarCompiler::Impl> shared_;
  rust::CallieMatcher* matcher_;
  std::unique_ptr<Origin> origin_;
  bool ended_ = false;
};

}  // namespace

GrammarCompiler::GrammarCompiler(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
GrammarCompiler::~GrammarCompiler() = default;

StatusOr<std::shared_ptr<const GrammarCompiler>> GrammarCompiler::create(const Tokenizer& tokenizer) {
  auto impl = std::make_shared<Impl>();
  impl->tokenizer = &tokenizer;
  impl->ends = tokenizer.end_of_generation_ids();
  if (impl->ends.empty()) return invalid_argument("grammar: the vocabulary has no end-of-generation token");
  const int32_t count = tokenizer.vocab_size();
  std::vector<uint32_t> lengths(static_cast<size_t>(count));
  std::string bytes;
  std::unordered_map<std::string_view, int32_t> seen;
  seen.reserve(static_cast<size_t>(count));
  for (int32_t id = 0; id < count; ++id) {
    const std::string_view token = tokenizer.token_bytes(id);
    // A token that begins with 0xFF is special to the matcher: no text has that byte.
    std::string_view given = token;
    if (tokenizer.is_special(id) || tokenizer.is_end_of_generation(id)) {
      bytes += '\xff';
      bytes += token;
      lengths[static_cast<size_t>(id)] = static_cast<uint32_t>(token.size() + 1);
      continue;
    }
    if (token.starts_with('\xff')) given = {};
    if (!given.empty()) {
      const auto [first, fresh] = seen.emplace(given, id);
      if (!fresh) {
        impl->twins.emplace_back(id, first->second);
        impl->twin_of.emplace(id, first->second);
        given = {};
      }
    }
    bytes += given;
    lengths[static_cast<size_t>(id)] = static_cast<uint32_t>(given.size());
  }
  std::vector<uint32_t> ends(impl->ends.begin(), impl->ends.end());
  rust::CallieRustBytes problem;
  impl->factory = rust::callie_grammar_factory_new(static_cast<uint32_t>(count), lengths.data(), rust::data(bytes),
                                                   ends.data(), ends.size(), tokenize, &tokenizer, &problem);
  if (!impl->factory) return error(StatusCode::kInternal, "grammar: {}", rust::take(problem));
  return std::shared_ptr<const GrammarCompiler>(new GrammarCompiler(std::move(impl)));
}

StatusOr<GrammarCompiler::Compiled> GrammarCompiler::compile(Kind kind, std::string_view source) const {
  static constexpr const char* kNames[] = {"JSON schema", "regular expression", "grammar"};
  auto origin = std::make_unique<Origin>();
  rust::CallieMatcher* matcher = impl_->take(kind, source, *origin);
  if (!matcher) {
    const int32_t number = static_cast<int32_t>(kind);
    rust::CallieRustBytes warnings, problem;
    matcher = rust::callie_matcher_new(impl_->factory, number, rust::data(source), source.size(), &warnings, &problem);
    if (!matcher) {
      std::string message = rust::take(problem);
      for (char& c : message) {
        if (c == '\n' || c == '\r') c = ' ';
      }
      return invalid_argument("{}: {}", kNames[number], message);
    }
    *origin = {kind, std::string(source), nonempty_lines(rust::take(warnings)), 0};
  }
  Compiled compiled;
  compiled.warnings = origin->warnings;
  compiled.mask = std::make_unique<GrammarMask>(impl_, matcher, std::move(origin));
  return compiled;
}

}  // namespace callie
