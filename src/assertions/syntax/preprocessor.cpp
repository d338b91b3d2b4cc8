#include "assertions/syntax/preprocessor.h"

#include <algorithm>
#include <filesystem>
#include <unordered_set>

namespace callie::assertions {
namespace {

constexpr size_t kMaxExpandedBytes = size_t{64} << 20;
constexpr size_t kMaxTokens = size_t{8} << 20;
constexpr size_t kMaxFrames = 64;
constexpr size_t kMaxMacroDepth = 200;

std::string_view rest_of_line(Lexer& lexer) {
  const size_t begin = lexer.position();
  size_t end = lexer.text().find('\n', begin);
  if (end == std::string_view::npos) end = lexer.text().size();
  lexer.seek(end);
  return lexer.text().substr(begin, end - begin);
}

bool is_skipped_directive(std::string_view name) {
  static const std::unordered_set<std::string_view> kSkipped{
      "timescale", "default_nettype", "resetall", "line", "celldefine", "endcelldefine", "pragma",
      "unconnected_drive", "nounconnected_drive", "begin_keywords", "end_keywords", "verilator_config", "undefineall",
      "default_decay_time", "default_trireg_strength", "delay_mode_path", "suppress_faults", "enable_portfaults"};
  return kSkipped.contains(name);
}

std::string trim(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos) return {};
  return std::string(text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1));
}

std::string_view name_at(std::string_view text, size_t position) {
  size_t end = position;
  while (end < text.size() && is_name_char(text[end])) ++end;
  return text.substr(position, end - position);
}

// The end of the comment or string that starts at i, or i when none does.
size_t past_opaque(std::string_view text, size_t i) {
  const auto or_end = [&](size_t at, size_t plus) {
    return at == std::string_view::npos ? text.size() : at + plus;
  };
  if (text.substr(i, 2) == "//") return or_end(text.find('\n', i), 0);
  if (text.substr(i, 2) == "/*") return or_end(text.find("*/", i + 2), 2);
  if (text[i] != '"') return i;
  size_t end = i + 1;
  while (end < text.size() && text[end] != '"' && text[end] != '\n') end += text[end] == '\\' ? 2 : 1;
  return std::min(end + 1, text.size());
}

}  // namespace

Preprocessor::Preprocessor(SourceSet& sources, PreprocessOptions options)
    : sources_(sources), options_(std::move(options)) {
  for (const auto& [name, text] : options_.defines) macros_[name].body = text;
}

void Preprocessor::charge(size_t bytes, Span at) {
  expanded_bytes_ += bytes;
  if (expanded_bytes_ > kMaxExpandedBytes) {
    throw SourceError{at, "macros expand to more than 64 MiB", StatusCode::kResourceExhausted};
  }
}

std::vector<Token> Preprocessor::run(uint32_t file) {
  std::vector<Token> out;
  conditions_.clear();
  frames_.clear();
  frames_.push_back({Lexer(sources_.text(file), file), true});
  for (;;) {
    Token token;
    Frame& frame = frames_.back();
    if (!active()) skip_inactive(frame.lexer);
    token = frame.lexer.next();
    if (token.kind == TokenKind::kEnd) {
      if (frames_.size() > 1) {
        frames_.pop_back();
        continue;
      }
      if (!conditions_.empty() && !options_.lenient) throw SourceError{conditions_.back().span, "`ifdef without an `endif"};
      out.push_back(token);
      return out;
    }
    if (token.kind == TokenKind::kDirective) {
      directive(token);
      continue;
    }
    if (out.size() >= kMaxTokens) {
      throw SourceError{token.span, "more than 8 million tokens", StatusCode::kResourceExhausted};
    }
    out.push_back(token);
    wants_operand_ = token.kind == TokenKind::kOp && token.text != ";" && token.text != ")" && token.text != "]" && token.text != "}" && token.text != "#" && token.text != "@";
  }
}

