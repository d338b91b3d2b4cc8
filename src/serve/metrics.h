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

/// A Prometheus histogram of seconds: 37 bounds in steps of 1, 1.5, 2, 3, 4, 5, 7 from `first` on.
class Histogram {
 public:
  explicit Histogram(double first = 0.001);
  void add(double seconds);
  /// `name{labels}` in Prometheus' text format.
  std::string text(std::string_view name, std::string_view help) const;

 private:
  std::array<double, 37> bounds_;
  std::array<std::atomic<int64_t>, 38> counts_{};
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
  /// The time that a constraint took for one token.
  void masked(double seconds) { mask_.add(seconds); }

  struct ModelStats {
    std::string id;
    bool loaded = false;
    BackendStats stats;
  };
  /// Everything in Prometheus' text format.
  std::string text(const std::vector<ModelStats>& models, const HttpStats& http) const;

 private:
  Histogram ttft_, tpot_, e2e_, queue_;
  Histogram mask_{1e-6};
  std::atomic<int64_t> cancelled_{0}, failed_{0}, completed_{0};
  mutable std::mutex mutex_;
  std::map<std::pair<std::string, int>, int64_t> requests_;  // guarded by mutex_
};

}  // namespace callie::serve
