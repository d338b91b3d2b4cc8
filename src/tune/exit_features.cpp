#include "tune/exit_features.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "core/hash.h"
#include "core/interrupt.h"
#include "core/json.h"
#include "core/progress.h"
#include "engine/session.h"
#include "kernels/norm.h"
#include "kernels/vector_ops.h"

namespace callie::tune {
namespace {

constexpr int64_t kHeader = 4096;
constexpr int64_t kRowsAPass = 128;

uint64_t hash_of(std::span<const CorpusPiece> corpus) {
  Xxh64Stream stream;
  for (const CorpusPiece& piece : corpus) {
    stream.update({reinterpret_cast<const uint8_t*>(&piece.begin), sizeof piece.begin});
    stream.update({reinterpret_cast<const uint8_t*>(piece.tokens.data()), piece.tokens.size() * sizeof(int32_t)});
  }
  return stream.digest();
}

struct FileCloser {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

// Runs the model over pieces and gives their rows as they lie in the file.
class Collector {
 public:
  Collector(std::shared_ptr<const Model> model, std::unique_ptr<Session> session, std::vector<int> layers)
      : model_(std::move(model)), session_(std::move(session)), layers_(std::move(layers)) {
    wanted_.assign(model_->spec().layers.size(), 0);
    for (const int layer : layers_) wanted_[layer] = 1;
    wanted_.back() = 1;
    taps_.wanted_layers = wanted_.data();
    taps_.after_layer = [this](int layer, std::span<float> hidden) { keep(layer, hidden); };
  }

  int64_t row_bytes() const {
    return static_cast<int64_t>(layers_.size() + 1) * model_->spec().hidden_size * 2 + 2 * static_cast<int64_t>(sizeof(int32_t));
  }

  StatusOr<std::span<const uint8_t>> run(const CorpusPiece& piece, int32_t index) {
    session_->truncate(0);
    const int64_t n = static_cast<int64_t>(piece.tokens.size()), vocab = session_->runner().vocab_size();
    rows_.assign(n * row_bytes(), 0);
    for (first_ = 0; first_ < n; first_ += kRowsAPass) {
      const int64_t count = std::min(kRowsAPass, n - first_);
      CALLIE_ASSIGN_OR_RETURN(const auto logits,
                              session_->append(std::span(piece.tokens).subspan(first_, count), Session::Logits::kAll, &taps_));
      for (int64_t i = 0; i < count; ++i) {
        const int32_t values[2] = {static_cast<int32_t>(kernels::argmax(logits.data() + i * vocab, vocab)), index};
        std::memcpy(rows_.data() + (first_ + i + 1) * row_bytes() - sizeof values, values, sizeof values);
      }
    }
    return std::span<const uint8_t>(rows_).subspan(piece.begin * row_bytes());
  }

 private:
  void keep(int layer, std::span<const float> hidden) {
    if (layer < 0) return;
    const nn::DecoderSpec& spec = model_->spec();
    const int64_t width = spec.hidden_size, n = static_cast<int64_t>(hidden.size()) / width;
    const bool last = layer + 1 == static_cast<int>(spec.layers.size());
    const auto slot = last ? static_cast<int64_t>(layers_.size())
                           : std::find(layers_.begin(), layers_.end(), layer) - layers_.begin();
    const float* weight = last ? model_->decoder().weights().output_norm.data() : nullptr;
    normed_.resize(width);
    for (int64_t i = 0; i < n; ++i) {
      kernels::rms_norm(hidden.data() + i * width, weight, width, spec.norm_eps, normed_.data());
      auto* out = reinterpret_cast<uint16_t*>(rows_.data() + (first_ + i) * row_bytes()) + slot * width;
      kernels::to_f16(normed_.data(), width, out);
    }
  }

