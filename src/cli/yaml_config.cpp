#include "cli/yaml_config.h"

#include <yaml-cpp/yaml.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <set>

namespace callie::cli {
namespace {

constexpr const char* kModels = "models";

// The values of a scalar or a list of scalars, as the command line would have them.
StatusOr<std::vector<std::string>> values_of(const YAML::Node& node) {
  if (node.IsScalar()) return std::vector<std::string>{node.Scalar()};
  std::vector<std::string> values;
  for (const YAML::Node& one : node) {
    if (!node.IsSequence() || !one.IsScalar()) return error(StatusCode::kUsage, "must be a value or a list of values");
    values.push_back(one.Scalar());
  }
  if (values.empty()) return error(StatusCode::kUsage, "has no value");
  return values;
}

Status apply(const std::string& key, const YAML::Node& node, CLI::App& verb) {
  CLI::Option* option = key == kModels ? verb.get_option_no_throw("MODEL")
                        : key == "config" || key == "help" ? nullptr
                                                           : verb.get_option_no_throw("--" + key);
  if (!option || key == "MODEL") return error(StatusCode::kUsage, "unknown key");
  if (option->count() > 0) return ok_status();
  CALLIE_ASSIGN_OR_RETURN(const std::vector<std::string> values, values_of(node));
  try {
    if (option->get_expected_min() == 0) {  // a flag
      if (values.size() != 1 || (values[0] != "true" && values[0] != "false")) {
        return error(StatusCode::kUsage, "must be true or false");
      }
      if (values[0] == "false") return ok_status();
      option->add_result("true");
    } else {
      if (values.size() > 1 && option->get_expected_max() == 1 && !option->get_allow_extra_args()) {
        return error(StatusCode::kUsage, "takes one value");
      }
      for (const std::string& value : values) option->add_result(value);
    }
    option->run_callback();
  } catch (const CLI::ParseError& problem) {
    std::string why = problem.what();  // "--port: Value …": the key is named already
    if (why.starts_with("--" + key + ": ")) why.erase(0, key.size() + 4);
    return error(StatusCode::kUsage, "{}", why);
  }
  return ok_status();
}

}  // namespace

Status apply_yaml_config(const std::string& path, CLI::App& verb) {
  if (!std::filesystem::is_regular_file(path)) return not_found("config: {}: no such file", path);
  YAML::Node root;
  try {
    root = YAML::LoadFile(path);
  } catch (const YAML::Exception& problem) {
    return error(StatusCode::kUsage, "{}:{}: {}", path, problem.mark.line + 1, problem.msg);
  }
  if (root.IsNull()) return ok_status();
  if (!root.IsMap()) return error(StatusCode::kUsage, "{}:1: must be a mapping of keys to values", path);
  std::set<std::string> seen;
  for (const auto& entry : root) {
    const std::string where = fmt::format("{}:{}", path, entry.first.Mark().line + 1);
    if (!entry.first.IsScalar()) return error(StatusCode::kUsage, "{}: a key must be a word", where);
    const std::string key = entry.first.Scalar();
    if (!seen.insert(key).second) return error(StatusCode::kUsage, "{}: {}: is given twice", where, key);
    CALLIE_RETURN_IF_ERROR(apply(key, entry.second, verb).with_context(where + ": " + key));
  }
  return ok_status();
}

}  // namespace callie::cli
