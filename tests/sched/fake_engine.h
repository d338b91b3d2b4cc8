#pragma once

#include <gtest/gtest.h>

#include <map>
#include <vector>

#include "core/philox.h"
#include "sched/scheduler.h"

namespace callie::sched {

/// A stand-in for a model in tests of the scheduler alone: the "keys and values" of a position are a hash of all tokens
/// up to it, and the next token is a function of that hash. It keeps them in blocks as an engine does, and checks at
/// every row that the blocks hold what the sequence's own tokens say. So a block shared, copied, or reused wrongly is
/// found, and outputs can be compared with those of a sequence alone.
class FakeEngine {
 public:
  explicit FakeEngine(const BlockPool& pool)
      : size_(pool.block_size()), cells_(static_cast<size_t>(pool.n_blocks()) * pool.block_size(), 0) {}

  static uint64_t extend(uint64_t hash, int32_t token) {
    return (hash ^ static_cast<uint32_t>(token)) * 0x9E3779B97F4A7C15u + (hash >> 29) + 1;
  }
  static int32_t next_token(uint64_t hash) { return static_cast<int32_t>((hash >> 33) % 50); }

  /// Runs a step of `scheduler` and commits it at `now`. `end_token` ends a sequence.
  void step(Scheduler& scheduler, const StepPlan& plan, double now, int32_t end_token = -1) {
    for (const BlockCopy& copy : plan.copies) {
      for (int32_t i = 0; i < size_; ++i) cell(copy.to, i) = cell(copy.from, i);
    }
    std::vector<std::vector<int32_t>> tokens(plan.rows.size());
    std::vector<RowResult> results(plan.rows.size());
    for (size_t r = 0; r < plan.rows.size(); ++r) run_row(scheduler, plan.rows[r], end_token, tokens[r], results[r]);
    scheduler.commit(results, now);
  }

  /// The output of a request that runs alone.
  static std::vector<int32_t> alone(const std::vector<int32_t>& prompt, int32_t max_new, int32_t end_token = -1) {
    uint64_t hash = 0;
    for (int32_t token : prompt) hash = extend(hash, token);
    std::vector<int32_t> out;
    while (static_cast<int32_t>(out.size()) < max_new) {
      out.push_back(next_token(hash));
      if (out.back() == end_token) break;
      hash = extend(hash, out.back());
    }
    return out;
  }

  int64_t computed = 0;  ///< tokens, over all steps
  std::map<uint64_t, int64_t> computed_by_request;

 private:
  uint64_t& cell(BlockId id, int32_t offset) { return cells_[static_cast<size_t>(id) * size_ + offset]; }

  void run_row(Scheduler& scheduler, const Row& row, int32_t end_token, std::vector<int32_t>& out, RowResult& result) {
    const Sequence& s = scheduler.sequence(row.handle);
    uint64_t hash = 0;
    for (int32_t i = 0; i < row.start; ++i) {
      hash = extend(hash, s.tokens[i]);
      ASSERT_EQ(cell(s.blocks[i / size_], i % size_), hash) << "request " << s.request_id << " position " << i;
    }
    for (int32_t k = 0; k < row.n_tokens; ++k) {
      const int32_t position = row.start + k;
      const int32_t n_known = row.n_tokens - row.n_draft;
      const int32_t token = k < n_known ? s.tokens[position] : s.draft[k - n_known];
      hash = extend(hash, token);
      cell(s.blocks[position / size_], position % size_) = hash;
      if (!row.samples || k < n_known - 1) continue;
      out.push_back(next_token(hash));
      if (out.back() == end_token) result.finish = FinishReason::kStop;
      if (result.finish != FinishReason::kNone) break;
      const int32_t next_draft = k + 1 - n_known;
      if (next_draft >= row.n_draft || s.draft[next_draft] != out.back()) break;
    }
    computed += row.n_tokens;
    computed_by_request[s.request_id] += row.n_tokens;
    result.n_new = static_cast<int32_t>(out.size());
    result.tokens = out.data();
  }

  int32_t size_;
  std::vector<uint64_t> cells_;
};

}  // namespace callie::sched
