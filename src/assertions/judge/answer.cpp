#include "assertions/judge/answer.h"

#include <algorithm>
#include <map>

#include "assertions/judge/extract.h"
#include "assertions/syntax/walk.h"
#include "assertions/syntax/lexer.h"
#include "assertions/syntax/parser.h"

namespace callie::assertions {
namespace {

using ast::Item;
using ast::ItemKind;

bool begins_with_word(std::string_view text, std::string_view word) {
  return text.starts_with(word) && (text.size() == word.size() || !is_name_char(text[word.size()]));
}

std::string_view without_blank(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\r\n");
  return begin == std::string_view::npos ? std::string_view{} : text.substr(begin);
}

// The name in front of a colon, or behind `property`.
std::string guess_name(std::string_view text) {
  text = without_blank(text);
  for (std::string_view word : {"property", "sequence"}) {
    if (begins_with_word(text, word)) text = without_blank(text.substr(word.size()));
  }
  size_t end = 0;
  while (end < text.size() && is_name_char(text[end])) ++end;
  const std::string_view name = text.substr(0, end);
  if (name.empty() || is_keyword(name)) return {};
  return std::string(name);
}

class Reader {
 public:
  Reader(SourceSet& sources, const std::string& prefix, const std::vector<std::string>& taken)
      : sources_(sources), prefix_(prefix), taken_(taken.begin(), taken.end()) {}

  ParsedAnswer run(const std::string& name, std::string_view text) {
    const Extracted code = extract_code(text);
    std::vector<Piece> pieces = parse_pieces(sources_, name, code.text);
    file_ = static_cast<uint32_t>(sources_.size() - 1);
    if (code.prose_at != std::string::npos) {
      out_.diagnostics.push_back(diagnose(sources_, {file_, static_cast<uint32_t>(code.prose_at), static_cast<uint32_t>(code.prose_at + 1)},
                                          code::kProse, "text around the SystemVerilog was left out", false));
    }
    if (code.text.find("assert") == std::string::npos && code.text.find("property") == std::string::npos) {
      out_.diagnostics.push_back(diagnose(sources_, {file_, 0, 0}, code::kNoAssertion, "the answer holds no assertion"));
      return std::move(out_);
    }
    collect_declared(pieces);
    for (Piece& piece : pieces) {
      for (const SourceError& problem : piece.errors) broken(piece, problem);
      for (Item& item : piece.items) take(std::move(item), piece.span);
    }
    // A property may stand behind the assertion that uses it; of several with one name the last one before counts.
    for (auto& [item, names] : deferred_) {
      renamed_ = std::move(names);
      if (item.kind == ItemKind::kAssertion) take_assertion(std::move(item));
      else take_process(std::move(item));
    }
    for (const size_t at : properties_) {
      if (!used_.contains(out_.support[at].name)) assert_unused(out_.support[at]);
    }
    std::stable_sort(out_.assertions.begin(), out_.assertions.end(),
                     [](const auto& a, const auto& b) { return a.span.begin < b.span.begin; });
    if (out_.assertions.empty()) {
      out_.diagnostics.push_back(diagnose(sources_, {file_, 0, 0}, code::kNoAssertion, "the answer holds no assertion"));
    }
    return std::move(out_);
  }

 private:
  // Names of the answer's own declarations; variables may be driven by it.
  void collect_declared(const std::vector<Piece>& pieces) {
    for (const Piece& piece : pieces) {
      for (const Item& item : piece.items) {
        if (item.kind == ItemKind::kProperty || item.kind == ItemKind::kSequence) renamed_[item.name] = mangled(item.name, 0);
        if (item.kind == ItemKind::kDecl || item.kind == ItemKind::kParameter || item.kind == ItemKind::kTypedef) {
          for (const ast::Declarator& name : item.names) {
            if (!taken_.contains(name.name)) own_.insert(name.name);
          }
        }
      }
    }
  }

  std::string mangled(const std::string& name, int count) const { return fmt::format("{}{}_{}", prefix_, name, count); }

