// Early exits beside a pass: they change nothing in it, and their logits are those of a pass that ends there.

#include "engine/exit_heads.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <fstream>

#include "core/philox.h"
#include "engine/model_fixture.h"

namespace callie {
namespace {

const std::vector<int32_t> kTokens = {5, 17, 40, 3, 99, 64, 7, 12, 12, 31, 80};

class Exits : public testing::Test {
 protected:
  void SetUp() override {
    model_ = test::load_or_fail(test::golden_path("tiny/llama"), pool_);
    ASSERT_TRUE(model_);
  }

  // The logit lens after `layer`: the model's own norm as the map.
  ExitWeights lens(int layer) const {
    const auto& norm = model_->decoder().weights().output_norm;
    const auto n = static_cast<int64_t>(norm.size());
    ExitWeights exit{layer, 1.5f, std::vector<float>(n * n, 0), std::vector<float>(n, 0)};
    for (int64_t i = 0; i < n; ++i) exit.map[i * n + i] = norm[i];
    return exit;
  }
  ExitFile file(std::vector<ExitWeights> exits) const {
    ExitFile out;
    out.fingerprint = exit_fingerprint(*model_);
    out.head_rows = model_->spec().vocab_size;
    out.exits = std::move(exits);
    out.report = "{}";
    return out;
  }
  std::shared_ptr<const ExitHeads> heads(const ExitFile& file, ThreadPool& pool) const {
    auto out = ExitHeads::create(file, model_, Context{&pool});
    EXPECT_TRUE(out.ok()) << out.status().message();
    return out.ok() ? *out : nullptr;
  }

  ThreadPool pool_{1};
  std::shared_ptr<const Model> model_;
};

// Logits of all positions, and those of each exit.
struct Seen {
  std::vector<float> logits;
  std::vector<std::vector<float>> exits;
};

Seen run(std::shared_ptr<const Model> model, const ExitHeads* heads, int64_t chunk, ThreadPool& pool) {
  const auto session = test::session_or_fail(model, pool);
  Seen seen;
  nn::Taps taps;
  if (heads) {
    taps.exits = heads->heads();
    seen.exits.resize(taps.exits.size());
    taps.on_exit = [&](int exit, const nn::ExitRows& rows) {
      seen.exits[exit].insert(seen.exits[exit].end(), rows.logits.begin(), rows.logits.end());
    };
  }
  for (size_t at = 0; at < kTokens.size(); at += chunk) {
    const auto part = std::span(kTokens).subspan(at, std::min<size_t>(chunk, kTokens.size() - at));
    const auto logits = session->append(part, Session::Logits::kAll, heads ? &taps : nullptr);
    EXPECT_TRUE(logits.ok());
    seen.logits.insert(seen.logits.end(), logits->begin(), logits->end());
  }
  return seen;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

TEST_F(Exits, ChangeNothingAndAreTheSameBitsInAnyChunking) {
  const Seen plain = run(model_, nullptr, 4, pool_);
  Seen first;
  for (const int threads : {1, 2, 3}) {
    ThreadPool pool(threads);
    const auto exits = heads(file({lens(0)}), pool);
    for (const int64_t chunk : {1, 3, 11}) {
      const Seen seen = run(model_, exits.get(), chunk, pool);
      EXPECT_TRUE(same_bits(plain.logits, seen.logits)) << threads << " threads, chunks of " << chunk;
      if (first.exits.empty()) first = seen;
      EXPECT_TRUE(same_bits(first.exits[0], seen.exits[0])) << threads << " threads, chunks of " << chunk;
    }
  }
}

TEST_F(Exits, TheLensIsAPassThatEndsThere) {
  ThreadPool pool(2);
  const auto exits = heads(file({lens(0)}), pool);
  const Seen seen = run(model_, exits.get(), 11, pool);
  const auto session = test::session_or_fail(model_, pool);
  nn::Taps stop;
  stop.stop_after_layers = 1;
  const auto logits = session->append(kTokens, Session::Logits::kAll, &stop);
  ASSERT_TRUE(logits.ok());
  double error = 0, size = 0;
  for (size_t i = 0; i < logits->size(); ++i) {
    error += std::pow((*logits)[i] - seen.exits[0][i], 2);
    size += std::pow((*logits)[i], 2);
  }
  EXPECT_LT(std::sqrt(error / size), 0.02);  // the map has eight bits
}

TEST_F(Exits, APartOfTheHeadIsAPartOfTheLogits) {
  ThreadPool pool(1);
  const Seen whole = run(model_, heads(file({lens(0)}), pool).get(), 11, pool);
  ExitFile few = file({lens(0)});
  few.head_rows = 32;
  few.tokens = {200};
  const auto exits = heads(few, pool);
  const std::vector<int32_t> tokens = exits->head().tokens();
  const Seen part = run(model_, exits.get(), 11, pool);
  const auto vocab = static_cast<size_t>(model_->spec().vocab_size);
  ASSERT_EQ(part.exits[0].size(), kTokens.size() * tokens.size());
  EXPECT_NE(std::find(tokens.begin(), tokens.end(), 200), tokens.end());
  for (size_t row = 0; row < kTokens.size(); ++row) {
    for (size_t i = 0; i < tokens.size(); ++i) {
      ASSERT_EQ(part.exits[0][row * tokens.size() + i], whole.exits[0][row * vocab + tokens[i]]);
    }
  }
}

TEST_F(Exits, FilesComeBackAndWrongOnesAreNamed) {
  const std::string path = testing::TempDir() + "/exits.safetensors";
  ExitFile written = file({lens(0)});
  written.tokens = {4, 2};
  ASSERT_TRUE(write_exit_file(path, written).ok());
  const auto read = read_exit_file(path);
  ASSERT_TRUE(read.ok()) << read.status().message();
  EXPECT_EQ(read->fingerprint, written.fingerprint);
  EXPECT_EQ(read->head_rows, written.head_rows);
  EXPECT_EQ(read->tokens, written.tokens);
  EXPECT_EQ(read->exits[0].layer, 0);
  EXPECT_EQ(read->exits[0].temperature, 1.5f);
  EXPECT_EQ(read->exits[0].bias, written.exits[0].bias);

  const Context context{&pool_};
  EXPECT_TRUE(ExitHeads::load(path, {}, model_, context).ok());
  const int absent[] = {1};
  EXPECT_EQ(ExitHeads::load(path, absent, model_, context).status().code(), StatusCode::kInvalidArgument);
  const auto other = test::load_or_fail(test::golden_path("tiny/qwen2"), pool_);
  EXPECT_EQ(ExitHeads::load(path, {}, other, context).status().code(), StatusCode::kFailedPrecondition);
  ExitFile last = file({lens(static_cast<int>(model_->spec().layers.size()) - 1)});
  EXPECT_EQ(ExitHeads::create(last, model_, context).status().code(), StatusCode::kDataLoss);
  ExitFile twice = file({lens(0), lens(0)});
  EXPECT_EQ(ExitHeads::create(twice, model_, context).status().code(), StatusCode::kDataLoss);
  std::ofstream(path) << "not tensors";
  const auto broken = read_exit_file(path);
  EXPECT_FALSE(broken.ok());
  EXPECT_NE(broken.status().message().find(path), std::string::npos);
}

}  // namespace
}  // namespace callie
