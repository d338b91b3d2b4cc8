#include "cli/exit_options.h"

#include <CLI/CLI.hpp>

namespace callie::cli {

void ExitOptions::add_to(CLI::App& verb, const std::string& help) {
  verb.add_option("--exits", file, help);
  verb.add_option("--exit-layers", layers, "use only the exits after these layers")->delimiter(',');
}

StatusOr<std::shared_ptr<const ExitHeads>> ExitOptions::load(std::shared_ptr<const Model> model,
                                                             const Context& context) const {
  if (file.empty()) return std::shared_ptr<const ExitHeads>();
  return ExitHeads::load(file, layers, std::move(model), context);
}

}  // namespace callie::cli
