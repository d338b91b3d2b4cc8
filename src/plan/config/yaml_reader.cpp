#include "plan/config/yaml_reader.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/atomic_file.h"

namespace callie::plan {

StatusOr<YAML::Node> load_yaml(const std::string& path) {
  CALLIE_ASSIGN_OR_RETURN(const std::string text, read_text_file(path, 16 << 20));
  try {
    YAML::Node node = YAML::Load(text);
    if (!node.IsMap()) return data_loss("{}:1: not a YAML mapping", path);
    return node;
  } catch (const YAML::Exception& problem) {
    return data_loss("{}:{}: {}", path, problem.mark.line + 1, problem.msg);
  }
}

YamlMap::YamlMap(YAML::Node node, std::string path, std::string file)
    : node_(std::move(node)), path_(std::move(path)), file_(std::move(file)) {
  if (node_.IsDefined() && !node_.IsNull() && !node_.IsMap()) {
    status_ = data_loss("{}:{}: {}: not a mapping", file_, node_.Mark().line + 1, path_.empty() ? "top" : path_);
    node_.reset();
  }
}

std::string YamlMap::place(const char* key) const { return path_.empty() ? key : path_ + "." + key; }

void YamlMap::fail_at(const YAML::Node& node, const std::string& key, const std::string& why) {
  if (!status_.ok()) return;
  const int line = node.IsDefined() ? node.Mark().line + 1 : node_.IsDefined() ? node_.Mark().line + 1 : 1;
  status_ = data_loss("{}:{}: {}: {}", file_, std::max(line, 1), key, why);
}

void YamlMap::fail_missing(const char* key, const std::string& more) {
  if (!status_.ok()) return;
  fail(key, "missing" + more);
  missing_ = true;
}

void YamlMap::fail(const char* key, const std::string& why) {
  const YAML::Node found = lookup(key);
  fail_at(found.IsDefined() ? found : node_, place(key), why);
}

void YamlMap::adopt(YamlMap& nested) {
  const Status problem = nested.finish();
  if (problem.ok() || (!status_.ok() && !(missing_ && !nested.missing_))) return;
  status_ = problem;
  missing_ = nested.missing_;
}

YAML::Node YamlMap::lookup(const char* key) const {
  if (!node_.IsMap()) return YAML::Node(YAML::NodeType::Undefined);
  const YAML::Node found = std::as_const(node_)[key];  // the other operator[] would insert
  return found.IsDefined() ? found : YAML::Node(YAML::NodeType::Undefined);
}

bool YamlMap::has(const char* key) const { return lookup(key).IsDefined(); }

YAML::Node YamlMap::find(const char* key) {
  read_.emplace_back(key);
  return lookup(key);
}

YAML::Node YamlMap::node(const char* key) { return find(key); }

double YamlMap::number(const char* key, double fallback, double low, double high) {
  const YAML::Node node = find(key);
  if (!node.IsDefined() || node.IsNull()) return fallback;
  double value = 0;
  try {
    value = node.as<double>();
  } catch (const YAML::Exception&) {
    fail_at(node, place(key), "not a number");
    return fallback;
  }
  if (!std::isfinite(value) || value < low || value > high) {
    fail_at(node, place(key), fmt::format("{} is outside {}..{}", value, low, high));
    return fallback;
  }
  return value;
}

int64_t YamlMap::integer(const char* key, int64_t fallback, int64_t low, int64_t high) {
  const double value = number(key, static_cast<double>(fallback), static_cast<double>(low), static_cast<double>(high));
  if (value != std::floor(value)) fail(key, fmt::format("{} is not a whole number", value));
  return static_cast<int64_t>(value);
}

bool YamlMap::boolean(const char* key, bool fallback) {
  const YAML::Node node = find(key);
  if (!node.IsDefined() || node.IsNull()) return fallback;
  try {
    return node.as<bool>();
  } catch (const YAML::Exception&) {
    fail_at(node, place(key), "not true or false");
    return fallback;
  }
}

std::string YamlMap::text(const char* key, const std::string& fallback) {
  const YAML::Node node = find(key);
  if (!node.IsDefined() || node.IsNull()) return fallback;
  if (!node.IsScalar()) {
    fail_at(node, place(key), "not a text");
    return fallback;
  }
  return node.Scalar();
}

std::string YamlMap::required(const char* key) {
  if (!has(key)) fail_missing(key);
  return text(key, "");
}

int YamlMap::choice(const char* key, int fallback, const std::vector<std::string>& choices) {
  const std::string value = text(key, "");
  if (value.empty()) return fallback;
  const auto found = std::find(choices.begin(), choices.end(), value);
  if (found != choices.end()) return static_cast<int>(found - choices.begin());
  std::string list;
  for (const std::string& c : choices) list += (list.empty() ? "" : ", ") + c;
  fail(key, fmt::format("\"{}\" is none of: {}", value, list));
  return fallback;
}

Distribution YamlMap::distribution(const char* key, const Distribution& fallback) {
  const std::string value = text(key, "");
  if (value.empty()) return fallback;
  auto parsed = Distribution::parse(value);
  if (parsed.ok()) return *parsed;
  fail(key, parsed.status().message());
  return fallback;
}

YamlMap YamlMap::map(const char* key) {
  const YAML::Node found = find(key);
  return YamlMap(found.IsDefined() ? found : YAML::Node(), place(key), file_);
}

std::vector<std::string> YamlMap::keys() const {
  std::vector<std::string> out;
  if (!node_.IsMap()) return out;
  for (const auto& entry : node_) {
    if (entry.first.IsScalar()) out.push_back(entry.first.Scalar());
  }
  return out;
}

Status YamlMap::finish() {
  // At the top, where all keys have been read, one that nobody knows explains one that is missing.
  const bool complete = status_.ok() || (missing_ && path_.empty());
  if (!complete || !node_.IsMap()) return status_;
  for (const auto& entry : node_) {
    const std::string key = entry.first.IsScalar() ? entry.first.Scalar() : "?";
    if (std::find(read_.begin(), read_.end(), key) == read_.end()) {
      status_ = ok_status();
      missing_ = false;
      fail_at(entry.first, place(key.c_str()), "unknown key");
      return status_;
    }
  }
  return status_;
}

}  // namespace callie::plan
