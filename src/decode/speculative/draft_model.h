#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "core/status.h"
#include "decode/speculative/drafter.h"
#include "engine/partial_head.h"
#include "engine/kv_cache.h"
#include "engine/model_runner.h"
#include "sched/block_pool.h"

namespace callie::decode {

struct DraftModelOptions {
  int64_t context = 4096;       ///< tokens of one sequence; of a longer one the draft sees the end only
  int32_t max_sequences = 1;
  int64_t head_rows = 16384;    ///< of the draft's head, the most frequent tokens; 0 = all
  int64_t max_rows = 512;       ///< tokens of one pass
  kernels::KvFormat kv_format = kernels::KvFormat::kF16;
};

/// Whether two models mean the same text by the same token ids. Errors: kInvalidArgument names both files and the first
/// token that differs.
Status check_same_vocabulary(const Model& draft, const Model& target);

/// A small model as a drafter. A guess is what the target's own sampler (noise, penalties, constraint) would choose from
/// the small model's logits.
class DraftModel : public Drafter {
 public:
  /// Errors: those of check_same_vocabulary; kResourceExhausted (memory).
  static StatusOr<std::unique_ptr<DraftModel>> create(std::shared_ptr<const Model> draft, const Model& target,
                                                      const DraftModelOptions& options, ThreadPool& pool);

  Status follow(uint64_t sequence, std::span<const int32_t> tokens) override;
  void forget(uint64_t sequence) override;
  int64_t lag(uint64_t sequence, std::span<const int32_t> tokens) const override;
  void extend(std::span<Extension> extensions) override;
  void catch_up(uint64_t sequence, int64_t most) override;
  bool ends(int32_t token) const override { return model().tokenizer().is_end_of_generation(token); }
  int64_t step_bytes() const override;

  const Model& model() const { return runner_.model(); }
  int64_t head_rows() const { return head_.rows(); }

 private:
  struct Lane {
    std::vector<int32_t> tokens;  // from `base` on
    int64_t base = 0;             // tokens of the sequence before the first one seen
    int64_t computed = 0;         // leading ones of `tokens` in the cache
    std::vector<int32_t> blocks;
  };
  DraftModel(std::shared_ptr<const Model> draft, int64_t target_vocab_size, const DraftModelOptions& options,
             KvCache cache, ThreadPool& pool);
  bool reserve(Lane& lane, int64_t length);
  void shrink(Lane& lane, int64_t length);
  void add_rows(const Lane& lane, int64_t n, bool logits);

  DraftModelOptions options_;
  KvCache cache_;
  sched::BlockPool pool_;
  ModelRunner runner_;
  PartialHead head_;
  std::vector<float> full_;  // [target's vocabulary]; -infinity where the head has no row
  std::unordered_map<uint64_t, Lane> lanes_;
  std::vector<nn::ForwardRow> rows_;
  std::vector<nn::SequencePages> pages_;
};

}  // namespace callie::decode
