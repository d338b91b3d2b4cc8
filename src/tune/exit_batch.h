#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "core/aligned_buffer.h"
#include "core/context.h"
#include "core/status.h"
#include "engine/exit_heads.h"
#include "tune/exit_features.h"

namespace callie::tune {

/// Runs exits over stored features, as a pass would run them.
class ExitBatch {
 public:
  ExitBatch(const ExitHeads& heads, const Context& context);

  /// The mapped rows [n, hidden] and logits [n, head rows] of up to kRows rows; valid until the next call. `exit` counts
  /// in heads.heads(); its layer must be one of the features'.
  static constexpr int64_t kRows = 64;
  std::span<const float> run(const ExitFeatures& features, int exit, std::span<const int64_t> rows);
  std::span<const float> mapped() const { return {mapped_.data(), static_cast<size_t>(n_ * hidden_)}; }

  /// Calls read(row, logits) for each row in order. Errors: kCancelled.
  Status each(const ExitFeatures& features, int exit, std::span<const int64_t> rows,
              const std::function<void(int64_t row, std::span<const float> logits)>& read);

  int64_t width() const { return width_; }
  /// The token at a place of the logits, and the place of a token or -1.
  int32_t token(int64_t place) const { return tokens_[place]; }
  int64_t place(int32_t token) const { return places_[token]; }
  /// Softmax of logits / temperature at `place`.
  float probability(std::span<const float> logits, int64_t place, float temperature);

 private:
  const ExitHeads& heads_;
  const Context& context_;
  int64_t hidden_, width_, n_ = 0;
  AlignedBuffer<float> normed_, mapped_, logits_, remainder_, fine_;
  AlignedBuffer<uint8_t> quantized_;
  std::vector<int32_t> tokens_;
  std::vector<int64_t> places_;
  std::vector<float> scaled_;
};

}  // namespace callie::tune
