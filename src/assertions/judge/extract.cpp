#include "assertions/judge/extract.h"

#include <vector>

#include "assertions/syntax/lexer.h"

namespace callie::assertions {
namespace {

struct Line {
  size_t begin, end;
};

std::vector<Line> lines_of(std::string_view text) {
  std::vector<Line> out;
  for (size_t begin = 0; begin <= text.size();) {
    size_t end = text.find('\n', begin);
    if (end == std::string_view::npos) end = text.size();
    out.push_back({begin, end});
    begin = end + 1;
  }
  return out;
}

std::string_view trimmed(std::string_view line) {
  const size_t begin = line.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) return {};
  return line.substr(begin, line.find_last_not_of(" \t\r") - begin + 1);
}

// "label:" in front of an assertion, or a word that begins an item or statement of one.
bool begins_code(std::string_view line) {
  if (line.starts_with("//") || line.starts_with("/*") || line.starts_with("`") || line.starts_with("(") || line.starts_with("@")) return true;
  size_t end = 0;
  while (end < line.size() && is_name_char(line[end])) ++end;
  const std::string_view word = line.substr(0, end);
  const std::string_view rest = trimmed(line.substr(end));
  if (rest.starts_with(":") && !word.empty()) {
    const std::string_view after = trimmed(rest.substr(1));
    return after.empty() || after.starts_with("assert") || after.starts_with("assume") || after.starts_with("cover");
  }
  // Prose uses these words too, but goes on with another word and without punctuation of the language.
  const bool punctuated = line.find_first_of("();@=<>") != std::string_view::npos;
  if (word == "property" || word == "sequence" || word == "assert" || word == "if" || word == "case" || word == "always" ||
      word == "default" || word == "begin" || word == "assume" || word == "cover") {
    return punctuated || rest.empty();
  }
  return word.starts_with("always_") || word == "module" || word == "logic" || word == "wire" || word == "reg" ||
         word == "clocking" || word == "casez" || word == "unique" || word == "priority" || word == "localparam";
}

bool ends_code(std::string_view line) {
  return line.ends_with(";") || line.ends_with("end") || line.ends_with("*/") || line.find("//") != std::string_view::npos ||
         line.find("endproperty") != std::string_view::npos || line.find("endmodule") != std::string_view::npos ||
         line.ends_with(")");
}

}  // namespace

Extracted extract_code(std::string_view answer) {
  Extracted out;
  out.text = answer;
  const std::vector<Line> lines = lines_of(answer);
  std::vector<bool> keep(lines.size(), false);
  bool fenced = false, inside = false;
  for (size_t i = 0; i < lines.size(); ++i) {
    const std::string_view line = trimmed(answer.substr(lines[i].begin, lines[i].end - lines[i].begin));
    if (line.starts_with("```")) {
      fenced = true;
      inside = !inside;
    } else {
      keep[i] = inside;
    }
  }
  if (!fenced) {
    size_t first = lines.size(), last = 0;
    for (size_t i = 0; i < lines.size(); ++i) {
      const std::string_view line = trimmed(answer.substr(lines[i].begin, lines[i].end - lines[i].begin));
      if (first == lines.size() && begins_code(line)) first = i;
      if (first != lines.size() && ends_code(line)) last = i;
    }
    // Without anything that looks like code, or an end of it, the parser says what is wrong.
    if (first == lines.size()) first = 0;
    if (last < first) last = lines.size() - 1;
    for (size_t i = first; i <= last; ++i) keep[i] = true;
  }
  for (size_t i = 0; i < lines.size(); ++i) {
    if (keep[i]) continue;
    const std::string_view line = trimmed(answer.substr(lines[i].begin, lines[i].end - lines[i].begin));
    if (!line.empty() && !line.starts_with("```") && out.prose_at == std::string::npos) {
      out.prose_at = lines[i].begin + static_cast<size_t>(answer.substr(lines[i].begin).find(line));
    }
    for (size_t at = lines[i].begin; at < lines[i].end; ++at) out.text[at] = ' ';
  }
  return out;
}

}  // namespace callie::assertions
