// Speculation changes nothing: token ids, text, end and the hash of the logits equal plain decoding's.

#include "decode/speculative/strategy.h"

#include <gtest/gtest.h>

#include "chat/grammar.h"
#include "core/philox.h"
#include "decode/generate.h"
#include "decode/speculative/draft_model.h"
#include "engine/model_fixture.h"
#include "engine/tiny_gguf.h"

namespace callie::decode {
namespace {

struct Outcome {
  Generation result;
  uint64_t hash = 0;
  Strategy::Counts counts;
};

// What is generated; the mask is cloned for every run.
struct Task {
  std::vector<int32_t> prompt = {72, 101, 108, 108, 111, 32, 72, 101, 108};
  SamplingOptions sampling;
  GenerateOptions options;
  const TokenMask* mask = nullptr;
  SessionOptions session;
};

class Pair {
 public:
  Pair(const std::string& target, const std::string& draft, int threads = 1) : pool_(threads) {
    target_ = test::load_or_fail(target, pool_);
    if (!draft.empty()) draft_ = draft == target ? target_ : test::load_or_fail(draft, pool_);
  }

  Outcome plain(const Task& task) { return run(task, nullptr); }

  Outcome speculative(const Task& task, SpeculationOptions options, int64_t head_rows = 0, int64_t draft_context = 256) {
    std::unique_ptr<DraftModel> model;
    if (draft_) {
      auto created = DraftModel::create(draft_, *target_, {.context = draft_context, .head_rows = head_rows}, pool_);
      EXPECT_TRUE(created.ok()) << created.status().message();
      model = std::move(*created);
    }
    Speculator speculator(options, std::move(model), target_->decoder().bytes_per_token());
    return run(task, &speculator);
  }

  void expect_equal(const Task& task, SpeculationOptions options, const std::string& what, int64_t head_rows = 0,
                    int64_t draft_context = 256) {
    const Outcome a = plain(task), b = speculative(task, options, head_rows, draft_context);
    EXPECT_EQ(a.result.token_ids, b.result.token_ids) << what;
    EXPECT_EQ(a.hash, b.hash) << what;
    EXPECT_EQ(a.result.text, b.result.text) << what;
    EXPECT_EQ(a.result.finish_reason, b.result.finish_reason) << what;
    EXPECT_LE(b.counts.accepted, b.counts.drafted) << what;
    EXPECT_LE(b.counts.passes, a.counts.passes) << what;
    total_.drafted += b.counts.drafted;
    total_.accepted += b.counts.accepted;
  }

  const Model& target() const { return *target_; }
  const Strategy::Counts& total() const { return total_; }

 private:
  Outcome run(const Task& task, Speculator* speculator) {
    SessionOptions session_options = task.session;
    if (session_options.context == 0) session_options.context = 128;
    const auto session = test::session_or_fail(target_, pool_, session_options);
    Sampler sampler(task.sampling, task.mask ? task.mask->clone() : nullptr);
    LogitsHash hash;
    const auto strategy = make_strategy(*session, sampler, &hash, speculator);
    std::string shown;
    auto result = generate(*session, *strategy, task.prompt, task.options, [&](std::string_view text) {
      shown += text;
      return true;
    });
    EXPECT_TRUE(result.ok()) << result.status().message();
    if (!result.ok()) return {};
    EXPECT_EQ(shown, result->text);
    EXPECT_EQ(session->size(), result->prompt_tokens + static_cast<int64_t>(result->token_ids.size()) - 1);
    return {*result, hash.digest(), strategy->counts()};
  }

