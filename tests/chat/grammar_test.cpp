#include "chat/grammar.h"

#include <gtest/gtest.h>

#include <string>

#include "tokenizer/tokenizer.h"

namespace callie {
namespace {

// A vocabulary of single bytes and a few longer pieces.
std::unique_ptr<Tokenizer> byte_tokenizer() {
  Vocabulary vocabulary;
  vocabulary.kind = Vocabulary::Kind::kSentencePieceBpe;
  vocabulary.tokens = {"<unk>", "</s>"};
  vocabulary.types = {TokenType::kUnknown, TokenType::kControl};
  for (int byte = 0; byte < 256; ++byte) {
    char name[8];
    std::snprintf(name, sizeof name, "<0x%02X>", byte);
    vocabulary.tokens.push_back(name);
    vocabulary.types.push_back(TokenType::kByte);
  }
  for (const char* piece : {"true", "false", "\":", "12"}) {
    vocabulary.tokens.push_back(piece);
    vocabulary.types.push_back(TokenType::kNormal);
  }
  vocabulary.scores.assign(vocabulary.tokens.size(), 0.0f);
  vocabulary.eos = 1;
  vocabulary.unk = 0;
  vocabulary.byte_fallback = true;
  auto tokenizer = Tokenizer::create(std::move(vocabulary));
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  return std::move(*tokenizer);
}

class Grammar : public testing::Test {
 protected:
  Grammar() : tokenizer_(byte_tokenizer()), compiler_(*GrammarCompiler::create(*tokenizer_)) {}

  // Feeds `text` byte by byte; false when a byte is not allowed, or is allowed without being in the mask.
  bool accepts(TokenMask& mask, const std::string& text) {
    std::vector<uint32_t> bits((tokenizer_->vocab_size() + 31) / 32);
    for (unsigned char byte : text) {
      const int32_t token = 2 + byte;
      EXPECT_TRUE(mask.fill(bits).ok());
      const bool allowed = bits[token / 32] >> (token % 32) & 1;
      const bool accepted = mask.accept(token).ok();
      EXPECT_EQ(allowed, accepted) << text << " at " << byte;
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

}  // namespace
}  // namespace callie
