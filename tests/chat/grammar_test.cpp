#include "chat/grammar.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <string>

#include "engine/model_fixture.h"
#include "engine/vocabulary_from_checkpoint.h"
#include "tokenizer/byte_tokenizer.h"

namespace callie {
namespace {

class Grammar : public testing::Test {
 protected:
  Grammar() : tokenizer_(test::byte_tokenizer()), compiler_(*GrammarCompiler::create(*tokenizer_)) {}

  // Feeds `text` byte by byte; false when a byte is not allowed. What is in the mask is accepted; where the text is forced the
  // mask holds the tokenizer's own cut of it alone, and other cuts are accepted too.
  bool accepts(TokenMask& mask, const std::string& text) {
    std::vector<uint32_t> bits((tokenizer_->vocab_size() + 31) / 32);
    for (unsigned char byte : text) {
      const int32_t token = 2 + byte;
      EXPECT_TRUE(mask.fill(bits).ok());
      const bool allowed = bits[token / 32] >> (token % 32) & 1;
      const bool accepted = mask.accept(token).ok();
      EXPECT_TRUE(accepted || !allowed) << text << " at " << byte;
      if (!accepted) return false;
    }
    return true;
  }

  std::unique_ptr<TokenMask> compile(GrammarCompiler::Kind kind, const std::string& source) {
    auto compiled = compiler_->compile(kind, source);
    EXPECT_TRUE(compiled.ok()) << compiled.status().message();
    return compiled.ok() ? std::move(compiled->mask) : nullptr;
  }