  std::shared_ptr<const Model> model_;
  std::unique_ptr<Session> session_;
  std::vector<int> layers_;
  std::vector<uint8_t> wanted_, rows_;
  std::vector<float> normed_;
  nn::Taps taps_;
  int64_t first_ = 0;
};

}  // namespace

StatusOr<ExitFeatures> ExitFeatures::collect(std::shared_ptr<const Model> model, std::span<const CorpusPiece> corpus,
                                             std::vector<int> layers, const std::string& path, int64_t most, ThreadPool& pool) {
  const int64_t hidden = model->spec().hidden_size;
  int64_t longest = 1, total = 0;
  for (const CorpusPiece& piece : corpus) {
    longest = std::max(longest, static_cast<int64_t>(piece.tokens.size()));
    total += static_cast<int64_t>(piece.tokens.size()) - piece.begin;
  }
  const Json description = {{"model", fmt::format("{:016x}", model->fingerprint())},
                            {"corpus", fmt::format("{:016x}", hash_of(corpus))},
                            {"layers", layers},
                            {"hidden", hidden}};
  std::string header = description.dump();
  header.resize(kHeader, ' ');

  SessionOptions options;
  options.context = longest;
  options.max_rows = kRowsAPass;
  CALLIE_ASSIGN_OR_RETURN(auto session, Session::create(model, options, pool));
  Collector collector(model, std::move(session), layers);
  const int64_t row_bytes = collector.row_bytes();

  // What is there already: whole pieces only.
  int64_t rows = 0;
  size_t next = 0;
  std::error_code ignored;
  const auto size = static_cast<int64_t>(std::filesystem::file_size(path, ignored));
  if (!ignored && size >= kHeader) {
    CALLIE_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::open(path));
    if (std::memcmp(file.bytes().data(), header.data(), kHeader) != 0) {
      return invalid_argument("{}: of another corpus, model or other layers; delete it to begin again", path);
    }
    for (const int64_t there = (size - kHeader) / row_bytes; next < corpus.size(); ++next) {
      const int64_t more = static_cast<int64_t>(corpus[next].tokens.size()) - corpus[next].begin;
      if (rows + more > there) break;
      rows += more;
    }
    std::filesystem::resize_file(path, kHeader + rows * row_bytes, ignored);
  }
  const bool fresh = rows == 0;
  {
    const std::unique_ptr<std::FILE, FileCloser> file(std::fopen(path.c_str(), fresh ? "wb" : "ab"));
    if (!file) return invalid_argument("{} cannot be written", path);
    const auto write = [&](std::span<const uint8_t> bytes) -> Status {
      if (std::fwrite(bytes.data(), 1, bytes.size(), file.get()) == bytes.size() && std::fflush(file.get()) == 0) return ok_status();
      return resource_exhausted("{}: the disk is full", path);
    };
    if (fresh) CALLIE_RETURN_IF_ERROR(write({reinterpret_cast<const uint8_t*>(header.data()), header.size()}));
    Progress progress("reading the corpus", most > 0 ? std::min(most, total) : total, "tokens");
    for (; next < corpus.size() && (most == 0 || rows < most); ++next) {
      if (interrupted()) return Status(StatusCode::kCancelled, "");
      CALLIE_ASSIGN_OR_RETURN(const auto bytes, collector.run(corpus[next], static_cast<int32_t>(next)));
      CALLIE_RETURN_IF_ERROR(write(bytes));
      rows += static_cast<int64_t>(bytes.size()) / row_bytes;
      progress.update(rows);
    }
    progress.finish();
  }
  ExitFeatures out;
  CALLIE_ASSIGN_OR_RETURN(out.file_, MappedFile::open(path));
  out.layers_ = std::move(layers);
  out.hidden_ = hidden;
  out.rows_ = rows;
  out.header_ = kHeader;
  out.row_bytes_ = row_bytes;
  return out;
}

void ExitFeatures::exit_input(int64_t row, size_t k, float* out) const {
  kernels::from_f16(reinterpret_cast<const uint16_t*>(at(row)) + static_cast<int64_t>(k) * hidden_, hidden_, out);
}

void ExitFeatures::head_input(int64_t row, float* out) const { exit_input(row, layers_.size(), out); }

int32_t ExitFeatures::chosen(int64_t row) const {
  int32_t value;
  std::memcpy(&value, at(row) + row_bytes_ - 2 * sizeof value, sizeof value);
  return value;
}

int32_t ExitFeatures::piece(int64_t row) const {
  int32_t value;
  std::memcpy(&value, at(row) + row_bytes_ - sizeof value, sizeof value);
  return value;
}

}  // namespace callie::tune