// Stands at the next directive that may end the inactive text.
void Preprocessor::skip_inactive(Lexer& lexer) {
  const std::string_view text = lexer.text();
  size_t i = lexer.position();
  while (i < text.size()) {
    const size_t after = past_opaque(text, i);
    if (after != i) {
      i = after;
      continue;
    }
    if (text[i] == '`') {
      const std::string_view name = name_at(text, i + 1);
      if (name == "ifdef" || name == "ifndef" || name == "elsif" || name == "else" || name == "endif") break;
    }
    ++i;
  }
  lexer.seek(i);
}

void Preprocessor::directive(const Token& token) {
  const std::string name(token.text.substr(1));
  Lexer& lexer = frames_.back().lexer;
  if (name == "ifdef" || name == "ifndef" || name == "elsif" || name == "else" || name == "endif") {
    conditional(token, lexer);
  } else if (name == "define") {
    define(lexer, token.span);
  } else if (name == "undef") {
    const Token target = lexer.next();
    macros_.erase(std::string(target.text));
  } else if (name == "include") {
    include(lexer, token.span);
  } else if (is_skipped_directive(name)) {
    if (name != "resetall" && !name.ends_with("celldefine")) rest_of_line(lexer);
  } else {
    std::string text = use(name, lexer, token.span);
    if (frames_.size() >= kMaxFrames) throw SourceError{token.span, "macros and includes nest too deeply"};
    frames_.push_back({Lexer(sources_.keep(std::move(text)), token.span), false});
  }
}

void Preprocessor::conditional(const Token& token, Lexer& lexer) {
  const std::string_view name = token.text.substr(1);
  const auto defined = [&] {
    const Token target = lexer.next();
    if (target.kind != TokenKind::kName && target.kind != TokenKind::kKeyword) {
      throw SourceError{target.span, fmt::format("`{} needs a macro name", name)};
    }
    return macros_.contains(target.text);
  };
  if (name == "ifdef" || name == "ifndef") {
    const bool holds = defined() == (name == "ifdef");
    if (conditions_.size() >= 1000) throw SourceError{token.span, "conditions nest deeper than 1000"};
    conditions_.push_back({active(), holds, active() && holds, false, token.span});
    return;
  }
  if (conditions_.empty()) throw SourceError{token.span, fmt::format("`{} without an `ifdef", name)};
  Condition& top = conditions_.back();
  if (name == "endif") {
    conditions_.pop_back();
    return;
  }
  if (top.seen_else) throw SourceError{token.span, fmt::format("`{} after `else", name)};
  const bool holds = name == "elsif" ? defined() : true;
  top.seen_else = name == "else";
  top.active = top.parent_active && !top.taken && holds;
  top.taken = top.taken || holds;
}

void Preprocessor::define(Lexer& lexer, Span at) {
  const Token name = lexer.next();
  if (name.kind != TokenKind::kName && name.kind != TokenKind::kKeyword && name.kind != TokenKind::kEscapedName) {
    throw SourceError{name.span, "`define needs a name"};
  }
  Macro macro;
  const std::string_view text = lexer.text();
  if (lexer.position() < text.size() && text[lexer.position()] == '(') {
    macro.has_args = true;
    lexer.seek(lexer.position() + 1);
    for (std::string& arg : arguments(lexer, at, std::string(name.text))) {
      const size_t equals = arg.find('=');
      macro.args.push_back(trim(std::string_view(arg).substr(0, equals)));
      macro.has_default.push_back(equals != std::string::npos);
      macro.defaults.push_back(equals == std::string::npos ? "" : trim(std::string_view(arg).substr(equals + 1)));
    }
    if (macro.args.size() == 1 && macro.args[0].empty()) {
      macro.args.clear();
      macro.defaults.clear();
      macro.has_default.clear();
    }
  }
  size_t i = lexer.position();
  while (i < text.size() && text[i] != '\n') {
    if (text[i] == '\\' && (text.substr(i + 1, 1) == "\n" || text.substr(i + 1, 2) == "\r\n")) {
      macro.body += '\n';
      i += text[i + 1] == '\r' ? 3 : 2;
    } else if (text.substr(i, 2) == "//") {
      while (i < text.size() && text[i] != '\n') {
        if (text[i] == '\\' && i + 1 < text.size() && text[i + 1] == '\n') break;
        ++i;
      }
    } else if (text.substr(i, 2) == "/*") {
      i = past_opaque(text, i);
      macro.body += ' ';
    } else {
      macro.body += text[i++];
    }
  }
  lexer.seek(i);
  macro.body = trim(macro.body);
  macros_[std::string(name.text)] = std::move(macro);
}

