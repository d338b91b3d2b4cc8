#include "io/model_path.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <filesystem>

#include "core/hash.h"
#include "io/catalogue.h"
#include "io/fetch.h"
#include "io/gguf_checkpoint.h"
#include "io/package_source.h"
#include "io/quote.h"

namespace callie::io {
namespace {

namespace fs = std::filesystem;

bool exists(const std::string& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

bool begins_with(const std::string& text, std::string_view start) {
  return text.rfind(start, 0) == 0;
}

bool is_url(const std::string& model) {
  return begins_with(model, "http://") || begins_with(model, "https://");
}

/// NAME.gguf or NAME/ in a folder.
std::optional<std::string> named_in(const std::string& folder, const std::string& name) {
  if (folder.empty() || name.empty() || name.find('/') != std::string::npos || name[0] == '.')
    return std::nullopt;
  const std::string base = folder + "/" + name;
  if (exists(base + ".gguf")) return base + ".gguf";
  std::error_code ignored;
  if (fs::is_directory(base, ignored) && name != "hf" && name != "url") return base;
  return std::nullopt;
}

ModelPlace catalogue_place(const CatalogueEntry& entry, const Environment& environment) {
  const std::string name(entry.name);
  for (const std::string& folder : {environment.models_folder, environment.downloads_folder()}) {
    if (const auto found = named_in(folder, name))
      return {ModelSource::kCatalogue, *found, "", true};
  }
  return {ModelSource::kCatalogue,
          environment.downloads_folder() + "/" + name + (entry.is_folder ? "" : ".gguf"), "",
          false};
}

/// One element of a hub reference: it becomes a folder name and a part of an address.
bool plain(std::string_view part) {
  constexpr std::string_view kAllowed =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.+=";
  return !part.empty() && part[0] != '.' &&
         part.find_first_not_of(kAllowed) == std::string_view::npos;
}

/// hf:owner/repo[@revision]/file, where the file may lie in folders.
StatusOr<ModelPlace> hub_place(const std::string& model, const Environment& environment) {
  std::vector<std::string> parts;
  std::string_view rest = std::string_view(model).substr(3);
  while (!rest.empty()) {
    const size_t slash = std::min(rest.find('/'), rest.size());
    parts.emplace_back(rest.substr(0, slash));
    rest.remove_prefix(std::min(slash + 1, rest.size()));
  }
  std::string revision = "main";
  if (parts.size() >= 2) {
    if (const size_t at = parts[1].find('@'); at != std::string::npos) {
      revision = parts[1].substr(at + 1);
      parts[1].resize(at);
    }
  }
  if (parts.size() < 3 || !plain(revision) || !std::all_of(parts.begin(), parts.end(), plain)) {
    return invalid_argument("{}: expected hf:OWNER/REPO/FILE", quote(model, 200));
  }
  std::string file;
  for (size_t i = 2; i < parts.size(); ++i) file += "/" + parts[i];
  const std::string path = fmt::format("{}/hf/{}/{}/{}{}", environment.downloads_folder(), parts[0],
                                       parts[1], revision, file);
  const std::string url =
      fmt::format("{}/{}/{}/resolve/{}{}", environment.hub, parts[0], parts[1], revision, file);
  return ModelPlace{ModelSource::kHub, path, url, exists(path)};
}

/// url/HASH/FILE: the address tells files of one name apart.
ModelPlace url_place(const std::string& url, const Environment& environment) {
  const std::string bare = url.substr(0, url.find_first_of("?#"));
  std::string name = bare.substr(bare.rfind('/') + 1);
  if (!plain(name)) name = "model.gguf";
  const uint64_t hash = xxh64({reinterpret_cast<const uint8_t*>(url.data()), url.size()});
  const std::string path =
      fmt::format("{}/url/{:016x}/{}", environment.downloads_folder(), hash, name);
  return {ModelSource::kUrl, path, url, exists(path)};
}

/// Fetches a file, and the other parts of a split model.
Status fetch_all(const ModelPlace& place, const PullOptions& options) {
  const auto split = parse_split_name(place.path);
  const auto remote = parse_split_name(place.url);
  const int count = split && remote ? split->count : 1;
  for (int part = 1; part <= count; ++part) {
    const std::string path = count == 1 ? place.path : split->part_path(part);
    if (exists(path)) continue;
    FetchOptions fetch;
    fetch.quiet = options.quiet;
    if (path == place.path) fetch.sha256 = options.sha256;
    auto result = fetch_file(count == 1 ? place.url : remote->part_path(part), path, fetch);
    if (!result.ok()) return result.status();
  }
  return ok_status();
}

std::string known_names(const Environment& environment) {
  std::string names;
  for (const CatalogueEntry& entry : catalogue())
    names += (names.empty() ? "" : ", ") + std::string(entry.name);
  for (const LocalModel& model : list_local_models(environment)) {
    if (model.name.find(':') == std::string::npos) names += ", " + model.name;
  }
  return names;
}

}  // namespace

StatusOr<ModelPlace> locate_model(const std::string& model, const Environment& environment) {
  if (const CatalogueEntry* entry = find_in_catalogue(model))
    return catalogue_place(*entry, environment);
  if (begins_with(model, "hf:")) return hub_place(model, environment);
  if (is_url(model)) return url_place(model, environment);
  if (exists(model)) return ModelPlace{ModelSource::kPath, model, "", true};
  for (const std::string& folder : {environment.models_folder, environment.downloads_folder()}) {
    if (const auto found = named_in(folder, model))
      return ModelPlace{ModelSource::kPath, *found, "", true};
  }
  return not_found("{}: no such file, and no model of that name (known: {})", quote(model, 200),
                   known_names(environment));
}

StatusOr<std::string> resolve_model(const std::string& model, const Environment& environment,
                                    const PullOptions& options) {
  CALLIE_ASSIGN_OR_RETURN(const ModelPlace place, locate_model(model, environment));
  if (place.present && place.url.empty()) return place.path;
  if (place.source == ModelSource::kCatalogue) {
    const CatalogueEntry& entry = *find_in_catalogue(model);
    if (!entry.licence_notice.empty()) spdlog::warn("{}: {}", entry.name, entry.licence_notice);
    PackageSourceOptions packages;
    packages.tools_folder = environment.cache_folder;
    packages.quiet = options.quiet;
    CALLIE_RETURN_IF_ERROR(fetch_packages(entry, place.path, packages));
  } else {
    CALLIE_RETURN_IF_ERROR(fetch_all(place, options));
  }
  return place.path;
}

StatusOr<std::string> link_model(const std::string& path, const Environment& environment) {
  std::error_code problem;
  const fs::path target = fs::canonical(path, problem);
  if (problem) return not_found("{}: {}", path, problem.message());
  const bool folder = fs::is_directory(target);
  const std::string name = folder ? target.filename().string() : target.stem().string();
  if (find_in_catalogue(name)) {
    return invalid_argument("{}: {} is a name of the catalogue; rename the file", path,
                            quote(name));
  }
  const fs::path link = fs::path(environment.downloads_folder()) / (folder ? name : name + ".gguf");
  if (fs::equivalent(link, target, problem)) return name;
  if (fs::exists(link, problem))
    return invalid_argument("{}: {} is there already", path, link.string());
  fs::create_directories(link.parent_path(), problem);
  fs::remove(link, problem);  // a link whose target has gone
  fs::create_symlink(target, link, problem);
  if (problem) return resource_exhausted("{}: cannot write: {}", link.string(), problem.message());
  return name;
}

std::vector<LocalModel> list_local_models(const Environment& environment) {
  std::vector<LocalModel> models;
  const fs::path root = environment.downloads_folder();
  std::error_code problem;
  for (const auto& item : fs::directory_iterator(root, problem)) {
    const fs::path& path = item.path();
    std::error_code ignored;
    const bool folder = fs::exists(path / "config.json", ignored);
    if (!folder && path.extension() != ".gguf") continue;
    const std::string name = folder ? path.filename().string() : path.stem().string();
    if (!find_in_catalogue(name) && fs::exists(path, ignored))
      models.push_back({name, path.string(), model_bytes(path.string())});
  }
  for (const char* kind : {"hf", "url"}) {
    for (fs::recursive_directory_iterator at(root / kind, problem), end; at != end && !problem;
         at.increment(problem)) {
      std::error_code gone;
      if (at->path().extension() != ".gguf" || !at->is_regular_file(gone)) continue;
      std::string name = at->path().string();
      if (std::string_view(kind) == "hf") {
        std::vector<std::string> parts;
        for (const fs::path& part : fs::relative(at->path(), root / kind, gone))
          parts.push_back(part.string());
        if (parts.size() < 4) continue;
        name = "hf:" + parts[0] + "/" + parts[1] + (parts[2] == "main" ? "" : "@" + parts[2]);
        for (size_t i = 3; i < parts.size(); ++i) name += "/" + parts[i];
      }
      models.push_back({name, at->path().string(), model_bytes(at->path().string())});
    }
  }
  std::sort(models.begin(), models.end(),
            [](const LocalModel& a, const LocalModel& b) { return a.name < b.name; });
  return models;
}

uint64_t model_bytes(const std::string& path) {
  std::error_code problem;
  if (fs::is_regular_file(path, problem)) return fs::file_size(path, problem);
  uint64_t total = 0;
  for (fs::recursive_directory_iterator at(path, problem), end; at != end && !problem;
       at.increment(problem)) {
    std::error_code gone;
    if (at->is_regular_file(gone)) total += at->file_size(gone);
  }
  return total;
}

}  // namespace callie::io
