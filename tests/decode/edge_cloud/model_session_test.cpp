// The state machines with real models behind them: tokens and logits hash of plain decoding, whatever the mode, the
// draft and the network.

#include <gtest/gtest.h>

#include "decode/edge_cloud/closing_line.h"
#include "decode/edge_cloud/model_draft.h"
#include "decode/edge_cloud/model_target.h"
#include "decode/edge_cloud/simulation.h"
#include "decode/generate.h"
#include "engine/model_fixture.h"

namespace callie::edge_cloud {
namespace {

// The model's outcomes in fixed times.
class FixedTimes : public SyncTarget {
 public:
  explicit FixedTimes(ModelTarget& target) : target_(target) {}
  Status open(SessionId session, const Open& request) override { return target_.open(session, request); }
  void evict(SessionId session) override { target_.evict(session); }
  void close(SessionId session) override { target_.close(session); }
  int cache_length(SessionId session) const override { return target_.cache_length(session); }
  TimeNs run(std::span<PassJob> jobs, const std::function<void(const ExitReport&)>& on_exit) override {
    target_.run(jobs, [&](ExitReport report) {
      report.at = (report.exit + 1) * 10 * kMillisecond;
      on_exit(report);
    });
    for (PassJob& job : jobs) job.result.verify_us = 30000;
    return 30 * kMillisecond;
  }

 private:
  ModelTarget& target_;
};

struct Task {
  std::vector<TokenId> prompt = {72, 101, 108, 108, 111, 32, 72, 101, 108};
  SamplingOptions sampling;
  decode::GenerateOptions options;
  std::string grammar;  // Lark; "" = none
  int context = 256;
};

Task greedy(int n) {
  Task task;
  task.sampling.temperature = 0;
  task.options.max_new = n;
  task.options.ignore_eos = true;
  return task;
}

struct Answer {
  std::vector<TokenId> tokens;
  uint64_t hash = 0;
};

class Pair {
 public:
  Pair(const std::string& target, const std::string& draft) : pool_(1) {
    target_ = test::load_or_fail(target, pool_);
    draft_ = draft == target ? target_ : test::load_or_fail(draft, pool_);
  }

  Answer plain(const Task& task) {
    SessionOptions options;
    options.context = task.context;
    const auto session = test::session_or_fail(target_, pool_, options);
    Sampler sampler = make_sampler(task, *target_);
    decode::LogitsHash hash;
    decode::PlainStrategy strategy(*session, sampler, &hash);
    const auto result = decode::generate(*session, strategy, task.prompt, task.options);
    EXPECT_TRUE(result.ok()) << result.status().message();
    return {result->token_ids, hash.digest()};
  }

  Open request(const Task& task) const {
    Open open;
    open.tokenizer_hash = 1;
    open.template_hash = 2;
    open.effective_vocab = static_cast<uint32_t>(target_->tokenizer().vocab_size());
    open.sampling = to_wire(task.sampling);
    open.sampling.stop = task.options.stops;
    if (!task.grammar.empty()) open.sampling.constraint = {Constraint::Kind::kLark, task.grammar};
    open.prompt_ids = task.prompt;
    open.max_new = static_cast<int>(task.options.max_new);
    open.ignore_end = task.options.ignore_eos;
    return open;
  }

  std::unique_ptr<ModelDraft> draft(const Task& task) {
    SessionOptions options;
    options.context = task.context + 16;
    return std::make_unique<ModelDraft>(draft_, test::session_or_fail(draft_, pool_, options), make_sampler(task, *draft_),
                                        static_cast<int>(task.prompt.size()), 0);
  }

  std::unique_ptr<ModelTarget> make_target(int context, int max_seqs = 8, int64_t kv_memory = 0) {
    ExecutorOptions options;
    options.context = context;
    options.sched.max_seqs = max_seqs;
    options.sched.token_budget = 64;
    options.kv_memory = kv_memory;
    auto target = ModelTarget::create(target_, options, pool_, clock_, exits);
    EXPECT_TRUE(target.ok()) << target.status().message();
    return std::move(*target);
  }

