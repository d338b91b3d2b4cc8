#pragma once

#include <functional>

#include "core/status.h"

namespace CLI {
class App;
}

namespace callie::cli {

/// What a verb's parser leaves to do once the command line has been read. The status becomes the exit code.
using Action = std::function<Status()>;

/// Each verb adds its subcommand to `app` and stores its work in `action` when it is chosen. One file per verb, one
/// line here, one line in kVerbs of main.cpp.
using AddVerb = void (*)(CLI::App& app, Action& action);

void add_assert(CLI::App& app, Action& action);
void add_bench(CLI::App& app, Action& action);
/// `callie bench edge`; called by add_bench.
void add_bench_edge(CLI::App& bench, Action& action);
/// `callie bench serve`; called by add_bench.
void add_bench_serve(CLI::App& bench, Action& action);
/// `callie cloud` and `callie edge`, the two sides of edge-cloud speculation.
void add_cloud(CLI::App& app, Action& action);
void add_edge(CLI::App& app, Action& action);
void add_embed(CLI::App& app, Action& action);
void add_eval(CLI::App& app, Action& action);
void add_inspect(CLI::App& app, Action& action);
void add_models(CLI::App& app, Action& action);
void add_plan(CLI::App& app, Action& action);
/// `callie plan replay`, `calibrate` and `validate`; called by add_plan.
void add_plan_replay(CLI::App& plan, Action& action);
void add_pull(CLI::App& app, Action& action);
void add_run(CLI::App& app, Action& action);
void add_serve(CLI::App& app, Action& action);
void add_tokenize(CLI::App& app, Action& action);
void add_tune(CLI::App& app, Action& action);

}  // namespace callie::cli
