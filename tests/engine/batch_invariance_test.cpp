// The logits of a position are the same bits whatever else is in the batch, however many threads there are, and
// however the tokens were split into passes.

#include <gtest/gtest.h>

#include <cstring>

#include "engine/kv_cache.h"
#include "engine/model_fixture.h"
#include "engine/tiny_gguf.h"

namespace callie {
namespace {

using Logits = std::vector<float>;

std::vector<int32_t> text(int64_t n, int64_t vocab_size) {
  std::vector<int32_t> tokens(n);
  for (int64_t i = 0; i < n; ++i) tokens[i] = static_cast<int32_t>((i * i * 31 + i * 7 + 3) % vocab_size);
  return tokens;
}

// Logits of every position, computed in chunks.
Logits in_chunks(Session& session, std::span<const int32_t> tokens, int64_t chunk) {
  session.truncate(0);
  Logits all;
  for (size_t at = 0; at < tokens.size(); at += chunk) {
    const auto part = tokens.subspan(at, std::min<size_t>(chunk, tokens.size() - at));
    const auto logits = session.append(part, Session::Logits::kAll);
    EXPECT_TRUE(logits.ok()) << logits.status().message();
    if (!logits.ok()) return {};
    all.insert(all.end(), logits->begin(), logits->end());
  }
  return all;
}

bool same_bits(const Logits& a, const Logits& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

void expect_invariant(const std::string& path, int64_t n_tokens, std::span<const int64_t> chunks,
                      kernels::KvFormat kv = kernels::KvFormat::kF16) {
  ThreadPool one(1);
  const auto model = test::load_or_fail(path, one);
  ASSERT_TRUE(model);
  const int64_t vocab_size = model->spec().vocab_size;
  const auto tokens = text(n_tokens, vocab_size);
  SessionOptions options;
  options.context = 2 * n_tokens;
  options.max_rows = std::max<int64_t>(n_tokens, 16);
  options.kv_format = kv;
  const auto reference_session = test::session_or_fail(model, one, options);
  const Logits reference = in_chunks(*reference_session, tokens, n_tokens);
  ASSERT_EQ(static_cast<int64_t>(reference.size()), n_tokens * vocab_size);
  for (float value : reference) ASSERT_TRUE(std::isfinite(value));

  for (int threads : {1, 2, 3}) {
    ThreadPool pool(threads);
    const auto session = test::session_or_fail(model, pool, options);
    for (int64_t chunk : chunks) {
      EXPECT_TRUE(same_bits(in_chunks(*session, tokens, chunk), reference)) << threads << " threads, chunks of " << chunk;
    }
    // Truncate, compute something else, truncate, redo.
    session->truncate(n_tokens / 3);
    const auto other = text(7, vocab_size);
    ASSERT_TRUE(session->append(other, Session::Logits::kNone).ok());
    session->truncate(n_tokens / 3);
    const auto rest = session->append(std::span(tokens).subspan(n_tokens / 3), Session::Logits::kAll);
    ASSERT_TRUE(rest.ok());
    EXPECT_TRUE(same_bits(Logits(rest->begin(), rest->end()),
                          Logits(reference.begin() + n_tokens / 3 * vocab_size, reference.end())));
    // Only the last row's logits: the last layer leaves the other rows out.
    session->truncate(0);
    const auto last = session->append(tokens, Session::Logits::kLast);
    ASSERT_TRUE(last.ok());
    EXPECT_TRUE(same_bits(Logits(last->begin(), last->end()), Logits(reference.end() - vocab_size, reference.end())));
  }
}

class TinyBatchInvariance : public testing::TestWithParam<const char*> {};

TEST_P(TinyBatchInvariance, ChunksThreadsAndRedo) {
  const int64_t chunks[] = {1, 2, 3, 5, 8};
  for (auto kv : {kernels::KvFormat::kF16, kernels::KvFormat::kQ8, kernels::KvFormat::kQ4}) {
    expect_invariant(test::golden_path(std::string("tiny/") + GetParam()), 60, chunks, kv);
  }
}

INSTANTIATE_TEST_SUITE_P(Architectures, TinyBatchInvariance,
                         testing::Values("llama", "mistral", "qwen2", "qwen3", "gemma3"),
                         [](const auto& info) { return std::string(info.param); });

class FamilyBatchInvariance : public testing::TestWithParam<const char*> {};

// Every storage format, and so every packed family.
TEST_P(FamilyBatchInvariance, ChunksThreadsAndRedo) {
  const std::string path = testing::TempDir() + "/tiny_" + GetParam() + ".gguf";
  ASSERT_TRUE(test::write_tiny_gguf(path, *tensor::storage_type_from_name(GetParam())).ok());
  const int64_t chunks[] = {1, 2, 3, 5, 8, 64};
  expect_invariant(path, 80, chunks);
  std::filesystem::remove(path);
}

INSTANTIATE_TEST_SUITE_P(Formats, FamilyBatchInvariance,
                         testing::Values("F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K",
                                         "Q4_K", "Q5_K", "Q6_K", "IQ4_NL", "IQ4_XS"),
                         [](const auto& info) { return std::string(info.param); });

TEST(BatchInvariance, LargerModels) {
  if (!std::getenv("CALLIE_FULL")) GTEST_SKIP() << "set CALLIE_FULL=1 for the larger models";
  for (const char* name : {"smollm2-135m", "qwen2.5-coder-0.5b", "qwen2.5-coder-1.5b", "gemma-3-270m"}) {
    const std::string path = test::real_model(name);
    if (path.empty()) continue;
    const int64_t chunks[] = {1, 2, 3, 5, 8, 64, 512};
    expect_invariant(path, 520, chunks);
  }
}

TEST(BatchInvariance, SmolLm2) {
  const std::string path = test::real_model("smollm2-135m");
  if (path.empty()) GTEST_SKIP() << "smollm2-135m is not here";
  const int64_t chunks[] = {1, 2, 3, 5, 8, 64, 512};
  expect_invariant(path, 520, chunks);
}

// Company: rows of several sequences in one pass, in any order of lengths, give each the logits it has alone.
TEST(BatchInvariance, CompanyOfOtherSequences) {
  ThreadPool pool(2);
  const auto model = test::load_or_fail(test::golden_path("tiny/qwen2"), pool);
  ASSERT_TRUE(model);
  const nn::DecoderSpec& spec = model->spec();
  const auto tokens = text(40, spec.vocab_size);
  const auto alone_session = test::session_or_fail(model, pool);
  const Logits alone = in_chunks(*alone_session, tokens, 40);

  auto layout = kernels::make_kv_layout(kernels::KvFormat::kF16, kernels::KvFormat::kF16, 16,
                                        static_cast<int>(spec.n_kv_heads), static_cast<int>(spec.head_dim),
                                        static_cast<int>(spec.head_dim));
  ASSERT_TRUE(layout.ok());
  auto cache = KvCache::create(*layout, static_cast<int64_t>(spec.layers.size()), 32);
  ASSERT_TRUE(cache.ok());
  ModelRunner runner(model, 128, nn::Precision::kDefault, pool);
  // Sequences 0, 1, 2 with scattered blocks; in each round each goes on by another number of tokens.
  const std::vector<std::vector<int32_t>> blocks = {{5, 1, 9}, {0, 7, 3}, {12, 30, 31}};
  std::vector<nn::SequencePages> pages;
  for (const auto& list : blocks) pages.push_back({list});
  int64_t done[3] = {0, 0, 0};
  for (int round = 0; round < 12; ++round) {
    std::vector<nn::ForwardRow> rows;
    for (int s = 0; s < 3; ++s) {
      const int64_t n = std::min<int64_t>((round * (s + 3) + s) % 7, 40 - done[s]);
      for (int64_t i = 0; i < n; ++i) {
        nn::ForwardRow row;
        row.token = tokens[done[s] + i];
        row.sequence = s;
        row.position = row.rope_position = row.slot = static_cast<int32_t>(done[s] + i);
        row.wants_logits = true;
        rows.push_back(row);
      }
      done[s] += n;
    }
    if (rows.empty()) continue;
    const auto logits = runner.forward({rows, pages, cache->storage()});
    for (size_t i = 0; i < rows.size(); ++i) {
      EXPECT_EQ(std::memcmp(logits.data() + i * spec.vocab_size, alone.data() + rows[i].position * spec.vocab_size,
                            spec.vocab_size * sizeof(float)),
                0)
          << "sequence " << rows[i].sequence << ", position " << rows[i].position;
    }
  }
}

// A tree of drafts: each path's logits are those of the same tokens in a row.
TEST(BatchInvariance, TreeRowsEqualChains) {
  ThreadPool pool(2);
  const auto model = test::load_or_fail(test::golden_path("tiny/llama"), pool);
  ASSERT_TRUE(model);
  const nn::DecoderSpec& spec = model->spec();
  const auto prompt = text(20, spec.vocab_size);
  const auto session = test::session_or_fail(model, pool);
  auto layout = kernels::make_kv_layout(kernels::KvFormat::kF16, kernels::KvFormat::kF16, 16,
                                        static_cast<int>(spec.n_kv_heads), static_cast<int>(spec.head_dim),
                                        static_cast<int>(spec.head_dim));
  ASSERT_TRUE(layout.ok());
  auto cache = KvCache::create(*layout, static_cast<int64_t>(spec.layers.size()), 4);
  ASSERT_TRUE(cache.ok());
  ModelRunner runner(model, 64, nn::Precision::kDefault, pool);
  const std::vector<int32_t> blocks = {2, 0, 3};
  const nn::SequencePages pages{blocks};
  std::vector<nn::ForwardRow> rows;
  for (int32_t i = 0; i < 20; ++i) {
    nn::ForwardRow row;
    row.token = prompt[i];
    row.position = row.rope_position = row.slot = i;
    rows.push_back(row);
  }
  runner.forward({rows, {&pages, 1}, cache->storage()});

  // token, parent
  const std::vector<std::pair<int32_t, int32_t>> tree = {{5, -1}, {6, 0}, {7, 0}, {8, 1}, {9, 2}, {10, 2}, {11, 4}};
  rows.clear();
  for (size_t i = 0; i < tree.size(); ++i) {
    nn::ForwardRow row;
    row.token = tree[i].first;
    row.parent = tree[i].second;
    row.position = row.rope_position = row.parent < 0 ? 20 : rows[row.parent].position + 1;
    row.slot = 20 + static_cast<int32_t>(i);
    row.wants_logits = true;
    rows.push_back(row);
  }
  const auto logits = runner.forward({rows, {&pages, 1}, cache->storage()});
  const Logits tree_logits(logits.begin(), logits.end());
  for (size_t i = 0; i < tree.size(); ++i) {
    std::vector<int32_t> path;
    for (int32_t at = static_cast<int32_t>(i); at >= 0; at = tree[at].second) path.insert(path.begin(), tree[at].first);
    session->truncate(0);
    ASSERT_TRUE(session->append(prompt, Session::Logits::kNone).ok());
    const auto chain = session->append(path, Session::Logits::kLast);
    ASSERT_TRUE(chain.ok());
    EXPECT_EQ(std::memcmp(tree_logits.data() + i * spec.vocab_size, chain->data(), spec.vocab_size * sizeof(float)), 0)
        << "node " << i;
  }
}

}  // namespace
}  // namespace callie
