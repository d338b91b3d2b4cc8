#pragma once

#include <map>
#include <memory>
#include <string>

#include "plan/config/config.h"
#include "plan/config/yaml_reader.h"
#include "plan/cost/kernel_tables.h"
#include "plan/workload/importers.h"

namespace callie::plan {

struct ModelEntry {
  ModelShape shape;
  double weight_bytes = 2, kv_bytes = 2;
  std::string table_name;  ///< as kernel tables spell it
};

/// What `hardware.X` says before a client uses it.
struct HardwareEntry {
  enum class Kind { kPreset, kPerf, kVidur, kSplitwise, kAiconfigurator, kLinear, kMeasure } kind = Kind::kPreset;
  Hardware device;
  std::string path, table_device, calibration;
  Link link;
  bool own_link = false;
  YAML::Node node;
  int line = 0;
};

/// State of one load; the files it opens stay in the loader's cache.
struct ConfigReader {
  Config config;
  std::string folder;
  std::map<std::string, ModelEntry> models;
  std::map<std::string, HardwareEntry> hardware;
  std::map<std::string, int> group_of;  ///< client name -> index
  std::map<std::string, int> tier_of;
  std::map<std::string, std::shared_ptr<const Trace>>* traces = nullptr;
  std::map<std::string, std::shared_ptr<const void>>* tables = nullptr;

  std::string resolve(const std::string& path) const;

  void read_models(YamlMap& top);
  void read_hardware(YamlMap& top);
  void read_tiers(YamlMap& fabric);
  void read_links(YamlMap& fabric);
  void read_clients(YamlMap& top);
  void read_client(YamlMap& client);
  void read_engine(YamlMap& client, GroupSpec& group, const ModelEntry& model, const HardwareEntry& hw);
  void read_station(YamlMap& client, GroupSpec& group, const HardwareEntry* hw);
  void read_pipeline(YamlMap& top);
  void read_workload(YamlMap& top);
  void read_rest(YamlMap& top);
  /// The step cost of a client; nullptr after an error.
  std::shared_ptr<const StepCost> make_cost(YamlMap& client, const ModelEntry& model, const HardwareEntry& hw,
                                            const Parallelism& parallelism);
};

}  // namespace callie::plan
