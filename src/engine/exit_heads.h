#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/context.h"
#include "core/status.h"
#include "engine/model.h"
#include "engine/partial_head.h"
#include "nn/exit_head.h"

namespace callie {

/// One exit as it is trained and stored: logits = part of the head (map x + bias), x the residual stream after `layer`
/// over its root mean square.
struct ExitWeights {
  int layer = 0;
  float temperature = 1;
  std::vector<float> map;   ///< [hidden, hidden], rows are outputs
  std::vector<float> bias;  ///< [hidden]
};

/// What an EXITS file holds (safetensors; docs/edge-cloud.md).
struct ExitFile {
  uint64_t fingerprint = 0;      ///< exit_fingerprint() of the model they were trained on
  int64_t head_rows = 0;         ///< the most frequent tokens, see PartialHead
  std::vector<int32_t> tokens;   ///< and these
  std::vector<ExitWeights> exits;
  std::string report;            ///< JSON: how they were trained and how well they agree
};

/// XXH64 over the weights of a model's norms, which all formats of its matrices share: names the model that exits belong
/// to, wherever its file lies and however it is quantized.
uint64_t exit_fingerprint(const Model& model);

/// Errors: those of the file; kDataLoss ("PATH: field: problem").
StatusOr<ExitFile> read_exit_file(const std::string& path);
/// Writes atomically; maps in half precision. Errors: those of the file.
Status write_exit_file(const std::string& path, const ExitFile& file);

/// Trained early exits of one model, ready for passes (nn::Taps::exits). Immutable.
class ExitHeads {
 public:
  /// `layers`: those to use; empty = all in the file. Errors: those of read_exit_file(); kFailedPrecondition (made for
  /// another model), kInvalidArgument (a layer that the file does not have).
  static StatusOr<std::shared_ptr<const ExitHeads>> load(const std::string& path, std::span<const int> layers,
                                                         std::shared_ptr<const Model> model, const Context& context);
  static StatusOr<std::shared_ptr<const ExitHeads>> create(const ExitFile& file, std::shared_ptr<const Model> model,
                                                           const Context& context);

  std::span<const nn::ExitHead> heads() const { return heads_; }
  const PartialHead& head() const { return head_; }
  const Model& model() const { return *model_; }
  /// How deep each exit stands, in thousandths of the model's layers.
  std::vector<uint32_t> permille() const;
  /// Bytes that one exit reads.
  int64_t bytes_each() const;

 private:
  ExitHeads(std::shared_ptr<const Model> model, int64_t head_rows);

  std::shared_ptr<const Model> model_;
  PartialHead head_;
  std::vector<nn::ExitHead> heads_;
};

}  // namespace callie