  ThreadPool pool_;
  std::shared_ptr<const Model> target_, draft_;
  Strategy::Counts total_;
};

std::string tiny(const std::string& name) { return test::golden_path("tiny/" + name); }

Task greedy(int64_t n) {
  Task task;
  task.sampling.temperature = 0;
  task.options.max_new = n;
  task.options.ignore_eos = true;
  return task;
}

// Draft and target: the same model (every draft stands) and an unrelated one (hardly any does).
TEST(Speculation, EveryDraftLengthEqualsPlain) {
  for (const char* draft : {"llama", "qwen2", ""}) {
    Pair pair(tiny("llama"), *draft ? tiny(draft) : "");
    for (int length : {SpeculationOptions::kAutomatic, 1, 2, 3, 4, 5, 7, 8, 13}) {
      for (float temperature : {0.0f, 0.9f}) {
        Task task = greedy(60);
        task.sampling.temperature = temperature;
        task.sampling.seed = 11 + length;
        pair.expect_equal(task, {.draft_len = length},
                          fmt::format("draft '{}', length {}, temperature {}", draft, length, temperature));
      }
    }
  }
}

TEST(Speculation, AnEqualDraftIsAcceptedWholeAtAnyTemperature) {
  Pair pair(tiny("qwen3"), tiny("qwen3"));
  for (float temperature : {0.0f, 0.7f, 2.0f}) {
    Task task = greedy(21);  // with the prompt well inside the tiny model's context
    task.sampling.temperature = temperature;
    task.sampling.top_k = 0;
    task.sampling.top_p = 1;
    const Outcome outcome = pair.speculative(task, {.draft_len = 4});
    EXPECT_EQ(outcome.counts.passes, 4);  // 20 tokens behind the first, five a pass
    EXPECT_EQ(outcome.counts.accepted, 16);
    EXPECT_EQ(outcome.counts.drafted, 16);
  }
}

TEST(Speculation, RandomConfigurationsEqualPlain) {
  SequentialRng rng(5, Purpose::kTest);
  const auto below = [&](uint32_t n) { return static_cast<int>(rng.next_u32() % n); };
  const char* names[] = {"llama", "qwen2", "qwen3", "gemma3", "mistral", ""};
  for (int i = 0; i < 60; ++i) {
    const std::string target = names[below(5)], draft = below(3) == 0 ? target : names[below(6)];
    Pair pair(tiny(target), draft.empty() ? "" : tiny(draft), i % 20 == 0 ? 2 : 1);
    Task task;
    task.prompt.clear();
    for (int k = 2 + below(60); k > 0; --k) task.prompt.push_back(below(4) == 0 ? below(256) : 32 + below(4));
    task.sampling.temperature = below(3) == 0 ? 0.0f : 0.2f * static_cast<float>(below(8));
    task.sampling.seed = rng.next_u32();
    task.sampling.top_k = below(2) * below(60);
    task.sampling.top_p = below(2) ? 1.0f : 0.8f;
    task.sampling.min_p = below(2) ? 0.0f : 0.05f;
    if (below(2)) task.sampling.repeat_penalty = 1.0f + 0.1f * static_cast<float>(below(8));
    if (below(3) == 0) task.sampling.presence_penalty = 0.7f;
    if (below(3) == 0) task.sampling.frequency_penalty = 0.3f;
    for (int k = below(4); k > 0; --k) task.sampling.logit_bias.push_back({below(256), static_cast<float>(below(9) - 4)});
    task.options.max_new = 1 + below(50);
    task.options.ignore_eos = below(2);
    task.session.context = 40 + below(70);  // often full before max_new
    if (static_cast<int64_t>(task.prompt.size()) >= task.session.context) task.session.context = 128;
    task.session.kv_format = below(2) ? kernels::KvFormat::kF16 : kernels::KvFormat::kQ8;
    SpeculationOptions options;
    if (below(2)) options.draft_len = 1 + below(12);
    options.min_match = 2 + below(2);
    const int64_t head_rows = below(2) ? 0 : 16 * (1 + below(12));
    const int64_t draft_context = below(2) ? 256 : 16 + below(40);  // shorter than the text: a sliding draft
    pair.expect_equal(task, options, fmt::format("configuration {}: {} drafted by '{}'", i, target, draft), head_rows,
                      draft_context);
  }
}

TEST(Speculation, StopStringsAndEndTokensCutInsideADraft) {
  Pair pair(tiny("llama"), tiny("llama"));
  const Outcome whole = pair.plain(greedy(40));
  for (int from = 1; from < 20; ++from) {
    if (from + 2 > static_cast<int>(whole.result.text.size())) break;
    Task task = greedy(40);
    task.options.stops = {whole.result.text.substr(from, 2)};
    pair.expect_equal(task, {.draft_len = 6}, fmt::format("stop string from {}", from));
  }
  // The end token's bias makes it come up early; everything behind it is neither hashed nor taken by the sampler.
  const int32_t end = pair.target().tokenizer().end_of_generation_ids().at(0);
  for (float bias : {1.0f, 2.0f, 3.0f, 4.0f}) {
    for (uint64_t seed = 0; seed < 8; ++seed) {
      Task task = greedy(60);
      task.sampling.temperature = 1;
      task.sampling.seed = seed;
      task.sampling.logit_bias = {{end, bias}};
      task.options.ignore_eos = false;
      pair.expect_equal(task, {.draft_len = 5}, fmt::format("end token, bias {}, seed {}", bias, seed));
    }
  }
}

TEST(Speculation, GrammarsHoldInsideADraft) {
  Pair pair(tiny("llama"), tiny("llama"));
  Pair unrelated(tiny("llama"), tiny("qwen3"));
  Pair lookup(tiny("llama"), "");
  const auto compiler = GrammarCompiler::create(pair.target().tokenizer());
  ASSERT_TRUE(compiler.ok()) << compiler.status().message();
  const std::pair<GrammarCompiler::Kind, const char*> grammars[] = {
      {GrammarCompiler::Kind::kRegex, "(ab|ba|cc){3,20}"},
      {GrammarCompiler::Kind::kRegex, "[0-9]{2}-[0-9]{2}-[a-f]{4}"},
      {GrammarCompiler::Kind::kJsonSchema,
       R"({"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "boolean"}},
           "required": ["a", "b"], "additionalProperties": false})"}};
  for (const auto& [kind, source] : grammars) {
    const auto compiled = (*compiler)->compile(kind, source);
    ASSERT_TRUE(compiled.ok()) << compiled.status().message();
    for (int length : {SpeculationOptions::kAutomatic, 1, 3, 9}) {
      for (float temperature : {0.0f, 1.0f}) {
        Task task = greedy(28);
        task.options.ignore_eos = false;
        task.sampling.temperature = temperature;
        task.sampling.seed = 3;
        task.mask = compiled->mask.get();
        const std::string what = fmt::format("grammar {}, length {}, temperature {}", source, length, temperature);
        pair.expect_equal(task, {.draft_len = length}, what);
        unrelated.expect_equal(task, {.draft_len = length}, what + ", unrelated draft");
        lookup.expect_equal(task, {.draft_len = length}, what + ", look-up");
      }
    }
  }
  // The draft keeps to the grammar too; only an automatic choice may have looked something up instead.
  EXPECT_GE(pair.total().accepted, 0.95 * static_cast<double>(pair.total().drafted));
}

