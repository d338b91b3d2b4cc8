#pragma once

#include <map>
#include <string>
#include <vector>

#include "assertions/syntax/lexer.h"

namespace callie::assertions {

struct PreprocessOptions {
  std::vector<std::string> include_dirs;        ///< beside the folder of the including file
  std::map<std::string, std::string> defines;   ///< NAME -> text
  bool missing_includes_are_errors = true;
  /// Harvesting: an unknown macro vanishes with its arguments, or becomes 1'b0 where an operand stands; conditions need
  /// not balance.
  bool lenient = false;
};

/// Macros and conditional text: `define (with arguments and defaults, ``, `"), `undef, `ifdef family, `include;
/// other known directives are skipped. Definitions live from one file to the next of the same preprocessor.
class Preprocessor {
 public:
  Preprocessor(SourceSet& sources, PreprocessOptions options);

  /// The tokens of one file, ended by kEnd. Throws SourceError: unknown or recursive macro, unbalanced conditions,
  /// a missing include, more than 64 MiB of expanded text or 8 M tokens.
  std::vector<Token> run(uint32_t file);

  /// Replaces the macros used in `text` by their text; other directives stay.
  std::string expand(std::string_view text);

 private:
  struct Macro {
    bool has_args = false;
    std::vector<std::string> args;
    std::vector<std::string> defaults;
    std::vector<bool> has_default;
    std::string body;
  };
  struct Condition {
    bool parent_active, taken, active, seen_else;
    Span span;
  };
  struct Frame {
    Lexer lexer;
    bool is_file;
  };

  void directive(const Token& token);
  void define(Lexer& lexer, Span at);
  void conditional(const Token& token, Lexer& lexer);
  void include(Lexer& lexer, Span at);
  void skip_inactive(Lexer& lexer);
  std::string use(const std::string& name, Lexer& lexer, Span at);
  std::string stand_in(Lexer& lexer, Span at, const std::string& name);
  std::vector<std::string> arguments(Lexer& lexer, Span at, const std::string& name);
  std::string expand(std::string_view text, Span at);
  std::string substitute(const Macro& macro, const std::vector<std::string>& args) const;
  bool active() const { return conditions_.empty() || conditions_.back().active; }
  void charge(size_t bytes, Span at);

  SourceSet& sources_;
  PreprocessOptions options_;
  std::map<std::string, Macro, std::less<>> macros_;
  std::vector<Condition> conditions_;
  std::vector<Frame> frames_;
  std::vector<std::string> active_macros_;
  size_t expanded_bytes_ = 0;
  bool wants_operand_ = false;   ///< the last token asks for an operand behind it
};

}  // namespace callie::assertions
