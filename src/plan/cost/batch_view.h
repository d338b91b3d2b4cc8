#pragma once

#include <algorithm>
#include <cstdint>

namespace callie::plan {

/// What a forward pass computes, as far as its time depends on it. Filled while a step is planned.
struct BatchView {
  int32_t prefill_tokens = 0;   ///< new prompt tokens over all sequences
  int32_t prefill_chunks = 0;   ///< sequences that contribute them
  int32_t decode_sequences = 0;
  int32_t decode_tokens = 0;    ///< decode_sequences, or more when drafts are verified
  int32_t samples = 0;          ///< sequences that produce a token
  int32_t decode_context_max = 0;
  int32_t decode_context_min = INT32_MAX;
  int64_t prefill_context = 0;  ///< sum of the context before each chunk
  int64_t prefill_pairs2 = 0;   ///< twice the (query, key) pairs of the chunks: sum n (2c + n + 1)
  int64_t decode_context = 0;   ///< sum of the contexts that decode sequences attend to
  int32_t window = 0;               ///< sliding window of the model; 0: the two sums below are not kept
  int64_t prefill_window_pairs2 = 0;
  int64_t decode_window_context = 0;
  int64_t swapped_tokens = 0;   ///< KV tokens moved to or from host memory in this step

  int32_t tokens() const { return prefill_tokens + decode_tokens; }
  bool empty() const { return tokens() == 0 && swapped_tokens == 0; }

  /// `n` new tokens of a prompt behind `context` tokens.
  void add_prefill(int32_t n, int32_t context) {
    prefill_tokens += n;
    ++prefill_chunks;
    prefill_context += context;
    const int64_t pairs2 = static_cast<int64_t>(n) * (2 * static_cast<int64_t>(context) + n + 1);
    prefill_pairs2 += pairs2;
    if (window > 0) prefill_window_pairs2 += std::min(pairs2, 2 * static_cast<int64_t>(n) * window);
  }
  /// One sequence that computes `n` tokens behind `context`.
  void add_decode(int32_t n, int32_t context) {
    ++decode_sequences;
    decode_tokens += n;
    decode_context += context;
    if (window > 0) decode_window_context += std::min(context, window);
    decode_context_max = std::max(decode_context_max, context);
    decode_context_min = std::min(decode_context_min, context);
  }
};

}  // namespace callie::plan
