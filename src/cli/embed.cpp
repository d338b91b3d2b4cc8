#include <CLI/CLI.hpp>
#include <cstdio>
#include <iostream>

#include "cli/model_options.h"
#include "cli/verbs.h"
#include "core/atomic_file.h"
#include "core/json.h"
#include "core/lines.h"
#include "engine/embedder.h"
#include "io/model_path.h"

namespace callie::cli {
namespace {

struct EmbedOptions {
  ModelOptions model;
  std::vector<std::string> texts;
  std::string file;
  bool json = false;
};

StatusOr<std::vector<std::string>> read_texts(const EmbedOptions& options) {
  if (options.file.empty()) return options.texts;
  CALLIE_ASSIGN_OR_RETURN(const std::string text, read_text_file(options.file));
  return nonempty_lines(text);
}

Status embed(const EmbedOptions& options) {
  CALLIE_ASSIGN_OR_RETURN(const std::vector<std::string> texts, read_texts(options));
  if (texts.empty()) return error(StatusCode::kUsage, "embed: no text given");
  ThreadPool pool(options.model.thread_count());
  Context context{&pool};
  CALLIE_ASSIGN_OR_RETURN(const Environment environment, Environment::from_process());
  CALLIE_ASSIGN_OR_RETURN(const std::string path, io::resolve_model(options.model.model, environment));
  CALLIE_ASSIGN_OR_RETURN(const auto embedder, Embedder::load(path, context));
  Json out = Json::array();
  for (const std::string& text : texts) {
    CALLIE_ASSIGN_OR_RETURN(const Embedder::Embedding embedding, embedder->embed(text));
    if (embedding.truncated) {
      std::fprintf(stderr, "warning: a text is longer than the context of %ld tokens and was cut\n",
                   static_cast<long>(embedder->context()));
    }
    if (options.json) {
      out.push_back({{"text", text}, {"tokens", embedding.tokens}, {"embedding", embedding.vector}});
      continue;
    }
    for (size_t i = 0; i < embedding.vector.size(); ++i) std::printf(i ? " %.6f" : "%.6f", embedding.vector[i]);
    std::printf("\n");
  }
  if (options.json) std::cout << out.dump(-1, ' ', false, Json::error_handler_t::replace) << "\n";
  return ok_status();
}

}  // namespace

void add_embed(CLI::App& app, Action& action) {
  CLI::App* verb = app.add_subcommand("embed", "sentence vectors");
  auto options = std::make_shared<EmbedOptions>();
  options->model.model = "all-minilm-l6-v2";
  options->model.add_to(*verb);
  auto* texts = verb->add_option("TEXT", options->texts, "texts");
  verb->add_option("--file", options->file, "file with a text on each line")->excludes(texts);
  verb->add_flag("--json", options->json, "JSON instead of one vector a line");
  verb->footer("Example: callie embed all-minilm-l6-v2 \"a small boat\" \"ein kleines Boot\"");
  verb->final_callback([options, &action] { action = [options] { return embed(*options); }; });
}

}  // namespace callie::cli