  ServerInfo info() const {
    return {"model", 1, 2, static_cast<uint32_t>(target_->tokenizer().vocab_size()),
            exits ? exits->permille() : std::vector<uint32_t>(), {}};
  }
  std::function<bool(TokenId)> ends(const Task& task) const {
    return [this, ignore = task.options.ignore_eos](TokenId t) {
      return !ignore && target_->tokenizer().is_end_of_generation(t);
    };
  }

  // Runs one session; `disturb` may plan cuts and restarts. `frames` (may be null) receives the number delivered.
  Answer split(const Task& task, ClientOptions options, const std::function<void(Simulation&)>& disturb = {},
               int64_t* frames = nullptr, ServerLimits limits = {}) {
    LinkModel link;
    link.one_way = 10 * kMillisecond;
    Simulation simulation(link, 3);
    const auto target = make_target(task.context);
    FixedTimes timed(*target);
    limits.max_context = task.context;
    simulation.add_server(info(), limits, timed);
    const auto model = draft(task);
    TimedDraft timed_draft(*model, simulation.client_clock(0), [](int) { return 3 * kMillisecond; });
    simulation.add_client(request(task), options, timed_draft, ends(task));
    simulation.check_always(true);
    if (disturb) disturb(simulation);
    const Status status = simulation.run(6000 * kSecond);
    EXPECT_TRUE(status.ok()) << status.message();
    if (frames) *frames = simulation.frames();
    stats = simulation.client(0).stats();
    return {simulation.emitted(0), simulation.client(0).logits_hash()};
  }

  // Exits after the first layer: the logit lens, right now and then.
  void add_exits() {
    const auto& norm = target_->decoder().weights().output_norm;
    const auto n = static_cast<int64_t>(norm.size());
    ExitFile file;
    file.head_rows = target_->spec().vocab_size;
    file.exits.push_back({0, 1, std::vector<float>(n * n, 0), std::vector<float>(n, 0)});
    for (int64_t i = 0; i < n; ++i) file.exits[0].map[i * n + i] = norm[i];
    const auto heads = ExitHeads::create(file, target_, Context{&pool_});
    ASSERT_TRUE(heads.ok()) << heads.status().message();
    exits = *heads;
  }

  const Model& target() const { return *target_; }
  ThreadPool& pool() { return pool_; }
  ClientStats stats;
  std::shared_ptr<const ExitHeads> exits;

 private:
  static Sampler make_sampler(const Task& task, const Model& model) {
    if (task.grammar.empty()) return Sampler(task.sampling);
    auto compiled = (*GrammarCompiler::create(model.tokenizer()))->compile(GrammarCompiler::Kind::kLark, task.grammar);
    EXPECT_TRUE(compiled.ok()) << compiled.status().message();
    return Sampler(task.sampling, std::move(compiled->mask));
  }

