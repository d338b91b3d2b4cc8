#include "serve/encoder_backend.h"

#include <sys/stat.h>

#include <mutex>

#include "core/hash.h"

namespace callie::serve {
namespace {

class EncoderBackend : public Backend {
 public:
  EncoderBackend(const std::string& id, const std::string& path, std::unique_ptr<Embedder> embedder)
      : embedder_(std::move(embedder)) {
    info_.id = id;
    info_.context = static_cast<int32_t>(embedder_->context());
    info_.fingerprint = fmt::format("fp_{:016x}", xxh64({reinterpret_cast<const uint8_t*>(path.data()), path.size()}, 0));
    info_.generates = false;
    info_.embeds = true;
    struct stat file {};
    if (stat(path.c_str(), &file) == 0) info_.created = file.st_mtime;
  }

  const ModelInfo& info() const override { return info_; }
  const Tokenizer& tokenizer() const override { return embedder_->tokenizer(); }
  const ChatTemplate* chat_template() const override { return nullptr; }
  StatusOr<std::shared_ptr<const GrammarCompiler>> grammars() override { return no_text(); }
  StatusOr<uint64_t> generate(AnswerRequest, std::shared_ptr<GenerationSink>) override { return no_text(); }
  void cancel(uint64_t) override {}

  StatusOr<std::vector<Embedding>> embed(const std::vector<std::vector<int32_t>>& inputs) override {
    std::vector<Embedding> out;
    for (const std::vector<int32_t>& tokens : inputs) {
      out.push_back({embedder_->embed_tokens(tokens, nn::Precision::kDefault), static_cast<int32_t>(tokens.size())});
    }
    std::lock_guard lock(mutex_);
    for (const Embedding& one : out) stats_.prompt_tokens += one.tokens;
    stats_.finished += static_cast<int64_t>(out.size());
    return out;
  }

  void stop() override {}

  BackendStats stats() const override {
    std::lock_guard lock(mutex_);
    return stats_;
  }
  std::string debug_steps() const override { return {}; }

 private:
  Status no_text() const { return invalid_argument("model: {} gives embeddings only", info_.id); }

  std::unique_ptr<Embedder> embedder_;
  ModelInfo info_;
  mutable std::mutex mutex_;
  BackendStats stats_;  // guarded by mutex_
};

}  // namespace

std::shared_ptr<Backend> make_encoder_backend(const std::string& id, const std::string& path,
                                              std::unique_ptr<Embedder> embedder) {
  return std::make_shared<EncoderBackend>(id, path, std::move(embedder));
}

}  // namespace callie::serve
