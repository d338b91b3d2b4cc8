#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/mapped_file.h"
#include "core/status.h"
#include "engine/model.h"
#include "tune/exit_corpus.h"

namespace callie::tune {

/// Hidden states of a frozen model over a corpus, on disk: for each position the residual stream after some layers (over
/// its root mean square), what the head reads at the end, and the token that the model then chooses. Vectors in half
/// precision.
class ExitFeatures {
 public:
  /// Runs the model over the pieces that `path` does not hold yet, until it has `most` positions (0 = all), and appends
  /// to it, then maps it. Errors: kCancelled (the file stays and is continued), kResourceExhausted (disk full),
  /// kInvalidArgument (the file is of other layers, another model or another corpus).
  static StatusOr<ExitFeatures> collect(std::shared_ptr<const Model> model, std::span<const CorpusPiece> corpus,
                                        std::vector<int> layers, const std::string& path, int64_t most, ThreadPool& pool);

  int64_t rows() const { return rows_; }
  int64_t hidden() const { return hidden_; }
  const std::vector<int>& layers() const { return layers_; }
  /// The residual stream after layers()[k] at a position, to out[hidden].
  void exit_input(int64_t row, size_t k, float* out) const;
  /// What the head reads there at the end, to out[hidden].
  void head_input(int64_t row, float* out) const;
  int32_t chosen(int64_t row) const;
  /// Index of the piece that a position belongs to.
  int32_t piece(int64_t row) const;

 private:
  const uint8_t* at(int64_t row) const { return file_.bytes().data() + header_ + row * row_bytes_; }

  MappedFile file_;
  std::vector<int> layers_;
  int64_t hidden_ = 0, rows_ = 0, header_ = 0, row_bytes_ = 0;
};

}  // namespace callie::tune