  void broken(const Piece& piece, const SourceError& problem) {
    AnswerAssertion out;
    out.parsed = false;
    out.span = piece.span;
    const std::string_view text = sources_.text(piece.span);
    out.name = guess_name(text);
    if (out.name.empty()) out.name = fmt::format("assert_{}", sources_.place(piece.span).line);
    else note_name(out.name, piece.span, out.diagnostics);
    std::string_view which = code::kSyntax;
    Span at = problem.span;
    std::string message = problem.message;
    if (const Span clock = stray_clock(piece.span, problem.span); clock.end > clock.begin) {
      which = code::kClockInExpression;
      at = clock;
      message = "the clocking event stands inside an expression; it belongs in front of the whole property";
    } else if (message.starts_with("expected ';'")) {
      which = code::kMissingSemicolon;
    } else if (std::count(text.begin(), text.end(), '(') != std::count(text.begin(), text.end(), ')')) {
      which = code::kUnbalanced;
    }
    out.diagnostics.push_back(diagnose(sources_, at, which, std::move(message)));
    out_.assertions.push_back(std::move(out));
  }

  // An @ that does not begin a property or an event control: behind an operand, or behind an operator that joins
  // expressions.
  Span stray_clock(Span piece, Span problem) const {
    const std::string_view text = sources_.text(piece);
    for (size_t at = text.find('@'); at != std::string_view::npos; at = text.find('@', at + 1)) {
      size_t before = at;
      while (before > 0 && std::string_view(" \t\r\n").find(text[before - 1]) != std::string_view::npos) --before;
      if (before == 0) continue;
      const char last = text[before - 1];
      bool stray = is_name_char(last) || last == ')' || last == ']' || last == '&' || last == '|' || last == '=' || last == '!';
      if (text.substr(0, before).ends_with("|=") || text.substr(0, before).ends_with("|->") || text.substr(0, before).ends_with("|=>")) stray = false;
      if (last == '(') {
        const std::string_view head = text.substr(0, before - 1);
        const size_t end = head.find_last_not_of(" \t\r\n");
        const std::string_view word = end == std::string_view::npos ? "" : head.substr(0, end + 1);
        stray = !word.ends_with("property") && !word.ends_with("sequence") && problem.begin >= piece.begin + at;
      }
      for (std::string_view word : {"always", "always_ff", "clocking", "not", "and", "or", "implies"}) {
        const std::string_view head = text.substr(0, before);
        if (head.ends_with(word) && (head.size() == word.size() || !is_name_char(head[head.size() - word.size() - 1]))) stray = false;
      }
      // `clocking NAME @(...)`, `always @(...)` with a label and the like never fail at the event itself.
      if (stray && begins_with_word(without_blank(text), "default")) stray = false;
      if (!stray) continue;
      const uint32_t begin = piece.begin + static_cast<uint32_t>(at);
      size_t close = text.find(')', at);
      if (close == std::string_view::npos) close = at;
      return {piece.file, begin, piece.begin + static_cast<uint32_t>(close) + 1};
    }
    return {piece.file, 0, 0};
  }

  void note_name(const std::string& name, Span span, std::vector<Diagnostic>& to) {
    if (taken_.contains(name)) {
      to.push_back(diagnose(sources_, span, code::kNameReuse, fmt::format("'{}' is already a name of the module", name)));
    } else if (!names_.insert(name).second) {
      to.push_back(diagnose(sources_, span, code::kNameReuse, fmt::format("the name '{}' is used for something else before", name)));
    }
  }

  bool drives_only_own(Item& item) {
    bool own = true;
    const auto check = [&](const ast::Expr& target) {
      for (const std::string& name : written_names(target)) own = own && own_.contains(name);
    };
    for (const auto& [target, source] : item.assigns) check(target);
    for (ast::Stmt& statement : item.body) {
      visit(statement, {}, {}, [&](ast::Stmt& s) {
        if (s.kind == ast::StmtKind::kAssign && s.target) check(*s.target);
      });
    }
    return own;
  }

  void refuse(Span span, std::string_view which, std::string message) {
    out_.diagnostics.push_back(diagnose(sources_, span, which, std::move(message)));
  }

