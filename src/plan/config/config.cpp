#include "plan/config/config.h"

#include <algorithm>
#include <filesystem>

#include "core/atomic_file.h"
#include "core/hash.h"
#include "plan/config/loader.h"

namespace callie::plan {
namespace fs = std::filesystem;

struct ConfigLoader::Impl {
  std::map<std::string, std::shared_ptr<const Trace>> traces;
  std::map<std::string, std::shared_ptr<const void>> tables;
};

ConfigLoader::ConfigLoader() : impl_(std::make_unique<Impl>()) {}
ConfigLoader::~ConfigLoader() = default;

std::string ConfigReader::resolve(const std::string& path) const {
  if (path.empty() || fs::path(path).is_absolute()) return path;
  return (fs::path(folder) / path).lexically_normal().string();
}

namespace {

/// Puts `text` at a dotted place: "NAME.key" of a client, "section.key", or "models.*.key" of the only model.
Status apply(YAML::Node top, const Override& change) {
  std::vector<std::string> parts;
  std::string rest = change.first;
  while (true) {
    const size_t dot = rest.find('.');
    parts.push_back(rest.substr(0, dot));
    if (dot == std::string::npos) break;
    rest = rest.substr(dot + 1);
  }
  YAML::Node value;
  try {
    value = YAML::Load(change.second);
  } catch (const YAML::Exception& problem) {
    return invalid_argument("{}: \"{}\": {}", change.first, change.second, problem.msg);
  }
  YAML::Node at = top;
  const YAML::Node clients = std::as_const(top)["clients"];
  if (clients.IsDefined() && clients.IsSequence()) {
    for (YAML::Node client : clients) {
      if (client.IsMap() && std::as_const(client)["name"].IsDefined() && client["name"].as<std::string>("") == parts[0]) {
        at.reset(client);
        parts.erase(parts.begin());
        break;
      }
    }
  }
  if (parts.empty()) return invalid_argument("{}: names a client, not one of its keys", change.first);
  if (parts[0] == "models" && parts.size() > 2) {
    const YAML::Node models = std::as_const(top)["models"];
    const bool some = models.IsDefined() && models.IsMap();
    std::string name = parts[1], key = change.first.substr(parts[0].size() + parts[1].size() + 2);
    if (name == "*") {
      if (!some || models.size() != 1) return invalid_argument("models: not exactly one: say which (--model-config NAME=FILE)");
      name = models.begin()->first.Scalar();
    }
    for (const auto& entry : some ? models : YAML::Node(YAML::NodeType::Map)) {
      const std::string start = "models." + entry.first.Scalar() + ".";  // names hold dots: qwen2.5
      if (!change.first.starts_with(start)) continue;
      name = entry.first.Scalar();
      key = change.first.substr(start.size());
    }
    if (!some || !models[name].IsDefined()) return invalid_argument("{}: no model \"{}\"", change.first, name);
    parts = {"models", name, key};
  }
  for (size_t i = 0; i + 1 < parts.size(); ++i) {
    if (!at.IsMap() && !at.IsNull()) return invalid_argument("{}: {} is not a mapping", change.first, parts[i]);
    YAML::Node next = at[parts[i]];
    if (!next.IsDefined() || next.IsNull()) {
      if (i == 0 && at.is(top)) return invalid_argument("{}: no client or section \"{}\"", change.first, parts[0]);
      at[parts[i]] = YAML::Node(YAML::NodeType::Map);
      next.reset(at[parts[i]]);
    }
    at.reset(next);
  }
  if (!at.IsMap()) return invalid_argument("{}: its parent is not a mapping", change.first);
  at[parts.back()] = value;
  return ok_status();
}

std::vector<std::string> texts(const YAML::Node& node) {
  std::vector<std::string> out;
  for (const YAML::Node& entry : node) {
    YAML::Emitter emitter;
    emitter.SetMapFormat(YAML::Flow);
    emitter.SetSeqFormat(YAML::Flow);
    emitter << entry;
    out.emplace_back(emitter.c_str());
  }
  return out;
}

void read_sweep(YamlMap& top, SweepSpec& out) {
  YamlMap sweep = top.map("sweep");
  const YAML::Node grid = sweep.node("grid");
  if (grid.IsDefined() && grid.IsMap()) {
    for (const auto& entry : grid) {
      if (!entry.second.IsSequence() || entry.second.size() == 0) {
        sweep.fail_at(entry.second, "sweep.grid." + entry.first.Scalar(), "not a list of values");
        break;
      }
      out.grid.emplace_back(entry.first.Scalar(), texts(entry.second));
    }
  }
  const std::vector<std::string> maximise = {"throughput", "goodput", "rate"};
  const std::vector<std::string> minimise = {"", "cost", "energy", "ttft_p99", "tpot_p99", "e2e_p99"};
  out.maximise = maximise[sweep.choice("maximise", 0, maximise)];
  out.minimise = minimise[sweep.choice("minimise", 0, minimise)];
  const std::vector<std::string> per = {"", "dollar", "joule"};
  out.per = per[sweep.choice("per", 0, per)];
  out.seeds = static_cast<int>(sweep.integer("seeds", 3, 1, 100));
  const YAML::Node halving = sweep.node("halving");
  if (halving.IsDefined() && halving.IsSequence()) {
    for (const YAML::Node& n : halving) {
      const int64_t value = n.as<int64_t>(0);
      if (value < 1 || (!out.halving.empty() && value <= out.halving.back())) {
        sweep.fail("halving", "not an increasing list of request counts");
        break;
      }
      out.halving.push_back(value);
    }
  }
  top.adopt(sweep);
}

}  // namespace

Override model_override(const std::string& model_config) {
  const size_t equals = model_config.find('=');
  const bool named = equals != std::string::npos;
  return {fmt::format("models.{}.hf", named ? model_config.substr(0, equals) : "*"),
          fs::absolute(named ? model_config.substr(equals + 1) : model_config).string()};
}

StatusOr<Config> ConfigLoader::load(const std::string& path, const std::vector<Override>& overrides) {
  CALLIE_ASSIGN_OR_RETURN(YAML::Node root, load_yaml(path));
  for (const Override& change : overrides) {
    const Status done = apply(root, change);
    if (!done.ok()) return done.with_context(path);
  }
  ConfigReader reader;
  reader.config.path = path;
  reader.folder = fs::path(path).parent_path().string();
  reader.traces = &impl_->traces;
  reader.tables = &impl_->tables;
  reader.config.inputs.push_back(path);
  YamlMap top(root, "", path);
  try {
    reader.read_models(top);
    reader.read_hardware(top);
    YamlMap fabric = top.map("fabric");
    reader.read_tiers(fabric);
    top.node("clients");  // known, also when it is not read
    if (top.status().ok()) reader.read_clients(top);
    reader.read_links(fabric);
    top.adopt(fabric);
    reader.read_pipeline(top);
    reader.read_workload(top);
    reader.read_rest(top);
    read_sweep(top, reader.config.sweep);
  } catch (const YAML::Exception& problem) {
    return data_loss("{}:{}: {}", path, problem.mark.line + 1, problem.msg);
  }
  CALLIE_RETURN_IF_ERROR(top.finish());
  Xxh64Stream hash;
  YAML::Emitter text;
  text << root;
  hash.update({reinterpret_cast<const uint8_t*>(text.c_str()), text.size()});
  for (const std::string& input : reader.config.inputs) {
    std::error_code ignored;
    const auto size = fs::is_regular_file(input, ignored) ? fs::file_size(input, ignored) : 0;
    const std::string line = fmt::format("{}:{}", input == path ? "" : input, input == path ? 0 : size);
    hash.update({reinterpret_cast<const uint8_t*>(line.data()), line.size()});
  }
  reader.config.hash = hash.digest();
  return std::move(reader.config);
}

}  // namespace callie::plan
