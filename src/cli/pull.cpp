// `callie pull`: fetch a model.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "cli/verbs.h"
#include "core/interrupt.h"
#include "core/json.h"
#include "io/catalogue.h"
#include "io/checkpoint.h"
#include "io/model_path.h"
#include "io/sha256.h"

namespace callie::cli {
namespace {

struct PullArguments {
  std::string model, sha256;
  bool json = false, quiet = false;
};

Status pull(const PullArguments& arguments) {
  install_interrupt_handler();
  CALLIE_ASSIGN_OR_RETURN(const Environment environment, Environment::from_process());
  CALLIE_ASSIGN_OR_RETURN(const io::ModelPlace place,
                          io::locate_model(arguments.model, environment));
  io::PullOptions options;
  options.sha256 = arguments.sha256;
  options.quiet = arguments.quiet;
  CALLIE_ASSIGN_OR_RETURN(const std::string path,
                          io::resolve_model(arguments.model, environment, options));
  if (place.present && !arguments.sha256.empty()) {
    CALLIE_ASSIGN_OR_RETURN(const std::string digest, io::sha256_file(path));
    if (digest != arguments.sha256)
      return data_loss("{}: sha256: is {}, expected {}", path, digest, arguments.sha256);
  }
  std::string name = arguments.model;
  if (place.source == io::ModelSource::kPath) {
    // A local model is looked into, and linked so that its name alone finds it.
    CALLIE_ASSIGN_OR_RETURN(const auto opened, io::Checkpoint::open(path));
    CALLIE_ASSIGN_OR_RETURN(name, io::link_model(path, environment));
  }
  const uint64_t bytes = io::model_bytes(path);
  if (arguments.json) {
    const Json out = {
        {"name", name}, {"path", path}, {"bytes", bytes}, {"was_present", place.present}};
    std::printf("%s\n", out.dump(2, ' ', false, Json::error_handler_t::replace).c_str());
  } else {
    std::printf("%s  %.1f MB  %s\n", name.c_str(), static_cast<double>(bytes) / 1e6, path.c_str());
  }
  return ok_status();
}

}  // namespace

void add_pull(CLI::App& app, Action& action) {
  auto arguments = std::make_shared<PullArguments>();
  CLI::App* verb =
      app.add_subcommand("pull", "Fetch a model; a pull that was cut off goes on where it stopped");
  verb->footer(
      "Example: callie pull qwen2.5-coder-0.5b\n         callie pull hf:OWNER/REPO/FILE.gguf");
  verb->add_option("MODEL", arguments->model,
                   "Name (see `callie models`), URL, hf:OWNER/REPO[@REVISION]/FILE, or a local "
                   "file or folder")
      ->required();
  verb->add_option("--sha256", arguments->sha256, "Digest that the file must have")
      ->check([](const std::string& text) {
        return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string::npos
                   ? std::string()
                   : std::string("expected 64 lower-case hexadecimal digits");
      });
  verb->add_flag("--json", arguments->json, "Print one JSON object");
  verb->add_flag("-q,--quiet", arguments->quiet, "No progress line");
  verb->callback([arguments, &action] { action = [arguments] { return pull(*arguments); }; });
}

}  // namespace callie::cli
