#pragma once

#include <memory>
#include <string>
#include <thread>

#include "core/context.h"
#include "core/status.h"
#include "nn/decoder.h"
#include "tokenizer/tokenizer.h"

namespace callie {

namespace io {
class Checkpoint;
}
namespace models {
class DecoderPlan;
}

struct LoadOptions {
  std::string packed_folder;  ///< cache of packed weights that is read and written; empty = none
  uint64_t packed_limit_bytes = uint64_t{16} << 30;
  bool quiet = true;  ///< no progress on stderr
};

/// A language model in memory: weights, tokenizer and chat template. Immutable; may serve several sessions at once.
class Model {
 public:
  /// Loads a GGUF file or a Hugging Face folder. Errors name the file and the tensor, key or field.
  static StatusOr<std::shared_ptr<const Model>> load(const std::string& path, const LoadOptions& options,
                                                     Context& context);
  ~Model();

  const std::string& path() const { return path_; }
  const nn::DecoderSpec& spec() const { return decoder_->spec(); }
  const nn::Decoder& decoder() const { return *decoder_; }
  const Tokenizer& tokenizer() const { return *tokenizer_; }
  /// Seconds that load() took, and whether the packed cache was used.
  double load_s() const { return load_s_; }
  bool from_packed_cache() const { return from_cache_; }
  /// XXH64 over the file's header: part of system fingerprints.
  uint64_t fingerprint() const { return fingerprint_; }

 private:
  Model() = default;
  Status load_weights(const io::Checkpoint& checkpoint, const models::DecoderPlan& plan, const LoadOptions& options,
                      Context& context);

  std::string path_;
  std::unique_ptr<nn::Decoder> decoder_;
  std::unique_ptr<Tokenizer> tokenizer_;
  std::shared_ptr<const void> weight_memory_;
  std::thread cache_writer_;  // writes the packed cache after a first load; joined at the end
  double load_s_ = 0;
  bool from_cache_ = false;
  uint64_t fingerprint_ = 0;
};

}  // namespace callie
