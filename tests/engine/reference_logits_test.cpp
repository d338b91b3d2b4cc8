// Logits and embeddings of tiny random models against Hugging Face transformers in float64 (golden/make_tiny_models.py).

#include <gtest/gtest.h>

#include <cmath>

#include "core/atomic_file.h"
#include "core/json.h"
#include "engine/embedder.h"
#include "engine/model_fixture.h"

namespace callie {
namespace {

Json expected(const std::string& name) {
  auto text = read_text_file(test::golden_path("tiny/" + name + "/expected.json"));
  EXPECT_TRUE(text.ok());
  return Json::parse(*text);
}

class ReferenceLogits : public testing::TestWithParam<const char*> {};

TEST_P(ReferenceLogits, F32MatchesTransformers) {
  const Json golden = expected(GetParam());
  const auto tokens = golden["tokens"].get<std::vector<int32_t>>();
  ThreadPool pool(2);
  const auto model = test::load_or_fail(test::golden_path(std::string("tiny/") + GetParam()), pool);
  ASSERT_TRUE(model);
  SessionOptions options;
  options.precision = nn::Precision::kF32;
  options.kv_format = kernels::KvFormat::kF32;
  const auto session = test::session_or_fail(model, pool, options);
  ASSERT_TRUE(session);
  const auto logits = session->append(tokens, Session::Logits::kAll);
  ASSERT_TRUE(logits.ok()) << logits.status().message();
  const int64_t vocab_size = model->spec().vocab_size;

  double largest = 0, worst = 0;
  for (size_t r = 0; r < golden["rows"].size(); ++r) {
    const auto row = golden["logits"][r].get<std::vector<float>>();
    ASSERT_EQ(static_cast<int64_t>(row.size()), vocab_size);
    for (int64_t v = 0; v < vocab_size; ++v) {
      const double difference = (*logits)[golden["rows"][r].get<int64_t>() * vocab_size + v] - row[v];
      worst = std::max(worst, std::abs(difference));
      largest = std::max(largest, std::abs(double{row[v]}));
    }
  }
  // The bound; f32 sums of 64 to 96 terms and f32 norms in the reference leave about 1e-5 of the largest logit.
  EXPECT_LE(worst, std::max(1e-4 * largest, 1e-5)) << "largest logit " << largest;
}

INSTANTIATE_TEST_SUITE_P(Architectures, ReferenceLogits,
                         testing::Values("llama", "llama_linear", "llama3", "llama_yarn", "mistral", "qwen2", "qwen3",
                                         "gemma3"),
                         [](const auto& info) { return std::string(info.param); });

TEST(ReferenceEmbedding, BertMatchesTransformers) {
  const Json golden = expected("bert");
  ThreadPool pool(2);
  Context context{&pool};
  auto embedder = Embedder::load(test::golden_path("tiny/bert"), context);
  ASSERT_TRUE(embedder.ok()) << embedder.status().message();
  const auto vector = (*embedder)->embed_tokens(golden["tokens"].get<std::vector<int32_t>>(), nn::Precision::kF32);
  const auto reference = golden["embedding"].get<std::vector<float>>();
  ASSERT_EQ(vector.size(), reference.size());
  for (size_t i = 0; i < vector.size(); ++i) EXPECT_NEAR(vector[i], reference[i], 2e-6) << i;
}

}  // namespace
}  // namespace callie
