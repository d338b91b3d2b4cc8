#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>

#include "cli/verbs.h"
#include "core/log.h"
#include "core/version.h"

namespace callie::cli {
namespace {

// The order of `callie --help`.
constexpr AddVerb kVerbs[] = {
    add_run,
    add_serve,
    add_cloud,
    add_edge,
    add_pull,
    add_models,
    add_inspect,
    add_plan,
    add_eval,
    add_tune,
    add_bench,
    add_embed,
    add_tokenize,
    add_assert,
};

int exit_code(const Status& status) {
  switch (status.code()) {
    case StatusCode::kOk:
      return 0;
    case StatusCode::kUsage:
      return 2;
    case StatusCode::kCancelled:
      return 130;
    default:
      return 1;
  }
}

int main(int argc, char** argv) {
  CLI::App app("Callie: run, shrink, split, steer, tune, evaluate and plan foundation models on your own machine.\n"
               "Example: callie run smollm2-135m \"Why is the sky blue?\"",
               "callie");
  app.set_version_flag("--version", kVersion);
  app.require_subcommand(1);
  init_logging();  // to stderr: stdout belongs to --json
  std::signal(SIGXFSZ, SIG_IGN);  // a write past a file size limit is an error like that of a full disk
  Action action;
  for (AddVerb add : kVerbs) {
    if (add) add(app, action);
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& success) {
    return app.exit(success);
  } catch (const CLI::ParseError& problem) {
    std::fprintf(stderr, "error: %s\n", problem.what());
    return 2;
  }
  const Status status = action ? action() : ok_status();
  if (!status.ok() && !status.message().empty()) std::fprintf(stderr, "error: %s\n", status.message().c_str());
  return exit_code(status);
}

}  // namespace
}  // namespace callie::cli

int main(int argc, char** argv) { return callie::cli::main(argc, argv); }