  std::unique_ptr<Tokenizer> tokenizer_;
  std::shared_ptr<const GrammarCompiler> compiler_;
};

TEST_F(Grammar, JsonSchema) {
  const std::string schema = R"({"type":"object","properties":{"ok":{"type":"boolean"},"n":{"type":"integer"}},)"
                             R"("required":["ok","n"],"additionalProperties":false})";
  auto mask = compile(GrammarCompiler::Kind::kJsonSchema, schema);
  ASSERT_TRUE(mask);
  EXPECT_FALSE(mask->can_end());
  EXPECT_TRUE(accepts(*mask, R"({"ok":true,"n":12)"));
  auto copy = mask->clone();
  EXPECT_TRUE(accepts(*mask, "}"));
  EXPECT_TRUE(mask->can_end());
  EXPECT_FALSE(copy->can_end());
  EXPECT_FALSE(accepts(*copy, "x"));
  EXPECT_FALSE(accepts(*compile(GrammarCompiler::Kind::kJsonSchema, schema), R"({"no)"));
}

// The matcher of an ended answer serves the next one: its masks are those of a fresh one, wherever the last answer ended.
TEST_F(Grammar, AUsedMatcherGivesTheSameMasks) {
  const std::string schema = R"({"type":"object","properties":{"id":{"type":"string","pattern":"^[a-f]{2,9}$"},)"
                             R"("n":{"type":"array","items":{"type":"integer","minimum":3}}},"required":["id","n"],)"
                             R"("additionalProperties":false})";
  const std::vector<std::string> texts = {R"({"id":"abc","n":[3,14]})", R"({"id":"ff","n":[]})", R"({"id":"abcdefabc","n":[999]})",
                                          R"({"i)", "", R"({"id":"cafe","n":[30,4,5,666)", R"({"id":"xx)"};
  std::vector<uint32_t> expected((tokenizer_->vocab_size() + 31) / 32), got(expected.size());
  for (size_t round = 0; round < 3 * texts.size(); ++round) {
    const std::string& text = texts[round * 3 % texts.size()];
    auto fresh_compiler = *GrammarCompiler::create(*tokenizer_);
    auto fresh = fresh_compiler->compile(GrammarCompiler::Kind::kJsonSchema, schema);
    auto used = compiler_->compile(GrammarCompiler::Kind::kJsonSchema, schema);
    ASSERT_TRUE(fresh.ok() && used.ok());
    EXPECT_EQ(fresh->warnings, used->warnings);
    auto copy = round % 2 ? used->mask->clone() : nullptr;
    for (unsigned char byte : text) {
      ASSERT_TRUE(fresh->mask->fill(expected).ok());
      ASSERT_TRUE(used->mask->fill(got).ok());
      ASSERT_EQ(got, expected) << text << " before " << byte;
      EXPECT_EQ(used->mask->can_end(), fresh->mask->can_end());
      EXPECT_EQ(used->mask->forced(), fresh->mask->forced());
      const bool allowed = fresh->mask->accept(2 + byte).ok();
      EXPECT_EQ(used->mask->accept(2 + byte).ok(), allowed);
      if (!allowed) break;
    }
    EXPECT_EQ(used->mask->must_end(), fresh->mask->must_end());
  }
}

TEST_F(Grammar, RegexAndLark) {
  auto regex = compile(GrammarCompiler::Kind::kRegex, "[ab]+c");
  ASSERT_TRUE(regex);
  EXPECT_TRUE(accepts(*regex, "abbc"));
  EXPECT_TRUE(regex->can_end());
  EXPECT_FALSE(accepts(*compile(GrammarCompiler::Kind::kRegex, "[ab]+c"), "abd"));
  auto lark = compile(GrammarCompiler::Kind::kLark, "start: \"yes\" | \"no\" \"!\"\n");
  ASSERT_TRUE(lark);
  EXPECT_TRUE(accepts(*lark, "no!"));
  EXPECT_TRUE(lark->can_end());
}

TEST_F(Grammar, BadSourceIsOneLine) {
  const auto bad = compiler_->compile(GrammarCompiler::Kind::kLark, "start: (\n");
  ASSERT_FALSE(bad.ok());
  EXPECT_EQ(bad.status().message().find('\n'), std::string::npos);
  EXPECT_FALSE(compiler_->compile(GrammarCompiler::Kind::kJsonSchema, "{\"type\":").ok());
}

/// The text of an answer, token by token through the mask of a real vocabulary: every token of it is allowed, and the time
/// that a mask takes is printed.
TEST(GrammarOfARealVocabulary, AllowsAnAnswerAndTellsTheTimeOfAMask) {
  const std::string path = test::real_model("smollm2-135m");
  if (path.empty()) GTEST_SKIP() << "smollm2-135m is not here";
  const auto checkpoint = io::Checkpoint::open(path);
  ASSERT_TRUE(checkpoint.ok());
  const auto tokenizer = tokenizer_from_checkpoint(**checkpoint);
  ASSERT_TRUE(tokenizer.ok());
  const auto compiler = GrammarCompiler::create(**tokenizer);
  ASSERT_TRUE(compiler.ok());
  const std::string schema = R"({"type":"object","additionalProperties":false,"required":["name","tags","n"],"properties":)"
                             R"({"name":{"type":"string"},"tags":{"type":"array","items":{"type":"string"}},)"
                             R"("n":{"type":"number"}}})";
  const std::string answer = R"({"name":"The quiet harbour of \"São Tomé\"","tags":["sea","boats and long stories",""],)"
                             R"("n":-12.5e3})";
  auto compiled = (*compiler)->compile(GrammarCompiler::Kind::kJsonSchema, schema);
  ASSERT_TRUE(compiled.ok()) << compiled.status().message();
  std::vector<uint32_t> bits(((*tokenizer)->vocab_size() + 31) / 32);
  std::vector<double> microseconds;
  for (std::string_view rest = answer; !rest.empty();) {
    const auto start = std::chrono::steady_clock::now();
    ASSERT_TRUE(compiled->mask->fill(bits).ok());
    microseconds.push_back(std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count());
    int32_t longest = -1;
    for (int32_t id = 0; id < (*tokenizer)->vocab_size(); ++id) {
      const std::string_view token = (*tokenizer)->token_bytes(id);
      if (!(bits[id / 32] >> (id % 32) & 1) || token.empty() || !rest.starts_with(token)) continue;
      if (longest < 0 || token.size() > (*tokenizer)->token_bytes(longest).size()) longest = id;
    }
    ASSERT_GE(longest, 0) << "nothing of the answer is allowed before " << rest;
    ASSERT_TRUE(compiled->mask->accept(longest).ok());
    rest.remove_prefix((*tokenizer)->token_bytes(longest).size());
  }
  EXPECT_TRUE(compiled->mask->can_end());
  std::sort(microseconds.begin(), microseconds.end());
  std::printf("mask of %d tokens: median %.1f us, largest %.1f us, %zu masks\n", (*tokenizer)->vocab_size(),
              microseconds[microseconds.size() / 2], microseconds.back(), microseconds.size());
}

}  // namespace
}  // namespace callie
