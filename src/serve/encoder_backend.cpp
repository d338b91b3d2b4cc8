#include "serve/encoder_backend.h"

#include <sys/stat.h>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "core/hash.h"

namespace callie::serve {
namespace {

constexpr size_t kQueueLimit = 1024;

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
    thread_ = std::thread([this] { run(); });
  }
  ~EncoderBackend() override { stop(); }

  const ModelInfo& info() const override { return info_; }
  const Tokenizer& tokenizer() const override { return embedder_->tokenizer(); }
  const ChatTemplate* chat_template() const override { return nullptr; }
  StatusOr<std::shared_ptr<const GrammarCompiler>> grammars() override { return no_text(); }
  StatusOr<uint64_t> generate(AnswerRequest, std::shared_ptr<GenerationSink>) override { return no_text(); }
  void cancel(uint64_t) override {}

  Status embed(std::vector<std::vector<int32_t>> inputs, Embedded done) override {
    std::lock_guard lock(mutex_);
    if (stopping_) return error(StatusCode::kUnavailable, "the model is being unloaded");
    if (queue_.size() >= kQueueLimit) return resource_exhausted("the queue is full: {} requests are waiting", kQueueLimit);
    queue_.push_back({std::move(inputs), std::move(done)});
    wake_.notify_all();
    return ok_status();
  }

  void stop() override {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_all();
    if (thread_.joinable()) thread_.join();
  }

  BackendStats stats() const override {
    std::lock_guard lock(mutex_);
    BackendStats stats = stats_;
    stats.waiting = static_cast<int32_t>(queue_.size());
    return stats;
  }
  std::string debug_steps() const override { return {}; }

 private:
  struct Work {
    std::vector<std::vector<int32_t>> inputs;
    Embedded done;
  };

  void run() {
    for (;;) {
      Work work;
      {
        std::unique_lock lock(mutex_);
        stats_.running = 0;
        wake_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
        if (queue_.empty()) return;
        work = std::move(queue_.front());
        queue_.pop_front();
        stats_.running = 1;
        if (stopping_) {
          lock.unlock();
          work.done(error(StatusCode::kUnavailable, "the model is being unloaded"));
          continue;
        }
      }
      std::vector<Embedding> out;
      int64_t tokens = 0;
      for (const std::vector<int32_t>& input : work.inputs) {
        out.push_back({embedder_->embed_tokens(input, nn::Precision::kDefault), static_cast<int32_t>(input.size())});
        tokens += out.back().tokens;
      }
      {
        std::lock_guard lock(mutex_);
        stats_.prompt_tokens += tokens;
        stats_.finished += static_cast<int64_t>(out.size());
      }
      work.done(std::move(out));
    }
  }

  Status no_text() const { return invalid_argument("model: {} gives embeddings only", info_.id); }

  std::unique_ptr<Embedder> embedder_;
  ModelInfo info_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Work> queue_;  // guarded by mutex_, like the next two
  BackendStats stats_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace

std::shared_ptr<Backend> make_encoder_backend(const std::string& id, const std::string& path,
                                              std::unique_ptr<Embedder> embedder) {
  return std::make_shared<EncoderBackend>(id, path, std::move(embedder));
}

}  // namespace callie::serve