TEST(Speculation, ALaterTurnKeepsTheCachesAndStaysEqual) {
  ThreadPool pool(1);
  const auto model = test::load_or_fail(tiny("llama"), pool);
  SamplingOptions sampling;
  sampling.temperature = 0.8f;
  GenerateOptions options;
  options.max_new = 20;
  options.ignore_eos = true;
  auto draft = DraftModel::create(model, *model, {.context = 256}, pool);
  ASSERT_TRUE(draft.ok());
  Speculator speculator({.draft_len = 3}, std::move(*draft), model->decoder().bytes_per_token());
  std::vector<std::vector<int32_t>> turns[2];
  for (Speculator* used : {static_cast<Speculator*>(nullptr), &speculator}) {
    const auto session = test::session_or_fail(model, pool, {.context = 256});
    std::vector<int32_t> text = {72, 101, 108, 108, 111};
    for (int turn = 0; turn < 4; ++turn) {
      Sampler sampler(sampling);
      const auto strategy = make_strategy(*session, sampler, nullptr, used);
      const auto result = generate(*session, *strategy, text, options);
      ASSERT_TRUE(result.ok()) << result.status().message();
      turns[used != nullptr].push_back(result->token_ids);
      text.insert(text.end(), result->token_ids.begin(), result->token_ids.end());
      if (turn == 2) text.resize(3);  // a conversation that begins anew
      for (int32_t token : {10, 72, 105, 10}) text.push_back(token);
    }
  }
  EXPECT_EQ(turns[0], turns[1]);
}

TEST(Speculation, AnotherVocabularyIsRefused) {
  ThreadPool pool(1);
  const auto target = test::load_or_fail(tiny("llama"), pool);
  const std::string path = testing::TempDir() + "speculation_other_vocabulary.gguf";
  ASSERT_TRUE(test::write_tiny_gguf(path, tensor::StorageType::kF32).ok());
  const auto draft = test::load_or_fail(path, pool);
  const auto created = DraftModel::create(draft, *target, {}, pool);
  ASSERT_FALSE(created.ok());
  EXPECT_EQ(created.status().code(), StatusCode::kInvalidArgument);
  EXPECT_NE(created.status().message().find("vocabularies differ"), std::string::npos) << created.status().message();
  EXPECT_NE(created.status().message().find(path), std::string::npos);
  std::filesystem::remove(path);
}

TEST(Speculation, LookUpOnARealModel) {
  const std::string path = test::real_model("smollm2-135m");
  if (path.empty()) GTEST_SKIP() << "smollm2-135m.gguf is not in CALLIE_MODELS";
  Pair pair(path, "");
  const auto prompt = pair.target().tokenizer().encode(
      "Repeat this list twice: alpha, beta, gamma, delta.\nalpha, beta, gamma, delta.\nalpha, beta, gamma, delta.\nalpha,");
  ASSERT_TRUE(prompt.ok());
  for (float temperature : {0.0f, 0.8f}) {
    Task task = greedy(32);
    task.prompt = *prompt;
    task.session.context = 256;
    task.sampling.temperature = temperature;
    pair.expect_equal(task, {}, "automatic");
    pair.expect_equal(task, {.draft_len = 7}, "seven tokens");
  }
  EXPECT_GT(pair.total().accepted, 20);
}

}  // namespace
}  // namespace callie::decode
