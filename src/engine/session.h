#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "core/status.h"
#include "engine/kv_cache.h"
#include "engine/model_runner.h"
#include "sched/block_pool.h"

namespace callie {

struct SessionOptions {
  int64_t context = 0;  ///< tokens; 0 = the model's own, at most 4096
  kernels::KvFormat kv_format = kernels::KvFormat::kF16;
  int64_t kv_memory = 0;  ///< bytes for keys and values; 0 = as the context needs
  int64_t max_rows = 512;  ///< tokens of one pass
  nn::Precision precision = nn::Precision::kDefault;
};

/// One sequence on one model: a block pool of its own, the tokens so far, and passes over new ones.
class Session {
 public:
  /// Errors: kInvalidArgument (context below 1), kResourceExhausted (memory; a kv_memory too small for the context is
  /// cut to what fits).
  static StatusOr<std::unique_ptr<Session>> create(std::shared_ptr<const Model> model, const SessionOptions& options,
                                                   ThreadPool& pool);

  /// Computes `tokens` after those that are there. `logits` says which rows' logits come back: none, the last, or all
  /// (then at most max_rows tokens). Valid until the next call. Errors: kResourceExhausted when the context is full;
  /// nothing has changed then.
  enum class Logits { kNone, kLast, kAll };
  StatusOr<std::span<const float>> append(std::span<const int32_t> tokens, Logits logits, const nn::Taps* taps = nullptr);

  /// Forgets all tokens from `length` on. 0 <= length <= size().
  void truncate(int64_t length);

  int64_t size() const { return static_cast<int64_t>(tokens_.size()); }
  int64_t context() const { return context_; }
  std::span<const int32_t> tokens() const { return tokens_; }
  ModelRunner& runner() { return runner_; }
  const Model& model() const { return runner_.model(); }
  int64_t kv_bytes() const { return cache_.bytes(); }

 private:
  Session(std::shared_ptr<const Model> model, const SessionOptions& options, int64_t context, KvCache cache,
          ThreadPool& pool);

  int64_t context_;
  KvCache cache_;
  sched::BlockPool block_pool_;
  ModelRunner runner_;
  std::vector<int32_t> tokens_;
  std::vector<int32_t> blocks_;
  std::vector<nn::ForwardRow> rows_;
};

}  // namespace callie
