#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "assertions/generate/names.h"
#include "assertions/generate/skeleton.h"
#include "assertions/syntax/ast.h"
#include "core/status.h"

/// A synthetic piece of design: fresh text on a given control structure.
namespace callie::assertions {

struct Snippet {
  struct Signal {
    std::string name;
    int width = 1;
    ast::Direction direction = ast::Direction::kNone;  ///< kNone: internal
    std::string type_name;                             ///< of an enumeration
    std::vector<std::string> members;
  };
  struct Reset {
    std::string name;
    int level = 0;
    bool async = false;
  };
  std::string module_name, block_name;
  std::string kind;
  std::vector<Signal> signals;                    ///< without clock and reset
  bool clocked = false;
  std::string clock;
  bool negedge = false;
  std::optional<Reset> reset;
  std::vector<ast::Item> types;                   ///< typedefs
  std::vector<ast::Item> processes;               ///< what `Code` shows
  std::vector<std::pair<std::string, ast::Expr>> reset_values;
  /// For pipelines: register k holds stages[k], an expression of inputs and of register k - 1.
  struct Pipeline {
    std::vector<std::string> registers;
    std::vector<ast::Expr> stages;
    std::optional<ast::Expr> enable;
  };
  std::optional<Pipeline> pipeline;
  std::vector<std::string> edge_controls;         ///< one-bit inputs that $rose and $fell may speak of
  struct Handshake { std::string valid, ready, data; };
  std::optional<Handshake> handshake;

  std::map<std::string, int> widths() const;
  /// The event control of its clock; `other_edge` turns the edge.
  ast::EventControl event(bool other_edge = false) const;
  std::optional<ast::Expr> reset_active() const;
  /// The wrapper: ports, types, internal signals, processes; then `extra`. With `free` every signal is an input and
  /// there are no processes.
  ast::Module module(const std::vector<ast::Item>& extra, bool free = false) const;
  std::string code() const;
};

/// Fills a skeleton with names, widths, conditions and right sides. Errors: kUnimplemented when the skeleton is of no
/// use (no assignment, too large, latches).
StatusOr<Snippet> synthesize(const Skeleton& skeleton, Dice& dice, bool test_names);
/// Tier 3: a clocked pipeline of two to four registers, with an enable or without, beside a small control structure.
Snippet synthesize_pipeline(Dice& dice, bool test_names);
/// Tier 4: a state machine of three to five states with a reset, its outputs, and a register behind a handshake.
Snippet synthesize_machine(Dice& dice, bool test_names);

ast::DataType logic_type(int width);

}  // namespace callie::assertions
