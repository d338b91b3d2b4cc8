#pragma once

#include <yaml-cpp/yaml.h>

#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"
#include "plan/workload/distribution.h"

namespace callie::plan {

/// A mapping of a YAML file that is read key by key. The first problem is kept and later reads return their defaults, so
/// that a reader checks status() once, at the end, which also reports keys that nobody asked for. Every message names
/// file, line and key.
class YamlMap {
 public:
  /// `path` is the dotted place of this mapping ("" at the top). A missing node reads as an empty mapping.
  YamlMap(YAML::Node node, std::string path, std::string file);

  bool has(const char* key) const;
  double number(const char* key, double fallback, double low, double high);
  int64_t integer(const char* key, int64_t fallback, int64_t low, int64_t high);
  bool boolean(const char* key, bool fallback);
  std::string text(const char* key, const std::string& fallback);
  /// One of `choices`; its index.
  int choice(const char* key, int fallback, const std::vector<std::string>& choices);
  Distribution distribution(const char* key, const Distribution& fallback);
  /// A nested mapping; read and finish() it.
  YamlMap map(const char* key);
  /// The raw node of a key, which counts as read.
  YAML::Node node(const char* key);
  std::vector<std::string> keys() const;

  /// A required text.
  std::string required(const char* key);

  void fail(const char* key, const std::string& why);
  void fail_at(const YAML::Node& node, const std::string& key, const std::string& why);
  /// fail() for a key that is not there; `more` follows "missing". At the top an unknown key goes before it.
  void fail_missing(const char* key, const std::string& more = "");
  /// Takes over a nested reader's problem.
  void adopt(YamlMap& nested);
  /// The first problem; else an unknown key, if there is one.
  Status finish();
  const Status& status() const { return status_; }
  const std::string& path() const { return path_; }
  const std::string& file() const { return file_; }
  std::string place(const char* key) const;
  int line() const { return node_.Mark().line + 1; }

 private:
  YAML::Node find(const char* key);
  YAML::Node lookup(const char* key) const;

  YAML::Node node_;
  std::string path_, file_;
  std::vector<std::string> read_;
  Status status_;
  bool missing_ = false;  ///< status_ is about a key that is not there
};

/// Loads a YAML file. Errors: kNotFound; kDataLoss with file and line.
StatusOr<YAML::Node> load_yaml(const std::string& path);

}  // namespace callie::plan
