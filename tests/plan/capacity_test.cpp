// The capacity search against trying every count, on small random spaces; sweep.halving; seeds.

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "core/philox.h"
#include "plan/config/config.h"
#include "plan/output/summary.h"
#include "plan/sim/simulator.h"
#include "plan/spec_helpers.h"
#include "plan/study/capacity.h"
#include "plan/study/sweep.h"

namespace callie::plan {
namespace {

class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& text) {
    char name[] = "/tmp/callie-plan-XXXXXX";
    const int file = mkstemp(name);
    EXPECT_GE(file, 0);
    path_ = name;
    std::ofstream(path_) << text;
    close(file);
  }
  ~TemporaryFile() { std::filesystem::remove(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

std::string random_space(uint64_t seed) {
  const CounterRng rng(seed, Purpose::kWorkload, 3);
  const auto words = rng.words(0, 0);
  const auto pick = [&](int word, int low, int high) { return low + static_cast<int>(words[word] % (high - low + 1)); };
  return fmt::format(R"(
models: {{m: {{name: llama-3.2-1b}}}}
hardware: {{h: {{linear: {{base_us: {}, per_prefill_us: {}, per_decode_us: {}}}}}}}
clients:
  - {{name: llm, model: m, hw: h, host: none, kv: {{blocks: 512}}}}
workload: {{arrivals: poisson({}), prompt: 'uniform(50, 400)', output: geometric(30), requests: 300, seed: {}}}
routing: {{policy: least_work}}
slo: {{ttft_ms: {{p90: {}}}, tpot_ms: {{p90: {}}}}}
)",
                     pick(0, 2000, 9000), pick(1, 5, 40), pick(2, 50, 400), pick(3, 5, 60), seed, pick(0, 60, 400),
                     pick(1, 20, 60));
}

TEST(Capacity, SmallestCountEqualsExhaustiveSearch) {
  constexpr int kMost = 128;
  int64_t searched = 0, exhaustive = 0;
  int found = 0;
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    const TemporaryFile file(random_space(seed));
    int64_t simulated = 0;
    auto answer = smallest_count(file.path(), {}, "llm", simulated);
    int best = 0;
    ConfigLoader loader;
    auto config = loader.load(file.path());
    ASSERT_TRUE(config.ok()) << config.status().message();
    int64_t tried = 0;
    for (int count = 1; count <= kMost; ++count) {
      config->spec.groups[0].count = count;
      auto result = simulate(config->spec);
      ASSERT_TRUE(result.ok());
      tried += result->finished;
      const bool meets = check_slo(config->spec, *result).all_met && !find_bottleneck(config->spec, *result).saturated;
      if (meets && best == 0) best = count;
    }
    if (best == 0) continue;  // not with any number up to kMost
    ++found;
    ASSERT_TRUE(answer.ok()) << answer.status().message();
    EXPECT_EQ(*answer, best) << "seed " << seed;
    searched += simulated;
    exhaustive += tried;
  }
  EXPECT_GE(found, 50);
  EXPECT_GE(exhaustive, 10 * searched) << found << " spaces";
}

TEST(Sweep, OneThreadAndManyWriteTheSameBytes) {
  const TemporaryFile config(random_space(11) +
                             "sweep: {grid: {llm.count: [1, 2, 3, 4], llm.sched.max_seqs: [4, 32], llm.tp: [1, 3]}}\n");
  const auto bytes = [&](int threads, bool resume, const std::string& before) {
    const TemporaryFile csv(before);
    auto points = sweep(config.path(), {.csv = csv.path(), .resume = resume, .threads = threads, .quiet = true});
    EXPECT_TRUE(points.ok()) << points.status().message();
    std::ifstream in(csv.path());
    return std::string(std::istreambuf_iterator<char>(in), {});
  };
  const std::string one = bytes(1, false, "");
  EXPECT_EQ(std::count(one.begin(), one.end(), '\n'), 1 + 16);
  for (const int threads : {2, 5, 16}) EXPECT_EQ(bytes(threads, false, ""), one);
  // Half of the rows kept: the rest is computed and the file is the same.
  size_t half = 0;
  for (int row = 0; row < 8; ++row) half = one.find('\n', half) + 1;
  EXPECT_EQ(bytes(3, true, one.substr(0, half)), one);
}

TEST(Sweep, HalvingKeepsTheBestAndSaysWhatItDropped) {
  const TemporaryFile file(random_space(7) +
                           "sweep: {grid: {llm.count: [1, 2, 4, 8, 16, 32]}, minimise: cost, halving: [100, 200, 300], seeds: 3}\n");
  auto halved = sweep(file.path(), {.threads = 1, .quiet = true});
  ASSERT_TRUE(halved.ok()) << halved.status().message();
  int dropped = 0;
  for (const SweepPoint& p : *halved) dropped += p.error.starts_with("dropped after");
  EXPECT_EQ(dropped, 4);
  auto spread = spread_over_seeds(file.path(), {{"llm.count", "8"}}, 3);
  ASSERT_TRUE(spread.ok());
  EXPECT_EQ(spread->seeds, 3);
  EXPECT_GT(spread->ttft_p99, 0);
}

}  // namespace
}  // namespace callie::plan
