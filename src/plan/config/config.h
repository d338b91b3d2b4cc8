#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/status.h"
#include "plan/sim/spec.h"

namespace callie::plan {

/// `sweep:` of a configuration.
struct SweepSpec {
  /// Dotted places ("dec.count", "workload.scale") and the YAML texts to put there.
  std::vector<std::pair<std::string, std::vector<std::string>>> grid;
  std::string maximise = "throughput";  ///< throughput, goodput, rate
  std::string minimise;                 ///< cost, energy, ttft_p99, tpot_p99, e2e_p99; empty: maximise decides
  std::string per;                      ///< "", dollar, joule
  std::vector<int64_t> halving;         ///< requests of the rounds; empty: all
  int seeds = 3;                        ///< repetitions of the best one, for a confidence interval
};

struct Config {
  std::string path;
  SimSpec spec;
  SweepSpec sweep;
  uint64_t hash = 0;                  ///< of the YAML text and everything it names
  std::vector<std::string> inputs;    ///< files read
  std::vector<std::string> warnings;
};

/// One change to a configuration before it is read: place and YAML text.
using Override = std::pair<std::string, std::string>;

/// The change that gives a model the shape in a Hugging Face config.json: "FILE" where the configuration has one model, else
/// "NAME=FILE". That the model exists is checked when the configuration is read.
Override model_override(const std::string& model_config);

/// Reads and resolves a configuration. Traces and tables already loaded are shared through `cache`.
class ConfigLoader {
 public:
  ConfigLoader();
  ~ConfigLoader();
  ConfigLoader(const ConfigLoader&) = delete;
  ConfigLoader& operator=(const ConfigLoader&) = delete;

  /// Errors: kNotFound, kDataLoss, kInvalidArgument, all "file:line: key: why".
  StatusOr<Config> load(const std::string& path, const std::vector<Override>& overrides = {});

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace callie::plan