  ThreadPool pool_;
  ManualClock clock_;
  std::shared_ptr<const Model> target_, draft_;
};

std::string tiny(const std::string& name) { return test::golden_path("tiny/" + name); }

void expect_equal(const Answer& expected, const Answer& got, const std::string& what) {
  EXPECT_EQ(expected.tokens, got.tokens) << what;
  EXPECT_EQ(expected.hash, got.hash) << what;
}

TEST(EdgeCloudModels, EveryModeAndDraftLengthEqualsPlain) {
  int64_t answers = 0, tokens = 0;
  for (const char* draft : {"llama", "qwen2"}) {
    Pair pair(tiny("llama"), tiny(draft));
    for (float temperature : {0.0f, 0.8f}) {
      Task task = greedy(60);
      task.sampling.temperature = temperature;
      task.sampling.repeat_penalty = temperature > 0 ? 1.2f : 1;
      task.sampling.seed = 4;
      const Answer expected = pair.plain(task);
      for (Mode mode : kAllModes) {
        for (int length : {1, 4, 8}) {
          ClientOptions options;
          options.mode = mode;
          options.draft_len = length;
          expect_equal(expected, pair.split(task, options),
                       fmt::format("{} by {}, {} tokens, temperature {}", mode_name(mode), draft, length, temperature));
          ++answers;
          tokens += static_cast<int64_t>(expected.tokens.size());
        }
      }
    }
  }
  closing_line(2, "temperature 0 and 0.8, ids and hashes", {{"answers", answers}, {"tokens", tokens}, {"different", 0}});
}

TEST(EdgeCloudModels, HintsOfRealExitsChangeNothing) {
  Pair pair(tiny("llama"), tiny("qwen2"));
  pair.add_exits();
  int64_t hints = 0, hits = 0;
  for (float temperature : {0.0f, 0.9f}) {
    Task task = greedy(60);
    task.sampling.temperature = temperature;
    task.sampling.seed = 5;
    const Answer expected = pair.plain(task);
    for (Mode mode : {Mode::kHint, Mode::kFull, Mode::kAdaptive}) {
      ClientOptions options;
      options.mode = mode;
      ServerLimits limits;
      limits.hint_confidence = 0;
      expect_equal(expected, pair.split(task, options, {}, nullptr, limits),
                   fmt::format("{}, temperature {}", mode_name(mode), temperature));
      hints += pair.stats.hint_rounds;
      hits += pair.stats.hint_hits;
      EXPECT_LE(pair.stats.hints_early, pair.stats.hint_rounds);
    }
  }
  EXPECT_GT(hints, 50);
  EXPECT_GT(hits, 0);
  closing_line(2, "hints of real exits", {{"hints", hints}, {"hits", hits}, {"different", 0}});
}

TEST(EdgeCloudModels, AnEqualDraftIsAcceptedWholeAtAnyTemperature) {
  Pair pair(tiny("llama"), tiny("llama"));
  for (float temperature : {0.0f, 0.8f}) {
    Task task = greedy(41);
    task.sampling.temperature = temperature;
    task.sampling.repeat_penalty = 1.3f;
    ClientOptions options;
    options.mode = Mode::kSync;
    pair.split(task, options);
    EXPECT_EQ(pair.stats.accepted, pair.stats.drafted);
    EXPECT_EQ(pair.stats.rounds, 8);
  }
}

TEST(EdgeCloudModels, GrammarsConstrainBothSides) {
  Pair pair(tiny("llama"), tiny("qwen2"));
  for (const char* grammar : {"start: /(ab|ba|cc){10,20}/", "start: \"x=\" NUMBER (\",\" NUMBER)*\nNUMBER: /[0-9]{1,3}/"}) {
    for (float temperature : {0.0f, 0.9f}) {
      Task task = greedy(40);
      task.options.ignore_eos = false;
      task.grammar = grammar;
      task.sampling.temperature = temperature;
      task.sampling.repeat_penalty = 1.1f;
      const Answer expected = pair.plain(task);
      for (Mode mode : {Mode::kStreaming, Mode::kSync, Mode::kOptimistic, Mode::kAdaptive}) {
        ClientOptions options;
        options.mode = mode;
        const std::string what = fmt::format("{}, {}, temperature {}", grammar, mode_name(mode), temperature);
        expect_equal(expected, pair.split(task, options), what);
        expect_equal(expected, pair.split(task, options, [](Simulation& s) { s.restart_after(9); }), "restarted: " + what);
      }
    }
  }
  Open broken = pair.request(greedy(4));
  broken.sampling.constraint = {Constraint::Kind::kLark, "start: ("};
  EXPECT_EQ(pair.make_target(64)->open(1, broken).code(), StatusCode::kInvalidArgument);
}

TEST(EdgeCloudModels, CutsRestartsAndColdResumesEqualPlain) {
  Pair pair(tiny("llama"), tiny("qwen2"));
  Task task = greedy(40);
  task.sampling.temperature = 0.7f;
  const Answer expected = pair.plain(task);
  for (Mode mode : {Mode::kOptimistic, Mode::kStreaming}) {
    ClientOptions options;
    options.mode = mode;
    int64_t frames = 0;
    pair.split(task, options, {}, &frames);
    ServerLimits cold;
    cold.warm_ttl = 1;
    for (int64_t at = 1; at <= frames; at += 3) {
      const std::string what = fmt::format("{}, frame {}", mode_name(mode), at);
      expect_equal(expected, pair.split(task, options, [&](Simulation& s) { s.cut_after(at); }), "cut: " + what);
      expect_equal(expected, pair.split(task, options, [&](Simulation& s) { s.cut_after(at); }, nullptr, cold),
                   "cold: " + what);
      expect_equal(expected, pair.split(task, options, [&](Simulation& s) { s.restart_after(at); }), "restart: " + what);
    }
  }
}

TEST(EdgeCloudModels, StopStringsEndTokensAndAFullContextEndAlike) {
  Pair pair(tiny("llama"), tiny("llama"));
  const auto detokenize = [&](const Answer& answer) { return *pair.target().tokenizer().decode(answer.tokens); };
  const std::string whole = detokenize(pair.plain(greedy(40)));
  for (int from = 1; from + 2 <= std::min<int>(20, static_cast<int>(whole.size())); from += 3) {
    Task task = greedy(40);
    task.options.stops = {whole.substr(from, 2)};
    expect_equal(pair.plain(task), pair.split(task, {}), fmt::format("stop string from {}", from));
  }
  const int32_t end = pair.target().tokenizer().end_of_generation_ids().at(0);
  for (uint64_t seed = 0; seed < 6; ++seed) {
    Task task = greedy(60);
    task.sampling.temperature = 1;
    task.sampling.seed = seed;
    task.sampling.logit_bias = {{end, 3.0f}};
    task.options.ignore_eos = false;
    expect_equal(pair.plain(task), pair.split(task, {}), fmt::format("end token, seed {}", seed));
  }
  Task task = greedy(100);
  task.context = 50;
  Answer expected = pair.plain(task);
  const Answer got = pair.split(task, {});
  EXPECT_EQ(got.tokens, std::vector<TokenId>(expected.tokens.begin(), expected.tokens.begin() + got.tokens.size()));
  EXPECT_GE(got.tokens.size(), 41u);
}

// More clients than sequences or blocks fit: caches are given up and rebuilt, texts stay.
TEST(EdgeCloudModels, ManyClientsInLittleMemoryGetTheirSoloTokens) {
  Pair pair(tiny("llama"), tiny("qwen2"));
  for (int max_seqs : {8, 3}) {
    Simulation simulation({}, 4);
    const auto target = pair.make_target(128, max_seqs);
    FixedTimes timed(*target);
    ServerLimits limits;
    limits.max_context = 128;
    simulation.add_server(pair.info(), limits, timed);
    std::vector<Task> tasks;
    std::vector<std::unique_ptr<ModelDraft>> drafts;
    std::vector<std::unique_ptr<TimedDraft>> timed_drafts;
    for (int i = 0; i < 8; ++i) {
      Task& task = tasks.emplace_back(greedy(50));
      task.context = 128;
      task.prompt.push_back(65 + i);
      task.sampling.temperature = i % 2 ? 0.8f : 0;
      task.sampling.seed = i;
      drafts.push_back(pair.draft(task));
      timed_drafts.push_back(
          std::make_unique<TimedDraft>(*drafts.back(), simulation.client_clock(i), [](int) { return 3 * kMillisecond; }));
      ClientOptions options;
      options.mode = kAllModes[i];
      simulation.add_client(pair.request(task), options, *timed_drafts.back(), pair.ends(task), i * kMillisecond);
    }
    simulation.check_always(true);
    const Status status = simulation.run(600 * kSecond);
    ASSERT_TRUE(status.ok()) << status.message();
    for (int i = 0; i < 8; ++i) {
      expect_equal(pair.plain(tasks[i]), {simulation.emitted(i), simulation.client(i).logits_hash()},
                   fmt::format("client {} of a server with {} sequences", i, max_seqs));
    }
    EXPECT_EQ(target->executor().scheduler().stats().preemptions > 0, max_seqs < 8);
  }
  closing_line(14, "eight clients on eight and three sequences", {{"clients", 8}, {"different", 0}});
}

TEST(EdgeCloudModels, ARealModelEqualsPlain) {
  const std::string path = test::real_model("smollm2-135m");
  if (path.empty()) GTEST_SKIP() << "smollm2-135m.gguf is not in CALLIE_MODELS";
  Pair pair(path, path);
  Task task = greedy(48);
  task.prompt = *pair.target().tokenizer().encode("The capital of France is");
  const Answer expected = pair.plain(task);
  for (Mode mode : {Mode::kStreaming, Mode::kOptimistic}) {
    ClientOptions options;
    options.mode = mode;
    expect_equal(expected, pair.split(task, options), std::string(mode_name(mode)));
    expect_equal(expected, pair.split(task, options, [](Simulation& s) { s.restart_after(17); }), "restarted");
  }
}

}  // namespace
}  // namespace callie::edge_cloud
