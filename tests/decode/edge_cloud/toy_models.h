#pragma once

#include <map>
#include <vector>

#include "core/philox.h"
#include "decode/edge_cloud/draft_model.h"
#include "decode/edge_cloud/hashed_tokens.h"
#include "decode/edge_cloud/sync_target.h"

namespace callie::edge_cloud::toy {

inline constexpr int kVocab = 1000;
inline constexpr TokenId kEnd = 7;

/// A deterministic "language": the next token is a function of the last three, the position and the seed. The end token
/// comes up once in `1/end_share` positions.
struct Language {
  uint64_t seed = 1;
  double end_share = 0;

  uint64_t mix(std::span<const TokenId> prefix, uint64_t salt) const {
    uint64_t h = seed * 1000003 + prefix.size() + salt;
    const size_t n = prefix.size();
    for (size_t i = n > 3 ? n - 3 : 0; i < n; ++i) h = HashedTokens::next_hash(h, prefix[i]);
    return HashedTokens::next_hash(h, 0);
  }
  TokenId next(std::span<const TokenId> prefix) const {
    const uint64_t h = mix(prefix, 0);
    if (static_cast<double>(h >> 40) * 0x1p-24 < end_share) return kEnd;
    return static_cast<TokenId>(10 + h % (kVocab - 10));
  }
};

/// Agrees with the language at a share of the positions; elsewhere it is wrong, and right in its second choice half of
/// the time. share < 0: an adversary that always says the same.
class ToyDraft : public DraftModel {
 public:
  ToyDraft(Language language, double share) : language_(language), share_(share) {}
  int length() const override { return static_cast<int>(tokens_.size()); }
  void truncate(int length) override { tokens_.resize(length); }
  Guess extend(std::span<const TokenId> tokens) override {
    tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
    ++calls;
    if (share_ < 0) return {11, 12, 0.9f};
    const TokenId truth = language_.next(tokens_);
    const uint64_t h = language_.mix(tokens_, 77);
    const bool right = static_cast<double>(h >> 11) * 0x1p-53 < share_;
    const TokenId other = static_cast<TokenId>(10 + (h >> 3) % (kVocab - 10));
    if (right) return {truth, other, 0.5f + static_cast<float>(h % 400) / 1000};
    return {other, h & 1 ? truth : other, 0.1f + static_cast<float>(h % 600) / 1000};
  }
  int64_t calls = 0;

 private:
  Language language_;
  double share_;
  std::vector<TokenId> tokens_;
};

/// The large model: speaks the language; its exits are right at a share of the positions. It checks what a real cache
/// would: the pass continues from what the cache holds.
class ToyTarget : public SyncTarget {
 public:
  ToyTarget(Language language, double exit_share) : language_(language), exit_share_(exit_share) {}

  std::vector<TimeNs> pass_cost = {30 * kMillisecond, 33 * kMillisecond, 36 * kMillisecond, 39 * kMillisecond,
                                   42 * kMillisecond, 45 * kMillisecond, 48 * kMillisecond, 51 * kMillisecond,
                                   54 * kMillisecond};
  TimeNs prompt_cost = 0;  // of a session's first pass; 0 = like any other
  std::vector<double> exit_depths = {0.5, 0.75};
  std::string broken;

  Status open(SessionId session, const Open& request) override {
    sessions_[session] = {};
    sessions_[session].ignore_end = request.ignore_end;
    return ok_status();
  }
  void evict(SessionId session) override { sessions_.at(session).cache.clear(); }
  void close(SessionId session) override { sessions_.erase(session); }
  int cache_length(SessionId session) const override {
    return static_cast<int>(sessions_.at(session).cache.size());
  }
  TimeNs cost(int width) const {
    const int n = static_cast<int>(pass_cost.size());
    return pass_cost[std::min(width, n) - 1];
  }

  TimeNs run(std::span<PassJob> jobs, const std::function<void(const ExitReport&)>& on_exit) override {
    int width = 0;
    TimeNs took = 0;
    for (const PassJob& job : jobs) {
      width += static_cast<int>(job.draft.size()) + 1;
      if (static_cast<int>(job.committed.size()) == job.first_new) took += prompt_cost;
    }
    took = std::max(took, cost(width));
    for (size_t depth = 0; depth < exit_depths.size(); ++depth) {
      for (const PassJob& job : jobs) {
        if (!job.exits) continue;
        float confidence = 1;
        const Outcome outcome = decide(job, depth + 1, &confidence);
        on_exit({job.pass, static_cast<int>(depth), outcome, confidence,
                 static_cast<TimeNs>(exit_depths[depth] * static_cast<double>(took))});
      }
    }
    for (PassJob& job : jobs) {
      auto& cache = sessions_.at(job.session).cache;
      if (cache.size() > job.committed.size() - 1) broken = "the cache holds more than the committed sequence";
      for (size_t i = 0; i < cache.size(); ++i) {
        if (cache[i] != job.committed[i]) broken = "the cache holds tokens that were not committed";
      }
      const bool ignore_end = sessions_.at(job.session).ignore_end;
      job.result.outcome = decide(job, 0, nullptr);
      cache = job.committed;
      cache.insert(cache.end(), job.draft.begin(), job.draft.begin() + job.result.outcome.accepted);
      job.result.ended = !ignore_end && job.result.outcome.next == kEnd;
      job.result.verify_us = static_cast<uint32_t>(took / kMicrosecond);
      for (double depth : exit_depths) {
        if (job.exits) job.result.exit_us.push_back(static_cast<uint32_t>(depth * static_cast<double>(took) / 1000));
      }
      job.result.width = static_cast<int>(job.draft.size()) + 1;
    }
    return took;
  }

 private:
  struct State {
    std::vector<TokenId> cache;
    bool ignore_end = false;
  };

  Outcome decide(const PassJob& job, size_t exit, float* confidence) {
    std::vector<TokenId> prefix = job.committed;
    const bool ignore_end = sessions_.at(job.session).ignore_end;
    return accept(
        job.draft,
        [&](int i) {
          if (i > 0) prefix.push_back(job.draft[i - 1]);
          const TokenId truth = language_.next(prefix);
          if (exit == 0) return truth;
          const uint64_t h = language_.mix(prefix, exit * 131);
          const bool right = static_cast<double>(h >> 11) * 0x1p-53 < exit_share_;
          *confidence = std::min(*confidence, right ? 0.9f : 0.4f);
          return right ? truth : static_cast<TokenId>(10 + h % 100);
        },
        [&](TokenId t) { return !ignore_end && t == kEnd; });
  }

  Language language_;
  double exit_share_;
  std::map<SessionId, State> sessions_;
};

/// What plain decoding emits.
inline std::vector<TokenId> plain(const Language& language, std::vector<TokenId> prefix, int max_new,
                                  bool ignore_end = false) {
  std::vector<TokenId> out;
  while (static_cast<int>(out.size()) < max_new) {
    const TokenId token = language.next(prefix);
    prefix.push_back(token);
    out.push_back(token);
    if (token == kEnd && !ignore_end) break;
  }
  return out;
}

}  // namespace callie::edge_cloud::toy
