#include "io/hf_config.h"

#include <cmath>
#include <map>

#include "core/json.h"
#include "io/quote.h"

namespace callie::io {
namespace {

using PlainJson = nlohmann::json;  // a sorted map: linear in the text, whatever the number of keys

constexpr int kMaxDepth = 32;
constexpr size_t kMaxConfigBytes = size_t{16} << 20;
constexpr size_t kMaxIndexBytes = size_t{128} << 20;

/// Deepest nesting of brackets outside strings; the JSON library's printer and ours recurse.
bool too_deep(std::string_view text) {
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      if (++depth > kMaxDepth) return true;
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return false;
}

StatusOr<PlainJson> parse_object(std::string_view text, size_t max_bytes) {
  if (text.size() > max_bytes)
    return data_loss("size: {} bytes, at most {} are read", text.size(), max_bytes);
  if (too_deep(text)) return data_loss("nesting: more than {} levels", kMaxDepth);
  try {
    PlainJson json = PlainJson::parse(text);
    if (!json.is_object()) return data_loss("top level: not an object");
    return json;
  } catch (const PlainJson::parse_error& problem) {
    return data_loss("no valid JSON at byte {}", problem.byte);
  } catch (const PlainJson::exception& problem) {
    return data_loss("no valid JSON: {}", quote(problem.what()));
  }
}

std::string_view type_name(const PlainJson& value) {
  if (value.is_number_integer()) return "integer";
  if (value.is_number()) return "number";
  if (value.is_boolean()) return "bool";
  if (value.is_string()) return "string";
  return value.is_array() ? "array" : "object";
}

StatusOr<int64_t> as_int(std::string_view key, const PlainJson& value) {
  constexpr double kLimit = 9007199254740992.0;  // 2^53: every integer up to it is a double
  if (value.is_number_unsigned() && value.get<uint64_t>() > uint64_t{INT64_MAX}) {
    return data_loss("{}: {} is out of range", quote(key), value.get<uint64_t>());
  }
  if (value.is_number_integer()) return value.get<int64_t>();
  if (value.is_number_float()) {
    const double number = value.get<double>();
    if (std::abs(number) <= kLimit && number == std::floor(number))
      return static_cast<int64_t>(number);
  }
  return data_loss("{}: is {}, expected an integer", quote(key),
                   value.is_number() ? "a fraction" : type_name(value));
}

StatusOr<double> as_float(std::string_view key, const PlainJson& value) {
  if (!value.is_number())
    return data_loss("{}: is {}, expected a number", quote(key), type_name(value));
  return value.get<double>();
}

StatusOr<std::string> as_string(std::string_view key, const PlainJson& value) {
  if (!value.is_string())
    return data_loss("{}: is {}, expected a string", quote(key), type_name(value));
  return value.get<std::string>();
}

}  // namespace

struct HfConfig::Table {
  std::map<std::string, PlainJson, std::less<>> values;

  void flatten(const std::string& prefix, const PlainJson& object) {
    for (const auto& [key, value] : object.items()) {
      const std::string name = prefix.empty() ? key : prefix + "." + key;
      if (value.is_null()) continue;
      if (value.is_object()) flatten(name, value);
      values.emplace(name, value);
    }
  }

  StatusOr<const PlainJson*> find(std::string_view key) const {
    const auto found = values.find(key);
    if (found == values.end()) return not_found("{}: not in the file", quote(key));
    return &found->second;
  }

  template <typename T, typename Read>
  StatusOr<std::vector<T>> list(std::string_view key, Read read) const {
    CALLIE_ASSIGN_OR_RETURN(const PlainJson* array, find(key));
    if (!array->is_array())
      return data_loss("{}: is {}, expected an array", quote(key), type_name(*array));
    std::vector<T> result;
    for (const PlainJson& element : *array) {
      CALLIE_ASSIGN_OR_RETURN(auto value, read(key, element));
      result.push_back(static_cast<T>(std::move(value)));
    }
    return result;
  }
};

HfConfig::HfConfig() : table_(std::make_unique<Table>()) {}
HfConfig::HfConfig(HfConfig&&) noexcept = default;
HfConfig& HfConfig::operator=(HfConfig&&) noexcept = default;
HfConfig::~HfConfig() = default;

StatusOr<HfConfig> HfConfig::parse(std::string_view text) {
  CALLIE_ASSIGN_OR_RETURN(const PlainJson json, parse_object(text, kMaxConfigBytes));
  HfConfig config;
  config.table_->flatten("", json);
  return config;
}

bool HfConfig::has(std::string_view key) const { return table_->values.count(key) > 0; }

std::vector<MetadataEntry> HfConfig::metadata() const {
  std::vector<MetadataEntry> entries;
  for (const auto& [key, value] : table_->values) {
    if (value.is_object()) continue;  // its members have entries of their own
    entries.push_back({key, std::string(type_name(value)), value.is_array() ? value.size() : 1});
  }
  return entries;
}

StatusOr<int64_t> HfConfig::get_int(std::string_view key) const {
  CALLIE_ASSIGN_OR_RETURN(const PlainJson* value, table_->find(key));
  return as_int(key, *value);
}
StatusOr<double> HfConfig::get_float(std::string_view key) const {
  CALLIE_ASSIGN_OR_RETURN(const PlainJson* value, table_->find(key));
  return as_float(key, *value);
}
StatusOr<bool> HfConfig::get_bool(std::string_view key) const {
  CALLIE_ASSIGN_OR_RETURN(const PlainJson* value, table_->find(key));
  if (!value->is_boolean())
    return data_loss("{}: is {}, expected a bool", quote(key), type_name(*value));
  return value->get<bool>();
}
StatusOr<std::string> HfConfig::get_string(std::string_view key) const {
  CALLIE_ASSIGN_OR_RETURN(const PlainJson* value, table_->find(key));
  return as_string(key, *value);
}
StatusOr<std::vector<int64_t>> HfConfig::get_ints(std::string_view key) const {
  return table_->list<int64_t>(key, as_int);
}
StatusOr<std::vector<float>> HfConfig::get_floats(std::string_view key) const {
  return table_->list<float>(key, as_float);
}
StatusOr<std::vector<std::string>> HfConfig::get_strings(std::string_view key) const {
  return table_->list<std::string>(key, as_string);
}

StatusOr<std::vector<std::pair<std::string, std::string>>> parse_shard_index(
    std::string_view text) {
  CALLIE_ASSIGN_OR_RETURN(const PlainJson json, parse_object(text, kMaxIndexBytes));
  const auto map = json.find("weight_map");
  if (map == json.end() || !map->is_object())
    return data_loss("weight_map: missing or not an object");
  std::vector<std::pair<std::string, std::string>> places;
  for (const auto& [tensor, file] : map->items()) {
    if (!file.is_string()) return data_loss("weight_map: {}: not a string", quote(tensor));
    const auto& name = file.get_ref<const std::string&>();
    if (name.empty() || name.find('/') != std::string::npos ||
        name.find('\0') != std::string::npos || name[0] == '.') {
      return data_loss("weight_map: {}: {} is not a file name", quote(tensor), quote(name));
    }
    places.emplace_back(tensor, name);
  }
  if (places.empty()) return data_loss("weight_map: empty");
  return places;
}

}  // namespace callie::io