  void take(Item item, Span piece) {
    switch (item.kind) {
      case ItemKind::kProperty: case ItemKind::kSequence: {
        std::vector<Diagnostic> notes;
        note_name(item.name, item.name_span, notes);
        const std::string unique = mangled(item.name, counts_[item.name]++);
        renamed_[item.name] = unique;
        rename(item);
        display_[unique] = item.name;
        notes_[unique] = std::move(notes);
        if (item.span.end <= item.span.begin) item.span = piece;
        item.name = unique;
        if (item.kind == ItemKind::kProperty) properties_.push_back(out_.support.size());
        out_.support.push_back(std::move(item));
        return;
      }
      case ItemKind::kAssertion: case ItemKind::kAlways: case ItemKind::kInitial: case ItemKind::kFinal:
        deferred_.emplace_back(std::move(item), renamed_);
        return;
      case ItemKind::kAssign:
        if (!drives_only_own(item)) return refuse(item.span, code::kDrivesDesign, "an answer may not drive signals of the module");
        out_.support.push_back(std::move(item));
        return;
      case ItemKind::kDecl: case ItemKind::kParameter: case ItemKind::kTypedef: {
        // A repeated declaration of the module's own signals adds nothing.
        std::erase_if(item.names, [&](const ast::Declarator& name) { return taken_.contains(name.name); });
        if (item.names.empty()) return;
        out_.support.push_back(std::move(item));
        return;
      }
      case ItemKind::kClocking: case ItemKind::kDefaultClocking: case ItemKind::kDefaultDisable: case ItemKind::kFunction:
      case ItemKind::kImport:
        out_.support.push_back(std::move(item));
        return;
      case ItemKind::kGenvar: case ItemKind::kTask: return;
      default: return refuse(item.span.end > item.span.begin ? item.span : piece, code::kDrivesDesign, "an answer may hold assertions and what they need, nothing else");
    }
  }

  void take_assertion(Item item) {
    const ast::AssertKind kind = item.assertion->kind;
    if (kind == ast::AssertKind::kCover || kind == ast::AssertKind::kCoverSequence) return;
    if (kind != ast::AssertKind::kAssert) {
      return refuse(item.span, code::kAssumption, "an answer may not assume anything about the design");
    }
    AnswerAssertion out;
    out.span = item.span;
    rename(item);
    if (item.assertion->concurrent) inline_property(*item.assertion->property, out);
    if (!item.label.empty()) {
      out.name = item.label;
      note_name(item.label, item.name_span, out.diagnostics);
    }
    if (out.name.empty()) out.name = fmt::format("assert_{}", sources_.place(item.span).line);
    item.label.clear();
    out.item = std::move(item);
    out_.assertions.push_back(std::move(out));
  }

  // `assert property (p)`: the property's own text, so that its parts can be looked at.
  void inline_property(ast::Prop& property, AnswerAssertion& out) {
    const bool plain_name = property.kind == ast::PropKind::kBoolean && property.expr && property.expr->kind == ast::ExprKind::kName;
    const std::string name = plain_name ? property.expr->name : property.kind == ast::PropKind::kInstance ? property.name : "";
    for (const Item& declared : out_.support) {
      if (declared.name != name || name.empty() || declared.kind != ItemKind::kProperty) continue;
      used_.insert(name);
      out.name = display_[name];
      for (const Diagnostic& note : notes_[name]) out.diagnostics.push_back(note);
      notes_[name].clear();
      if (declared.formals.empty() && declared.items.empty()) property = ast::Prop(*declared.property);
      return;
    }
    visit(property, [&](ast::Expr& e) { if (e.kind == ast::ExprKind::kName || e.kind == ast::ExprKind::kCall) used_.insert(e.name); },
          [&](ast::Prop& p) { if (p.kind == ast::PropKind::kInstance) used_.insert(p.name); });
  }

