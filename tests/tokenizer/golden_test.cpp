// Token ids of small vocabularies of every kind against Hugging Face `tokenizers` (golden/make_tokenizers.py).

#include <gtest/gtest.h>

#include "core/atomic_file.h"
#include "core/json.h"
#include "core/philox.h"
#include "tokenizer/streaming.h"
#include "tokenizer/text.h"
#include "tokenizer_golden.h"

namespace callie::test {
namespace {

std::unique_ptr<Tokenizer> from_json(const std::string& name) {
  const auto json = read_text_file(golden_file("tokenizers/" + name + "/tokenizer.json"));
  EXPECT_TRUE(json.ok()) << json.status().message();
  auto vocabulary = parse_tokenizer_json(*json, "");
  EXPECT_TRUE(vocabulary.ok()) << vocabulary.status().message();
  auto tokenizer = Tokenizer::create(std::move(*vocabulary));
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  return std::move(*tokenizer);
}

class GoldenTokenizer : public ::testing::TestWithParam<const char*> {};

TEST_P(GoldenTokenizer, IdsEqualHuggingFace) {
  const auto tokenizer = from_json(GetParam());
  expect_golden_ids(*tokenizer, GetParam(), "json");
}

INSTANTIATE_TEST_SUITE_P(Kinds, GoldenTokenizer, ::testing::ValuesIn(kGoldenTokenizers),
                         [](const auto& info) { return std::string(info.param); });

/// Vocabularies with all 256 bytes and no normalizer: what goes in comes out, whatever the bytes. (Except that
/// SentencePiece cannot tell U+2581 from a blank.)
class AnyBytes : public ::testing::TestWithParam<const char*> {};

std::string random_bytes(SequentialRng& rng) {
  // Pieces of valid characters, blanks and bytes that are valid nowhere, so that every kind of cut occurs.
  static const std::string kPieces[] = {"a", " ", "\n", "é", "漢", "😀", "\xff", "\xc3", "\xe6\xbc", "\xf0\x9f\x98",
                                        "\x80", "\xed\xa0\x80", "\xc0\xaf", "12", "'s", std::string(1, '\0')};
  std::string text;
  for (uint32_t n = rng.next_u32() % 24; n > 0; --n) text += kPieces[rng.next_u32() % std::size(kPieces)];
  if (rng.next_u32() % 4 == 0) text += static_cast<char>(rng.next_u32());
  return text;
}

TEST_P(AnyBytes, RoundTrip) {
  const auto tokenizer = from_json(GetParam());
  SequentialRng rng(7, Purpose::kTest);
  for (int i = 0; i < 2000; ++i) {
    const std::string text = random_bytes(rng);
    const auto ids = tokenizer->encode(text);
    ASSERT_TRUE(ids.ok()) << ids.status().message();
    const auto back = tokenizer->decode(*ids);
    ASSERT_TRUE(back.ok()) << back.status().message();
    ASSERT_EQ(*back, text) << "case " << i;
  }
}

TEST_P(AnyBytes, StreamingGivesTheSameBytesAndNeverCutsACharacter) {
  const auto tokenizer = from_json(GetParam());
  SequentialRng rng(11, Purpose::kTest);
  for (int i = 0; i < 500; ++i) {
    const std::string text = random_bytes(rng);
    const auto ids = tokenizer->encode(text);
    ASSERT_TRUE(ids.ok());
    StreamingDetokenizer stream(*tokenizer);
    std::string shown, whole;
    for (const int32_t id : *ids) {
      whole += tokenizer->token_bytes(id);
      shown += stream.add(id);
      if (text::is_valid(whole)) {
        ASSERT_TRUE(text::is_valid(shown)) << "case " << i;
      }
    }
    ASSERT_EQ(shown + stream.finish(), whole) << "case " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, AnyBytes, ::testing::Values("gpt2", "llama3", "smollm", "spm_bpe"),
                         [](const auto& info) { return std::string(info.param); });

TEST(TokenizerBytes, AMissingByteIsNamedAndLossyDropsIt) {
  const auto json = read_text_file(golden_file("tokenizers/gpt2/tokenizer.json"));
  ASSERT_TRUE(json.ok());
  auto vocabulary = parse_tokenizer_json(*json, "");
  ASSERT_TRUE(vocabulary.ok());
  for (std::string& token : vocabulary->tokens) {
    if (token == "\xc4\x95") token = "<gone>";  // U+0115 stands for byte 21
  }
  const auto tokenizer = Tokenizer::create(std::move(*vocabulary));
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  const std::string text = "ab\x15" "cd";
  const auto ids = (*tokenizer)->encode(text);
  ASSERT_FALSE(ids.ok());
  EXPECT_NE(ids.status().message().find("21"), std::string::npos) << ids.status().message();
  const auto lossy = (*tokenizer)->encode(text, {.lossy = true});
  ASSERT_TRUE(lossy.ok());
  EXPECT_EQ(*(*tokenizer)->decode(*lossy), "abcd");
}

}  // namespace
}  // namespace callie::test
