#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/context.h"
#include "core/status.h"
#include "io/checkpoint.h"
#include "nn/decoder.h"

namespace callie::models {

/// One matrix of a model in the order of its packed memory.
struct PackedEntry {
  std::string name;  ///< the tensor's name in the checkpoint
  kernels::PackedFamily family;
  int64_t rows = 0, cols = 0;
  int64_t offset = 0, bytes = 0;  ///< in the packed memory; offsets are multiples of 4096

  /// Family and shape as bytes: equal descriptors mean that packed bytes fit.
  std::vector<uint8_t> descriptor() const;
};

/// Version of the packed layout (kernels/packed_view.h): a change of it makes older cache files useless.
inline constexpr uint32_t kPackedFormat = 1;

/// Every matrix of a decoder, planned before a byte is packed: which tensors are read, checked against the
/// hyper-parameters, and where each lies in one block of packed memory.
class DecoderPlan {
 public:
  /// Errors: kUnimplemented (architecture), kDataLoss (a tensor is missing or has another shape; the message names it).
  static StatusOr<DecoderPlan> make(const io::Checkpoint& checkpoint);

  const nn::DecoderSpec& spec() const { return spec_; }
  const std::vector<PackedEntry>& entries() const { return entries_; }
  int64_t packed_bytes() const { return packed_bytes_; }

  /// Packs every matrix from the checkpoint into `memory` [packed_bytes] and lets go of the source's pages.
  /// `on_bytes` hears of the packed bytes written so far. Errors: kCancelled on Ctrl-C, kDataLoss.
  Status pack(const io::Checkpoint& checkpoint, std::span<uint8_t> memory, const Context& context,
              const std::function<void(int64_t)>& on_bytes) const;

  /// Where the packed bytes of an entry lie; empty when they are not there.
  using PackedMemory = std::function<std::span<const uint8_t>(const PackedEntry&)>;

  /// Builds the weights over packed memory (filled by pack() or from the packed cache), which must outlive them; norms
  /// and biases are read from the checkpoint. Errors: kDataLoss.
  StatusOr<nn::DecoderWeights> bind(const io::Checkpoint& checkpoint, const PackedMemory& memory) const;

 private:
  struct LinearPlan {
    std::vector<int> entries;               // indices into entries_
    std::vector<std::string> bias_names;    // one per entry; empty = none
  };
  struct LayerPlan {
    LinearPlan qkv, output, gate_up, down;
    std::string attention_norm, ffn_norm, query_norm, key_norm, post_attention_norm, post_ffn_norm;
  };

  Status add_matrix(const io::Checkpoint& checkpoint, const std::string& name, int64_t rows, int64_t cols, int* index);
  Status add_linear(const io::Checkpoint& checkpoint, std::initializer_list<std::pair<std::string, int64_t>> parts,
                    int64_t cols, LinearPlan* plan);
  StatusOr<std::vector<float>> read_vector(const io::Checkpoint& checkpoint, const std::string& name, int64_t size,
                                           bool is_norm) const;
  StatusOr<nn::Linear> bind_linear(const io::Checkpoint& checkpoint, const LinearPlan& plan,
                                   const PackedMemory& memory) const;
  StatusOr<tensor::PackedMatrix> bind_matrix(int entry, const PackedMemory& memory) const;

  nn::DecoderSpec spec_;
  std::vector<PackedEntry> entries_;
  int64_t packed_bytes_ = 0;
  int embedding_ = -1;
  LinearPlan head_;
  std::string output_norm_;
  std::vector<LayerPlan> layers_;
};

}  // namespace callie::models
