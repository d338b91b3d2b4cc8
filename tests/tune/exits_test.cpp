// Training of early exits: the closed form, features that go on where they stopped, and what training gains.

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>

#include "core/philox.h"
#include "engine/model_fixture.h"
#include "tune/exit_batch.h"
#include "tune/exit_training.h"
#include "tune/ridge.h"

namespace callie::tune {
namespace {

TEST(Ridge, FindsTheMapThatMadeTheData) {
  ThreadPool pool(2);
  const Context context{&pool};
  constexpr int64_t kIn = 20, kOut = 7, kRows = 400;
  SequentialRng rng(3, Purpose::kWorkload);
  const auto uniform = [&] { return static_cast<float>(rng.next_double() * 2 - 1); };
  std::vector<float> map(kOut * kIn), bias(kOut);
  for (float& v : map) v = uniform();
  for (float& v : bias) v = uniform();
  Ridge ridge(kIn, kOut);
  for (int part = 0; part < 4; ++part) {
    std::vector<float> x(kRows / 4 * kIn), y(kRows / 4 * kOut);
    for (float& v : x) v = uniform() + 0.5f;
    for (int64_t r = 0; r < kRows / 4; ++r) {
      for (int64_t o = 0; o < kOut; ++o) {
        float sum = bias[o];
        for (int64_t i = 0; i < kIn; ++i) sum += map[o * kIn + i] * x[r * kIn + i];
        y[r * kOut + o] = sum;
      }
    }
    ASSERT_TRUE(ridge.add(x, y, kRows / 4, context).ok());
  }
  const auto exact = ridge.solve(0, context);
  ASSERT_TRUE(exact.ok()) << exact.status().message();
  for (size_t i = 0; i < map.size(); ++i) EXPECT_NEAR(exact->map[i], map[i], 1e-4);
  for (size_t i = 0; i < bias.size(); ++i) EXPECT_NEAR(exact->bias[i], bias[i], 1e-4);
  // A penalty shrinks the map.
  const auto shrunk = ridge.solve(1, context);
  ASSERT_TRUE(shrunk.ok());
  double before = 0, after = 0;
  for (size_t i = 0; i < map.size(); ++i) {
    before += map[i] * map[i];
    after += shrunk->map[i] * shrunk->map[i];
  }
  EXPECT_LT(after, 0.5 * before);
  EXPECT_FALSE(Ridge(kIn, kOut).solve(0, context).ok());
}

class ExitTraining : public testing::Test {
 protected:
  void SetUp() override {
    model_ = test::load_or_fail(test::golden_path("tiny/llama"), pool_);
    ASSERT_TRUE(model_);
    SequentialRng rng(9, Purpose::kWorkload);
    for (int i = 0; i < 60; ++i) {
      CorpusPiece piece;
      for (int k = 0; k < 40; ++k) piece.tokens.push_back(static_cast<int32_t>(rng.next_below(200)));
      corpus_.push_back(std::move(piece));
    }
    path_ = testing::TempDir() + "/features_" + testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::remove(path_);
    std::filesystem::remove(path_ + "2");
  }

  // Cross entropy of the model's tokens, summed.
  double loss(const ExitHeads& exits, const ExitFeatures& features, std::span<const int64_t> rows) {
    const Context context{&pool_};
    ExitBatch batch(exits, context);
    double sum = 0;
    const float temperature = exits.heads()[0].temperature;
    const Status status = batch.each(features, 0, rows, [&](int64_t row, std::span<const float> logits) {
      const int64_t place = batch.place(features.chosen(row));
      if (place >= 0) sum -= std::log(batch.probability(logits, place, temperature));
    });
    EXPECT_TRUE(status.ok()) << status.message();
    return sum;
  }

