#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"

namespace callie::plan {

/// A comma-separated file with a header line, read whole; names ending in .gz are decompressed. Rows are walked once, in
/// order; every error names file, line and column.
class TableFile {
 public:
  /// Errors: kNotFound, kDataLoss (empty file, broken gzip, larger than 1 GiB).
  static StatusOr<TableFile> open(const std::string& path);

  /// The same over text in memory; `name` stands in errors.
  static StatusOr<TableFile> parse(std::string text, const std::string& name);

  /// Index of a header column. Errors: kDataLoss naming the column.
  StatusOr<int> column(std::string_view name) const;
  /// Index of a header column, or -1.
  int find_column(std::string_view name) const;
  const std::vector<std::string>& columns() const { return columns_; }

  /// Moves to the next non-empty row; false at the end. Errors: kDataLoss when the row has fewer or more cells.
  StatusOr<bool> next();
  std::string_view cell(int column) const { return cells_[column]; }
  /// A finite number. Errors: kDataLoss with file, line and column name.
  StatusOr<double> number(int column) const;
  /// A finite number >= 0.
  StatusOr<double> non_negative(int column) const;
  /// An integer in [low, high]; "12.0" counts as 12.
  StatusOr<int64_t> integer(int column, int64_t low, int64_t high) const;

  /// "file:line".
  std::string place() const;
  const std::string& path() const { return path_; }
  Status bad_cell(int column, std::string_view why) const;

 private:
  std::string path_;
  std::shared_ptr<const std::string> text_;  // cells_ point into it
  std::vector<std::string> columns_;
  std::vector<std::string_view> cells_;
  size_t position_ = 0;
  int64_t line_ = 0;

  bool read_line(std::string_view& line);
  Status split(std::string_view line, std::vector<std::string_view>& cells) const;
};

/// The whole content of a text file, decompressed when its name ends in .gz.
StatusOr<std::string> read_maybe_gzip(const std::string& path);

}  // namespace callie::plan
