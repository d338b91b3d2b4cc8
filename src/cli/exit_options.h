#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/context.h"
#include "core/status.h"
#include "engine/exit_heads.h"

namespace CLI {
class App;
}

namespace callie::cli {

/// Options of verbs whose large model may have early exits: cloud, bench edge.
struct ExitOptions {
  std::string file;         ///< of `callie tune exits`; empty = none
  std::vector<int> layers;  ///< empty = all in the file

  /// `help` describes --exits.
  void add_to(CLI::App& verb, const std::string& help);
  /// Null without --exits. Errors: those of ExitHeads::load().
  StatusOr<std::shared_ptr<const ExitHeads>> load(std::shared_ptr<const Model> model, const Context& context) const;
};

}  // namespace callie::cli