  ThreadPool pool_{2};
  std::shared_ptr<const Model> model_;
  std::vector<CorpusPiece> corpus_;
  std::string path_;
};

TEST_F(ExitTraining, FeaturesGoOnWhereTheyStopped) {
  const auto part = ExitFeatures::collect(model_, corpus_, {0}, path_, 500, pool_);
  ASSERT_TRUE(part.ok()) << part.status().message();
  EXPECT_GE(part->rows(), 500);
  EXPECT_LT(part->rows(), 600);
  std::filesystem::resize_file(path_, std::filesystem::file_size(path_) - 100);  // stopped within a row
  const auto whole = ExitFeatures::collect(model_, corpus_, {0}, path_, 0, pool_);
  ASSERT_TRUE(whole.ok()) << whole.status().message();
  EXPECT_EQ(whole->rows(), 60 * 39);
  const auto fresh = ExitFeatures::collect(model_, corpus_, {0}, path_ + "2", 0, pool_);
  ASSERT_TRUE(fresh.ok());
  std::vector<float> a(whole->hidden()), b(a);
  for (int64_t row = 0; row < whole->rows(); ++row) {
    whole->exit_input(row, 0, a.data());
    fresh->exit_input(row, 0, b.data());
    ASSERT_EQ(a, b);
    ASSERT_EQ(whole->chosen(row), fresh->chosen(row));
    ASSERT_EQ(whole->piece(row), row / 39);
  }
  EXPECT_EQ(ExitFeatures::collect(model_, std::span(corpus_).first(5), {0}, path_, 0, pool_).status().code(),
            StatusCode::kInvalidArgument);
}

TEST_F(ExitTraining, TrainedExitsKnowMoreThanTheLens) {
  const auto features = ExitFeatures::collect(model_, corpus_, {0}, path_, 0, pool_);
  ASSERT_TRUE(features.ok());
  const Context context{&pool_};
  ExitFitOptions options;
  options.head_rows = model_->spec().vocab_size;
  const auto file = fit_exits(model_, *features, options, path_ + ".state", context);
  ASSERT_TRUE(file.ok()) << file.status().message();
  const auto again = fit_exits(model_, *features, options, path_ + ".state", context);
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(file->exits[0].map, again->exits[0].map);  // reproducible to the bit
  const std::vector<int64_t> held_out = rows_of(*features, true);
  ASSERT_EQ(held_out.size(), 3u * 39);
  const auto trained = ExitHeads::create(*file, model_, context);
  const auto lens = ExitHeads::create(untrained_exits(*model_, *file), model_, context);
  EXPECT_LT(loss(**trained, *features, held_out), loss(**lens, *features, held_out));
  const auto score = score_exits(**trained, *features, held_out, context);
  ASSERT_TRUE(score.ok());
  EXPECT_EQ((*score)[0].rows, 3 * 39);
  EXPECT_EQ((*score)[0].coverage, 1);
  EXPECT_LT((*score)[0].calibration, 0.25);
}

TEST_F(ExitTraining, TheSecondStageGoesOnBitForBitAndLearns) {
  const auto features = ExitFeatures::collect(model_, corpus_, {0}, path_, 0, pool_);
  ASSERT_TRUE(features.ok());
  const Context context{&pool_};
  ExitFitOptions options;
  options.head_rows = 128;
  const auto file = fit_exits(model_, *features, options, "", context);
  ASSERT_TRUE(file.ok());
  const auto heads = ExitHeads::create(*file, model_, context);
  const std::vector<int64_t> rows = rows_of(*features, false);
  ExitRefineOptions refine;
  refine.rank = 4;
  refine.learning_rate = 1e-3;
  const auto run = [&](int64_t positions, const std::string& state) {
    refine.positions = positions;
    ExitWeights weights = file->exits[0];
    EXPECT_TRUE(refine_exit(**heads, 0, *features, rows, refine, path_ + state, context, weights).ok());
    return weights;
  };
  std::filesystem::remove(path_ + ".a.state");
  std::filesystem::remove(path_ + ".b.state");
  run(40 * 32, ".a.state");
  const ExitWeights resumed = run(120 * 32, ".a.state"), at_once = run(120 * 32, ".b.state");
  EXPECT_EQ(resumed.map, at_once.map);
  // The cross entropy of the model's tokens falls on the rows it learns from.
  ExitFile better = *file;
  better.exits[0] = at_once;
  const auto refined = ExitHeads::create(better, model_, context);
  EXPECT_LT(loss(**refined, *features, rows), loss(**heads, *features, rows));
}

}  // namespace
}  // namespace callie::tune
