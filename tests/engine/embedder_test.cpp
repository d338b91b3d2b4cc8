// Sentence vectors of a real model against Hugging Face `transformers` in float64 (golden/make_embeddings.py).

#include "engine/embedder.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>

#include "model_fixture.h"
#include "tokenizer_golden.h"

namespace callie::test {
namespace {

TEST(Embedder, RealModelEqualsTransformers) {
  const std::string path = real_model_folder("all-minilm-l6-v2");
  if (path.empty()) GTEST_SKIP() << "all-minilm-l6-v2 is not here";
  ThreadPool pool(2);
  Context context{&pool};
  const auto embedder = Embedder::load(path, context);
  ASSERT_TRUE(embedder.ok()) << embedder.status().message();
  for (const Json& golden : Json::parse(golden_text("embeddings.json"))) {
    const std::string text = golden["text"];
    const auto ids = (*embedder)->tokenizer().encode(text, {.add_special = true});
    ASSERT_TRUE(ids.ok());
    EXPECT_EQ(*ids, golden["ids"].get<std::vector<int32_t>>()) << text.substr(0, 40);
    for (const auto precision : {nn::Precision::kF32, nn::Precision::kDefault}) {
      const auto made = (*embedder)->embed(text, precision);
      ASSERT_TRUE(made.ok()) << made.status().message();
      ASSERT_EQ(made->vector.size(), golden["embedding"].size());
      double dot = 0, largest = 0, length = 0;
      for (size_t i = 0; i < made->vector.size(); ++i) {
        const double want = golden["embedding"][i];
        dot += want * made->vector[i];
        length += static_cast<double>(made->vector[i]) * made->vector[i];
        largest = std::max(largest, std::abs(want - made->vector[i]));
      }
      std::printf("%-30.30s cosine 1 - %.1e, largest difference %.1e\n", text.c_str(), 1 - dot / std::sqrt(length),
                  largest);
      EXPECT_GT(dot / std::sqrt(length), precision == nn::Precision::kF32 ? 1 - 1e-6 : 0.9999) << text.substr(0, 40);
      EXPECT_LT(largest, precision == nn::Precision::kF32 ? 1e-5 : 1e-3) << text.substr(0, 40);
    }
  }
}

}  // namespace
}  // namespace callie::test
