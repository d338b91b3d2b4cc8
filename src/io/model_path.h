#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/environment.h"
#include "core/status.h"

namespace callie::io {

/// What a MODEL argument names.
enum class ModelSource {
  kCatalogue,  ///< a name of the catalogue
  kHub,        ///< hf:owner/repo/file
  kUrl,        ///< http:// or https://
  kPath,       ///< a file or folder, or a name that an earlier pull gave to one
};

/// Where the model of an argument is, or will be once it has been fetched.
struct ModelPlace {
  ModelSource source;
  std::string path;
  std::string url;  ///< what to fetch; empty for the catalogue and for paths
  bool present;
};

struct PullOptions {
  std::string sha256;  ///< expected digest; empty: the catalogue's, or what the server states
  bool quiet = false;  ///< no progress line
};

/// Finds out what `model` names, without any network:
///   a catalogue name       CALLIE_MODELS/NAME.gguf or NAME/, else the same in the cache;
///   hf:owner/repo/file     the cache; the file is fetched from the hub's main branch, or of
///   hf:owner/repo@REVISION/file; a URL                  the cache; anything else          a path,
///   else NAME.gguf or NAME/ in CALLIE_MODELS or the cache.
/// Errors: kNotFound (names what is known), kInvalidArgument (a malformed hf: reference).
StatusOr<ModelPlace> locate_model(const std::string& model, const Environment& environment);

/// The local path of `model`, fetching it first when it is not here. Every verb with a MODEL
/// argument calls this. Errors: those of locate_model, fetch_file and fetch_packages.
StatusOr<std::string> resolve_model(const std::string& model, const Environment& environment,
                                    const PullOptions& options = {});

/// Gives a local file or folder a name, so that it can be used like a catalogue entry: a link in
/// the cache. Returns the name. Errors: kInvalidArgument (the name is taken by another model),
/// kResourceExhausted.
StatusOr<std::string> link_model(const std::string& path, const Environment& environment);

/// A model in the cache that the catalogue does not list.
struct LocalModel {
  std::string name;  ///< as it is given to a verb
  std::string path;
  uint64_t bytes;
};
std::vector<LocalModel> list_local_models(const Environment& environment);

/// Bytes of a file, or of all files in a folder.
uint64_t model_bytes(const std::string& path);

}  // namespace callie::io
