#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/status.h"
#include "plan/types.h"
#include "plan/workload/distribution.h"
#include "sched/block_pool.h"

namespace callie::plan {

/// One request as it arrives.
struct RequestSpec {
  uint64_t serial = 0;
  Ns arrival = 0;
  int32_t prompt = 1;
  int32_t output = 1;       ///< tokens it will produce; only the engine that produces them learns it
  int32_t max_tokens = 1;   ///< what the user allowed
  int16_t klass = 0;
  int16_t priority = 0;
  int32_t paths = 1;        ///< reasoning: branches that share the prompt
  int32_t join = 0;         ///< branches that must end; 0 = all
  std::span<const sched::BlockHash> hashes;
};

/// A trace as importers give it: times in seconds from its start, sorted.
struct Trace {
  struct Row {
    double arrival_s = 0;
    int32_t prompt = 1, output = 1;
    int16_t klass = 0;
    int16_t priority = 0;
    uint32_t first_hash = 0, hash_count = 0;
    int32_t max_tokens = 0;  ///< 0: unknown
  };
  std::vector<Row> rows;
  std::vector<sched::BlockHash> hashes;
  int32_t hash_block = 0;  ///< tokens of a hashed block; 0: the trace has no hashes
  bool has_arrivals = true;
  std::vector<std::string> classes;
  std::string source;
  /// Last arrival; the period of repetition is this plus one mean gap.
  double span_s() const { return rows.empty() ? 0 : rows.back().arrival_s; }
  /// Expands the hashes to blocks of `block` tokens; `hash_block` must be a multiple. Errors: kInvalidArgument.
  StatusOr<Trace> with_blocks(int32_t block) const;
};

/// How arrivals are made when the trace has none, or instead of its own.
struct ArrivalSpec {
  enum class Kind : uint8_t { kTrace, kPoisson, kGamma, kFixed, kAll } kind = Kind::kPoisson;
  double rate = 1;  ///< requests per second
  double cv = 1;    ///< kGamma: coefficient of variation of the gaps
};

struct ReasoningSpec {
  double share = 0;          ///< of the requests
  Distribution multiplier;   ///< of the output length
  int32_t paths = 1;
  int32_t join = 0;
};

/// One class of a synthetic workload.
struct ClassSpec {
  std::string name = "default";
  double share = 1;
  Distribution prompt, output;
  int32_t priority = 0;
  int32_t shared_prefix = 0;  ///< leading tokens that all requests of the class share
};

struct WorkloadSpec {
  std::shared_ptr<const Trace> trace;  ///< null: synthetic
  ArrivalSpec arrivals;
  double scale = 1;         ///< multiplies the arrival rate
  int64_t requests = 0;     ///< 0: the trace's length, or 1000
  int64_t warmup = 0;       ///< first requests that are simulated and not counted
  std::vector<ClassSpec> classes;
  ReasoningSpec reasoning;
  int32_t max_tokens = 0;   ///< the users' limit; 0: as long as the answer
  uint64_t seed = 1;
};

/// A stream of requests in order of arrival. Its randomness is counter-based by request, so that a change elsewhere
/// leaves every request as it was (common random numbers).
class Workload {
 public:
  /// Errors: kInvalidArgument naming the field.
  static StatusOr<Workload> create(const WorkloadSpec& spec, int32_t block_size);

  /// The next request; false at the end. Its hashes live as long as this workload.
  bool next(RequestSpec& out);
  int64_t total() const { return total_; }
  void reset();
  const std::vector<std::string>& class_names() const { return class_names_; }

 private:
  Workload() = default;

  WorkloadSpec spec_;
  int64_t total_ = 0, index_ = 0;
  double clock_s_ = 0, period_s_ = 0;
  std::vector<std::string> class_names_;
  std::vector<std::vector<sched::BlockHash>> class_prefix_;  // of each class's shared prefix
  std::shared_ptr<const Trace> expanded_;
  Distribution gap_;
};

}  // namespace callie::plan
