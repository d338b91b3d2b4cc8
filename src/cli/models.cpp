// `callie models`: the catalogue, what is here, and the packed cache.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "cli/verbs.h"
#include "core/json.h"
#include "io/catalogue.h"
#include "io/model_path.h"
#include "io/packed_cache.h"

namespace callie::cli {
namespace {

struct ModelsArguments {
  std::string remove;
  bool json = false, clear_cache = false;
};

struct CatalogueLine {
  const io::CatalogueEntry* entry;
  io::ModelPlace place;
  uint64_t bytes;
};

StatusOr<std::vector<CatalogueLine>> catalogue_lines(const Environment& environment) {
  std::vector<CatalogueLine> lines;
  for (const io::CatalogueEntry& entry : io::catalogue()) {
    CALLIE_ASSIGN_OR_RETURN(io::ModelPlace place,
                            io::locate_model(std::string(entry.name), environment));
    const uint64_t bytes = place.present ? io::model_bytes(place.path) : entry.payload_bytes;
    lines.push_back({&entry, std::move(place), bytes});
  }
  return lines;
}

double megabytes(uint64_t bytes) { return static_cast<double>(bytes) / 1e6; }

/// Removes a model that lies in the cache; a link is removed, not what it points to.
Status remove_model(const std::string& name, const Environment& environment) {
  CALLIE_ASSIGN_OR_RETURN(const io::ModelPlace place, io::locate_model(name, environment));
  if (!place.present) return not_found("{}: is not here", name);
  if (place.path.rfind(environment.downloads_folder() + "/", 0) != 0) {
    return invalid_argument("{}: {} is outside the cache and is left alone", name, place.path);
  }
  std::error_code problem;
  std::filesystem::remove_all(place.path, problem);
  if (problem) return invalid_argument("{}: cannot remove: {}", place.path, problem.message());
  return ok_status();
}

void print_json(const Environment& environment, const std::vector<CatalogueLine>& lines,
                uint64_t freed) {
  Json out;
  Json& catalogue = out["catalogue"] = Json::array();
  for (const CatalogueLine& line : lines) {
    catalogue.push_back({{"name", line.entry->name},
                         {"summary", line.entry->summary},
                         {"licence", line.entry->licence},
                         {"bytes", line.bytes},
                         {"present", line.place.present},
                         {"path", line.place.path}});
  }
  Json& local = out["local"] = Json::array();
  for (const io::LocalModel& model : io::list_local_models(environment)) {
    local.push_back({{"name", model.name}, {"path", model.path}, {"bytes", model.bytes}});
  }
  Json& packed = out["packed_cache"] = {{"folder", environment.packed_folder()},
                                        {"limit_bytes", environment.packed_limit_bytes},
                                        {"freed_bytes", freed},
                                        {"files", Json::array()}};
  for (const io::PackedCacheEntry& entry : io::list_packed_cache(environment.packed_folder())) {
    packed["files"].push_back({{"model", entry.label},
                               {"isa", entry.isa},
                               {"format", entry.format},
                               {"bytes", entry.bytes},
                               {"last_used_s", entry.last_used_s},
                               {"path", entry.path}});
  }
  std::printf("%s\n", out.dump(2, ' ', false, Json::error_handler_t::replace).c_str());
}

void print_text(const Environment& environment, const std::vector<CatalogueLine>& lines) {
  for (const CatalogueLine& line : lines) {
    std::printf("%-20s %9.1f MB  %-10s  %-8s  %s\n", std::string(line.entry->name).c_str(),
                megabytes(line.bytes), std::string(line.entry->licence).c_str(),
                line.place.present ? "here" : "-", std::string(line.entry->summary).c_str());
  }
  const auto local = io::list_local_models(environment);
  if (!local.empty()) std::printf("\nother models in %s\n", environment.downloads_folder().c_str());
  for (const io::LocalModel& model : local)
    std::printf("%-20s %9.1f MB\n", model.name.c_str(), megabytes(model.bytes));
  const auto packed = io::list_packed_cache(environment.packed_folder());
  uint64_t total = 0;
  for (const io::PackedCacheEntry& entry : packed) total += entry.bytes;
  std::printf("\npacked weights in %s: %.1f of at most %.0f MB\n",
              environment.packed_folder().c_str(), megabytes(total),
              megabytes(environment.packed_limit_bytes));
  for (const io::PackedCacheEntry& entry : packed) {
    std::printf("%-20s %9.1f MB  %s\n", entry.label.c_str(), megabytes(entry.bytes),
                entry.isa.c_str());
  }
}

Status models(const ModelsArguments& arguments) {
  CALLIE_ASSIGN_OR_RETURN(const Environment environment, Environment::from_process());
  if (!arguments.remove.empty())
    CALLIE_RETURN_IF_ERROR(remove_model(arguments.remove, environment));
  uint64_t freed = 0;
  if (arguments.clear_cache) {
    CALLIE_ASSIGN_OR_RETURN(freed, io::clear_packed_cache(environment.packed_folder()));
  }
  CALLIE_ASSIGN_OR_RETURN(const auto lines, catalogue_lines(environment));
  if (arguments.json) {
    print_json(environment, lines, freed);
  } else {
    if (arguments.clear_cache) std::printf("freed %.1f MB of packed weights\n\n", megabytes(freed));
    print_text(environment, lines);
  }
  return ok_status();
}

}  // namespace

void add_models(CLI::App& app, Action& action) {
  auto arguments = std::make_shared<ModelsArguments>();
  CLI::App* verb =
      app.add_subcommand("models", "List the models that are known or here, and the packed cache");
  verb->footer("Example: callie models --clear-cache");
  verb->add_flag("--clear-cache", arguments->clear_cache,
                 "Remove the packed weights; the models stay");
  verb->add_option("--remove", arguments->remove, "Remove a model from the cache");
  verb->add_flag("--json", arguments->json, "Print one JSON object");
  verb->callback([arguments, &action] { action = [arguments] { return models(*arguments); }; });
}

}  // namespace callie::cli
