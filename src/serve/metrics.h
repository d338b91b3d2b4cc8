#pragma once

#include <array>
#include <atomic>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "serve/backend.h"
#include "serve/http/server.h"

namespace callie::serve {

/// A Prometheus histogram with fixed bounds, in seconds.
class Histogram {
 public:
  void add(double seconds);
  /// `name{labels}` in Prometheus' text format.
  std::string text(std::string_view name, std::string_view help) const;

 private:
  static constexpr std::array<double, 16> kBounds = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
                                                     0.5,   1,      2.5,   5,    10,    30,   60,  300};
  std::array<std::atomic<int64_t>, kBounds.size() + 1> counts_{};
  std::atomic<double> sum_{0};
};

/// What the server counts about itself; safe from any thread.
class Metrics {
 public:
  std::atomic<int> streams{0};  ///< answers being generated
  std::atomic<int64_t> rejected{0};
  std::atomic<int64_t> schema_checked{0}, schema_failed{0};  ///< answers validated after generation

  void request(std::string_view path, int status);
  void finished(const GenerationEnd& end);

  struct ModelStats {
    std::string id;
    bool loaded = false;
    BackendStats stats;
  };
  /// Everything in Prometheus' text format.
  std::string text(const std::vector<ModelStats>& models, const HttpStats& http) const;

 private:
  Histogram ttft_, tpot_, e2e_, queue_;
  std::atomic<int64_t> cancelled_{0}, failed_{0}, completed_{0};
  mutable std::mutex mutex_;
  std::map<std::pair<std::string, int>, int64_t> requests_;  // guarded by mutex_
};

}  // namespace callie::serve
