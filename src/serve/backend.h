#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/status.h"
#include "engine/sampler.h"
#include "engine/token_mask.h"
#include "sched/scheduler.h"

namespace callie {
class ChatTemplate;
class GrammarCompiler;
class Tokenizer;
}  // namespace callie

namespace callie::serve {

/// One answer to be generated.
struct AnswerRequest {
  std::vector<int32_t> prompt;
  SamplingOptions sampling;
  std::unique_ptr<TokenMask> mask;  ///< may be null
  int32_t max_new = 0;              ///< 0 = to the end of the context
  bool ignore_eos = false;
  bool show_special = false;  ///< control tokens appear in the text (where tool calls are told by them)
  std::vector<std::string> stop;
  int top_logprobs = -1;  ///< -1 = no log-probabilities; 0 = of the chosen token only
  int32_t priority = 0;
  double timeout_s = sched::kNever;  ///< from now
  uint64_t salt = 0;                 ///< prefixes are shared only between requests of equal salt
};

struct TokenInfo {
  int32_t id = 0;
  float logprob = 0;
  std::vector<TokenLogprob> top;
};

/// What a step added to an answer. `text` may be empty while a character or a stop string is held back.
struct GenerationDelta {
  std::string text;
  std::vector<TokenInfo> tokens;  ///< only with log-probabilities
  int32_t n_tokens = 0;           ///< generated since the delta before
};

struct GenerationEnd {
  sched::FinishReason reason = sched::FinishReason::kStop;
  Status status;  ///< why, for kError
  int32_t prompt_tokens = 0, cached_tokens = 0, output_tokens = 0;
  int stop_index = -1;  ///< the stop string that ended it
  double queue_s = 0, ttft_s = 0, total_s = 0;
  uint64_t logits_hash = 0;
};

/// Where an answer goes. Called on the engine's thread; must return at once.
class GenerationSink {
 public:
  virtual ~GenerationSink() = default;
  virtual void on_delta(GenerationDelta delta) = 0;
  /// Exactly once, last.
  virtual void on_end(const GenerationEnd& end) = 0;
};

struct ModelInfo {
  std::string id;
  int64_t created = 0;  ///< Unix time of the file
  int32_t context = 0;  ///< tokens of prompt and answer together
  std::string fingerprint;
  bool generates = true;  ///< false for an embedding model
  bool embeds = false;
};

/// Figures of one model for /metrics and the page.
struct BackendStats {
  int32_t waiting = 0, running = 0;
  int32_t blocks = 0, blocks_used = 0, blocks_cached = 0;
  int64_t prompt_tokens = 0, cached_tokens = 0, output_tokens = 0;
  int64_t finished = 0, preemptions = 0, steps = 0, drafted = 0, accepted = 0;
  double step_s = 0, host_s = 0;  ///< sums over steps; step_s includes host_s
  int64_t batch_tokens = 0;       ///< sum over steps
  int64_t batch_sequences = 0;    ///< sum over steps
};

/// A loaded model as the API sees it. All functions may be called from any thread.
class Backend {
 public:
  virtual ~Backend() = default;
  virtual const ModelInfo& info() const = 0;
  virtual const Tokenizer& tokenizer() const = 0;
  /// Null where the model has no chat template.
  virtual const ChatTemplate* chat_template() const = 0;
  /// Built at the first use (tens of milliseconds).
  virtual StatusOr<std::shared_ptr<const GrammarCompiler>> grammars() = 0;

  /// Queues an answer; the id is for cancel(). Errors: kResourceExhausted (queue full), kInvalidArgument (too long),
  /// kUnavailable (shutting down).
  virtual StatusOr<uint64_t> generate(AnswerRequest request, std::shared_ptr<GenerationSink> sink) = 0;
  virtual void cancel(uint64_t id) = 0;

  struct Embedding {
    std::vector<float> values;
    int32_t tokens = 0;
  };
  using Embedded = std::function<void(StatusOr<std::vector<Embedding>>)>;
  /// Queues token sequences; `done` is called once, on the model's thread, and must return at once. Errors:
  /// kResourceExhausted (queue full), kUnavailable (shutting down), kUnimplemented.
  virtual Status embed(std::vector<std::vector<int32_t>> inputs, Embedded done) = 0;

  /// Ends every open answer as cancelled and refuses new ones. After it returns nobody is called back any more.
  virtual void stop() = 0;

  virtual BackendStats stats() const = 0;
  /// The last steps as JSON lines (the fields of the step log), oldest first.
  virtual std::string debug_steps() const = 0;
};

}  // namespace callie::serve
