#include "plan/table_file.h"

#include <zlib.h>

#include <charconv>
#include <cmath>

#include "core/atomic_file.h"

namespace callie::plan {
namespace {

constexpr size_t kMaxBytes = size_t{1} << 30;

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t' || text.back() == '\r')) text.remove_suffix(1);
  return text;
}

}  // namespace

StatusOr<std::string> read_maybe_gzip(const std::string& path) {
  if (!path.ends_with(".gz")) return read_text_file(path, kMaxBytes);
  gzFile file = gzopen(path.c_str(), "rb");
  if (!file) return not_found("{}: cannot be opened", path);
  gzbuffer(file, 1 << 17);
  std::string text;
  char buffer[1 << 16];
  int got = 0;
  while ((got = gzread(file, buffer, sizeof buffer)) > 0) {
    text.append(buffer, got);
    if (text.size() > kMaxBytes) break;
  }
  const bool complete = got == 0 && gzclose_r(file) == Z_OK;
  if (got != 0) gzclose_r(file);
  if (text.size() > kMaxBytes) return data_loss("{}: larger than 1 GiB when decompressed", path);
  if (!complete) return data_loss("{}: broken gzip data", path);
  return text;
}

StatusOr<TableFile> TableFile::open(const std::string& path) {
  CALLIE_ASSIGN_OR_RETURN(std::string text, read_maybe_gzip(path));
  return parse(std::move(text), path);
}

StatusOr<TableFile> TableFile::parse(std::string text, const std::string& name) {
  TableFile table;
  table.path_ = name;
  table.text_ = std::make_shared<const std::string>(std::move(text));
  std::string_view line;
  if (table.text_->starts_with("\xEF\xBB\xBF")) table.position_ = 3;
  if (!table.read_line(line) || trim(line).empty()) return data_loss("{}:1: no header line", name);
  std::vector<std::string_view> cells;
  CALLIE_RETURN_IF_ERROR(table.split(line, cells));
  for (std::string_view cell : cells) table.columns_.emplace_back(cell);
  return table;
}

bool TableFile::read_line(std::string_view& line) {
  if (position_ >= text_->size()) return false;
  size_t end = text_->find('\n', position_);
  if (end == std::string::npos) end = text_->size();
  line = std::string_view(*text_).substr(position_, end - position_);
  position_ = end + 1;
  ++line_;
  return true;
}

Status TableFile::split(std::string_view line, std::vector<std::string_view>& cells) const {
  cells.clear();
  size_t at = 0;
  while (true) {
    if (at < line.size() && line[at] == '"') {
      const size_t close = line.find('"', at + 1);
      if (close == std::string_view::npos) return data_loss("{}: a quoted cell does not end", place());
      cells.push_back(line.substr(at + 1, close - at - 1));
      at = line.find(',', close);
    } else {
      const size_t comma = line.find(',', at);
      cells.push_back(trim(line.substr(at, comma == std::string_view::npos ? comma : comma - at)));
      at = comma;
    }
    if (at == std::string_view::npos) return ok_status();
    ++at;
  }
}

int TableFile::find_column(std::string_view name) const {
  for (size_t i = 0; i < columns_.size(); ++i) {
    if (columns_[i] == name) return static_cast<int>(i);
  }
  return -1;
}

StatusOr<int> TableFile::column(std::string_view name) const {
  const int found = find_column(name);
  if (found < 0) return data_loss("{}:1: no column \"{}\"", path_, name);
  return found;
}

StatusOr<bool> TableFile::next() {
  std::string_view line;
  do {
    if (!read_line(line)) return false;
    line = trim(line);
  } while (line.empty());
  CALLIE_RETURN_IF_ERROR(split(line, cells_));
  if (cells_.size() != columns_.size()) {
    return data_loss("{}: {} cells where the header has {}", place(), cells_.size(), columns_.size());
  }
  return true;
}

std::string TableFile::place() const { return fmt::format("{}:{}", path_, line_); }

Status TableFile::bad_cell(int column, std::string_view why) const {
  return data_loss("{}: {}: {} (\"{}\")", place(), columns_[column], why, cells_[column].substr(0, 60));
}

StatusOr<double> TableFile::number(int column) const {
  const std::string_view text = cells_[column];
  double value = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (problem != std::errc() || end != text.data() + text.size()) return bad_cell(column, "not a number");
  if (!std::isfinite(value)) return bad_cell(column, "not finite");
  return value;
}

StatusOr<double> TableFile::non_negative(int column) const {
  CALLIE_ASSIGN_OR_RETURN(const double value, number(column));
  if (value < 0) return bad_cell(column, "negative");
  return value;
}

StatusOr<int64_t> TableFile::integer(int column, int64_t low, int64_t high) const {
  CALLIE_ASSIGN_OR_RETURN(const double value, number(column));
  if (value != std::floor(value)) return bad_cell(column, "not a whole number");
  if (value < static_cast<double>(low) || value > static_cast<double>(high)) {
    return bad_cell(column, fmt::format("outside {}..{}", low, high));
  }
  return static_cast<int64_t>(value);
}

}  // namespace callie::plan
