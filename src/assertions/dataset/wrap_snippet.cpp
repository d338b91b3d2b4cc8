#include <map>

#include "assertions/dataset/task.h"
#include "assertions/syntax/walk.h"
#include "assertions/syntax/parser.h"

namespace callie::assertions {
namespace {

constexpr int kPlainWidth = 4;

}  // namespace

std::string wrap_snippet(const std::string& code, bool synchronous, const std::string& clock_text) {
  SourceSet sources;
  std::vector<ast::Stmt> statements;
  // A missing ';' is put in for this look; the judge sees the text as it is.
  std::string text = code;
  for (int attempt = 0; attempt < 200; ++attempt) {
    SourceError problem;
    StatusOr<std::vector<ast::Stmt>> parsed = parse_statements(sources, "snippet", text, &problem);
    if (parsed.ok()) {
      statements = std::move(*parsed);
      break;
    }
    if (!problem.message.starts_with("expected ';'") || problem.span.begin > text.size()) break;
    text.insert(problem.span.begin, 1, ';');
  }
  std::map<std::string, int> widths;
  std::set<std::string> written;
  const auto on_expr = [&](ast::Expr& e) {
    if (e.kind == ast::ExprKind::kName) widths.emplace(e.name, kPlainWidth);
  };
  const auto on_statement = [&](ast::Stmt& s) {
    if (s.kind == ast::StmtKind::kAssign && s.target) {
      for (const std::string& name : written_names(*s.target)) written.insert(name);
    }
    if (s.kind != ast::StmtKind::kCase || s.expr->kind != ast::ExprKind::kName) return;
    int width = 1;
    for (const ast::CaseArm& arm : s.arms) {
      for (const ast::Expr& label : arm.labels) {
        if (label.kind == ast::ExprKind::kNumber) width = std::max(width, label.number->width);
      }
    }
    widths[s.expr->name] = width;
    for (const ast::CaseArm& arm : s.arms) {
      for (const ast::Expr& label : arm.labels) {
        if (label.kind == ast::ExprKind::kName) widths[label.name] = width;
      }
    }
  };
  for (ast::Stmt& statement : statements) visit(statement, on_expr, {}, on_statement);
  const size_t space = clock_text.find(' ');
  const std::string clock = space == std::string::npos ? "clk" : clock_text.substr(space + 1);
  std::string ports;
  if (synchronous) ports = "input logic " + clock;
  for (const auto& [name, width] : widths) {
    if (synchronous && name == clock) continue;
    ports += fmt::format("{}{} logic [{}:0] {}", ports.empty() ? "" : ", ", written.contains(name) ? "output" : "input", width - 1, name);
  }
  const std::string process = synchronous ? fmt::format("always_ff @({})", clock_text.empty() ? "posedge clk" : clock_text) : "always_comb";
  return fmt::format("module snippet({});\n{} begin\n{}\nend\nendmodule\n", ports, process, code);
}

}  // namespace callie::assertions