void Preprocessor::include(Lexer& lexer, Span at) {
  lexer.skip_blank();
  const std::string line = expand(rest_of_line(lexer), at);
  const size_t open = line.find_first_of("\"<");
  const size_t close = open == std::string::npos ? open : line.find(line[open] == '<' ? '>' : '"', open + 1);
  if (close == std::string::npos) throw SourceError{at, "`include needs \"FILE\""};
  const std::string wanted = line.substr(open + 1, close - open - 1);
  size_t depth = 0;
  for (const Frame& frame : frames_) depth += frame.is_file;
  if (depth >= 40) throw SourceError{at, fmt::format("`include \"{}\" nests deeper than 40", wanted)};
  namespace fs = std::filesystem;
  std::vector<std::string> places{(fs::path(sources_.name(at.file)).parent_path() / wanted).string()};
  for (const std::string& folder : options_.include_dirs) places.push_back((fs::path(folder) / wanted).string());
  for (const std::string& path : places) {
    std::error_code ignored;
    if (!fs::is_regular_file(path, ignored)) continue;
    StatusOr<uint32_t> file = sources_.add_file(path);
    if (!file.ok()) throw SourceError{at, file.status().message()};
    frames_.push_back({Lexer(sources_.text(*file), *file), true});
    return;
  }
  if (options_.missing_includes_are_errors) {
    throw SourceError{at, fmt::format("no file '{}' to include", wanted), StatusCode::kNotFound};
  }
}

std::vector<std::string> Preprocessor::arguments(Lexer& lexer, Span at, const std::string& name) {
  std::vector<std::string> out(1);
  const std::string_view text = lexer.text();
  int depth = 0;
  size_t i = lexer.position();
  while (i < text.size()) {
    const char c = text[i];
    const size_t after = past_opaque(text, i);
    if (after != i) {
      if (c == '"') out.back() += text.substr(i, after - i);
      else out.back() += ' ';
      i = after;
      continue;
    }
    if (depth == 0 && c == ')') {
      lexer.seek(i + 1);
      return out;
    }
    if (depth == 0 && c == ',') {
      out.emplace_back();
    } else {
      depth += c == '(' || c == '[' || c == '{';
      depth -= c == ')' || c == ']' || c == '}';
      out.back() += c;
    }
    ++i;
  }
  throw SourceError{at, fmt::format("arguments of macro '{}' without an end", name)};
}

// What an unknown macro becomes; its arguments go with it.
std::string Preprocessor::stand_in(Lexer& lexer, Span at, const std::string& name) {
  size_t i = lexer.position();
  while (i < lexer.text().size() && std::isspace(static_cast<unsigned char>(lexer.text()[i]))) ++i;
  if (i < lexer.text().size() && lexer.text()[i] == '(') {
    lexer.seek(i + 1);
    (void)arguments(lexer, at, name);
  }
  return wants_operand_ ? "1'b0" : "";
}