  void take_process(Item item) {
    std::vector<ast::Stmt*> assertions;
    for (ast::Stmt& body : item.body) for_each_assertion(body, [&](ast::Stmt& s) { assertions.push_back(&s); });
    if (assertions.empty() || item.kind != ItemKind::kAlways) {
      if (item.kind == ItemKind::kAlways && drives_only_own(item)) {
        out_.support.push_back(std::move(item));
        return;
      }
      return refuse(item.span, code::kDrivesDesign, "an answer may not drive signals of the module");
    }
    if (!drives_only_own(item)) return refuse(item.span, code::kDrivesDesign, "an answer may not drive signals of the module");
    rename(item);
    for (size_t wanted = 0; wanted < assertions.size(); ++wanted) {
      const ast::Stmt& statement = *assertions[wanted];
      const ast::AssertKind kind = statement.assertion->kind;
      if (kind == ast::AssertKind::kCover || kind == ast::AssertKind::kCoverSequence) continue;
      if (kind != ast::AssertKind::kAssert) {
        refuse(statement.span, code::kAssumption, "an answer may not assume anything about the design");
        continue;
      }
      AnswerAssertion out;
      out.span = statement.span;
      out.name = statement.label;
      if (out.name.empty()) out.name = fmt::format("assert_{}", sources_.place(statement.span).line);
      else note_name(out.name, statement.span, out.diagnostics);
      out.item = item;
      size_t index = 0;
      for (ast::Stmt& body : out.item.body) {
        for_each_assertion(body, [&](ast::Stmt& s) {
          if (index++ == wanted) {
            s.label.clear();
            return;
          }
          s.kind = ast::StmtKind::kNull;
          s.assertion = {};
        });
      }
      out_.assertions.push_back(std::move(out));
    }
  }

  void assert_unused(const Item& property) {
    AnswerAssertion out;
    out.name = display_[property.name];
    out.span = property.span;
    out.diagnostics = notes_[property.name];
    out.diagnostics.push_back(diagnose(sources_, property.name_span, code::kNotAsserted,
                                       fmt::format("property '{}' is declared and never asserted", out.name)));
    out.item.kind = ItemKind::kAssertion;
    out.item.span = property.span;
    out.item.assertion = ast::Assertion{};
    out.item.assertion->concurrent = true;
    out.item.assertion->span = property.span;
    out.item.assertion->property = ast::Prop(*property.property);
    if (!property.formals.empty()) {
      out.parsed = false;
      out.diagnostics.push_back(diagnose(sources_, property.name_span, code::kUnsupported, "a property with arguments that nothing gives it"));
    }
    out_.assertions.push_back(std::move(out));
  }

  void rename(Item& item) {
    const auto new_name = [&](std::string& name) {
      const auto it = renamed_.find(name);
      if (it != renamed_.end()) name = it->second;
    };
    visit(item, [&](ast::Expr& e) { if (e.kind == ast::ExprKind::kName || e.kind == ast::ExprKind::kCall) new_name(e.name); },
          [&](ast::Prop& p) { if (p.kind == ast::PropKind::kInstance) new_name(p.name); });
  }

  SourceSet& sources_;
  const std::string& prefix_;
  std::set<std::string> taken_, own_, names_, used_;
  std::map<std::string, std::string> renamed_, display_;
  std::map<std::string, std::vector<Diagnostic>> notes_;
  std::map<std::string, int> counts_;
  std::vector<std::pair<Item, std::map<std::string, std::string>>> deferred_;
  std::vector<size_t> properties_;
  ParsedAnswer out_;
  uint32_t file_ = 0;
};

}  // namespace

ParsedAnswer parse_answer(SourceSet& sources, const std::string& name, std::string_view text, const std::string& prefix,
                          const std::vector<std::string>& taken) {
  return Reader(sources, prefix, taken).run(name, text);
}

Diagnostic diagnose(const SourceSet& sources, Span span, std::string_view which, std::string message, bool is_error) {
  Diagnostic out;
  out.code = which;
  out.is_error = is_error;
  out.message = std::move(message);
  for (char& c : out.message) {
    if (static_cast<unsigned char>(c) < 32 || c == 127) c = ' ';
  }
  if (out.message.size() > 400) out.message = out.message.substr(0, 400) + "...";
  const Place begin = sources.place(span);
  Span last = span;
  last.begin = std::max(span.end, span.begin);
  const Place end = sources.place(last);
  out.line = std::max(1, begin.line);
  out.column = std::max(1, begin.column);
  out.end_line = std::max(out.line, end.line);
  out.end_column = std::max(1, end.column);
  return out;
}

void for_each_assertion(ast::Stmt& statement, const std::function<void(ast::Stmt&)>& work) {
  if (statement.kind == ast::StmtKind::kAssert) {
    work(statement);
    return;
  }
  for (ast::CaseArm& arm : statement.arms) {
    for (ast::Stmt& inner : arm.body) for_each_assertion(inner, work);
  }
  for (ast::Stmt& inner : statement.body) for_each_assertion(inner, work);
}

}  // namespace callie::assertions
