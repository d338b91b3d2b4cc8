#include "assertions/syntax/source.h"

#include <algorithm>

#include "core/atomic_file.h"

namespace callie::assertions {
namespace {

constexpr size_t kMaxFileBytes = size_t{256} << 20;
constexpr size_t kMaxShownColumns = 160;
constexpr size_t kMaxMessage = 600;

std::string one_line(std::string_view text, size_t limit) {
  std::string out;
  for (char c : text.substr(0, limit)) {
    const bool printable = static_cast<unsigned char>(c) >= 32 && c != 127;
    out.push_back(printable ? c : (c == '\t' || c == '\n' ? ' ' : '?'));
  }
  if (text.size() > limit) out += "...";
  return out;
}

}  // namespace

uint32_t SourceSet::add(std::string name, std::string text) {
  files_.push_back({std::move(name), std::move(text), {}});
  return static_cast<uint32_t>(files_.size() - 1);
}

StatusOr<uint32_t> SourceSet::add_file(const std::string& path) {
  CALLIE_ASSIGN_OR_RETURN(std::string text, read_text_file(path, kMaxFileBytes));
  return add(path, std::move(text));
}

std::string_view SourceSet::text(Span span) const {
  const std::string_view whole = text(span.file);
  const size_t begin = std::min<size_t>(span.begin, whole.size());
  const size_t end = std::clamp<size_t>(span.end, begin, whole.size());
  return whole.substr(begin, end - begin);
}

Place SourceSet::place(Span span) const {
  if (span.file >= files_.size()) return {};
  const File& file = files_[span.file];
  if (file.line_starts.empty()) {
    file.line_starts.push_back(0);
    for (size_t i = 0; i < file.text.size(); ++i) {
      if (file.text[i] == '\n') file.line_starts.push_back(static_cast<uint32_t>(i + 1));
    }
  }
  const auto& starts = file.line_starts;
  const auto after = std::upper_bound(starts.begin(), starts.end(), span.begin);
  const auto line = static_cast<size_t>(after - starts.begin());
  return {file.name, static_cast<int>(line), static_cast<int>(span.begin - starts[line - 1]) + 1};
}

std::string SourceSet::describe(Span span, std::string_view message) const {
  const std::string shown = one_line(message, kMaxMessage);
  if (span.file >= files_.size()) return shown;
  const Place at = place(span);
  const std::string_view whole = text(span.file);
  const size_t line_begin = std::min<size_t>(span.begin, whole.size()) - (at.column - 1);
  size_t line_end = whole.find('\n', line_begin);
  if (line_end == std::string_view::npos) line_end = whole.size();
  const size_t column = static_cast<size_t>(at.column - 1);
  const size_t skipped = column > kMaxShownColumns / 2 ? column - kMaxShownColumns / 2 : 0;
  std::string_view line = whole.substr(line_begin + skipped, line_end - line_begin - skipped);
  std::string out = fmt::format("{}:{}:{}: {}", one_line(at.file, 200), at.line, at.column, shown);
  out += "\n  " + one_line(line, kMaxShownColumns) + "\n  ";
  out.append(column - skipped, ' ');
  out += '^';
  return out;
}

Status SourceSet::error_at(Span span, std::string_view message, StatusCode code) const {
  return Status(code, describe(span, message));
}

std::string_view SourceSet::keep(std::string text) {
  kept_.push_back(std::move(text));
  return kept_.back();
}

}  // namespace callie::assertions