std::string Preprocessor::use(const std::string& name, Lexer& lexer, Span at) {
  if (name == "__LINE__") return std::to_string(sources_.place(at).line);
  if (name == "__FILE__") return '"' + sources_.name(at.file) + '"';
  const auto found = macros_.find(name);
  if (found == macros_.end() && options_.lenient) return stand_in(lexer, at, name);
  if (found == macros_.end()) throw SourceError{at, fmt::format("unknown macro or directive `{}", name)};
  if (std::find(active_macros_.begin(), active_macros_.end(), name) != active_macros_.end()) {
    throw SourceError{at, fmt::format("macro `{} uses itself", name)};
  }
  if (active_macros_.size() >= kMaxMacroDepth) throw SourceError{at, "macros nest too deeply"};
  const Macro& macro = found->second;
  std::vector<std::string> args;
  if (macro.has_args) {
    lexer.skip_blank();
    if (lexer.position() >= lexer.text().size() || lexer.text()[lexer.position()] != '(') {
      throw SourceError{at, fmt::format("macro `{} needs arguments", name)};
    }
    lexer.seek(lexer.position() + 1);
    args = arguments(lexer, at, name);
    if (args.size() == 1 && macro.args.empty() && trim(args[0]).empty()) args.clear();
    if (args.size() > macro.args.size()) {
      throw SourceError{at, fmt::format("macro `{} takes {} arguments, not {}", name, macro.args.size(), args.size())};
    }
    for (std::string& arg : args) arg = expand(trim(arg), at);
    for (size_t i = 0; i < macro.args.size(); ++i) {
      if (i >= args.size()) {
        if (!macro.has_default[i]) {
          throw SourceError{at, fmt::format("macro `{} lacks its argument '{}'", name, macro.args[i])};
        }
        args.push_back(macro.defaults[i]);
      } else if (args[i].empty() && macro.has_default[i]) {
        args[i] = macro.defaults[i];
      }
    }
  }
  std::string text = substitute(macro, args);
  active_macros_.push_back(name);
  std::string out = expand(text, at);
  active_macros_.pop_back();
  charge(out.size() + 1, at);
  return out;
}

std::string Preprocessor::substitute(const Macro& macro, const std::vector<std::string>& args) const {
  std::string out;
  const std::string_view body = macro.body;
  for (size_t i = 0; i < body.size();) {
    if (is_name_start(body[i]) && (i == 0 || !is_name_char(body[i - 1]) || body.substr(i - 1, 1) == "`")) {
      const std::string_view word = name_at(body, i);
      const auto it = std::find(macro.args.begin(), macro.args.end(), word);
      const bool is_macro_use = i > 0 && body[i - 1] == '`' && !(i > 1 && body[i - 2] == '`');
      if (it != macro.args.end() && !is_macro_use) out += args[it - macro.args.begin()];
      else out += word;
      i += word.size();
    } else if (body.substr(i, 2) == "``") {
      i += 2;
    } else if (body.substr(i, 4) == "`\\`\"") {
      out += "\\\"";
      i += 4;
    } else if (body.substr(i, 2) == "`\"") {
      out += '"';
      i += 2;
    } else if (body[i] == '"') {
      const size_t end = past_opaque(body, i);
      out += body.substr(i, end - i);
      i = end;
    } else {
      out += body[i++];
    }
  }
  return out;
}

std::string Preprocessor::expand(std::string_view text) {
  return expand(text, Span{});
}

std::string Preprocessor::expand(std::string_view text, Span at) {
  if (text.find('`') == std::string_view::npos) return std::string(text);
  std::string out;
  for (size_t i = 0; i < text.size();) {
    const size_t after = past_opaque(text, i);
    if (after != i) {
      out += text.substr(i, after - i);
      i = after;
      continue;
    }
    if (text[i] == '`') {
      const std::string name(name_at(text, i + 1));
      if (macros_.contains(name) || name == "__LINE__" || name == "__FILE__") {
        Lexer lexer(text, at);
        lexer.seek(i + 1 + name.size());
        out += use(name, lexer, at);
        i = lexer.position();
        continue;
      }
    }
    out += text[i++];
  }
  return out;
}

}  // namespace callie::assertions
