// A sweep shared by the processes of an `mpirun`: the same bytes as in one process.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "plan/study/sweep.h"
#include "plan/study/sweep_ranks.h"

namespace callie::plan {
namespace {

namespace fs = std::filesystem;

const char* const kFolder = "CALLIE_TEST_SWEEP";  // of the variable that tells a rank where the files are

std::string text_of(const fs::path& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// One process of the mpirun below.
TEST(SweepRanks, DISABLED_OneProcess) {
  const char* folder = std::getenv(kFolder);
  ASSERT_TRUE(folder);
  const std::string config = fs::path(folder) / "sweep.yaml", csv = fs::path(folder) / "ranks.csv";
  auto ranks = SweepRanks::join();
  ASSERT_TRUE(ranks.ok());
  if ((*ranks)->rank() > 0) {
    sweep_as_other_rank(**ranks, config);
    return;
  }
  auto points = sweep(config, {.csv = csv, .resume = true, .threads = 1, .quiet = true, .ranks = ranks->get()});
  EXPECT_TRUE(points.ok()) << points.status().message();
}

TEST(SweepRanks, ThreeProcessesWriteTheSameBytesAsOne) {
  if (!SweepRanks::available()) GTEST_SKIP() << "this build has no MPI";
  if (std::system("command -v mpirun >/dev/null") != 0) GTEST_SKIP() << "no mpirun here";
  char name[] = "/tmp/callie-ranks-XXXXXX";
  ASSERT_TRUE(mkdtemp(name));
  const fs::path folder = name;
  const std::string command = fmt::format(
      "{}={} OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1 mpirun -n 3 {} "
      "--gtest_also_run_disabled_tests --gtest_filter=SweepRanks.DISABLED_OneProcess >{}/log 2>&1",
      kFolder, name, fs::read_symlink("/proc/self/exe").string(), name);
  for (const char* extra : {"", ", halving: [20, 40, 80]"}) {
    std::ofstream(folder / "sweep.yaml")
        << "models: {m: {name: llama-3.2-1b}}\nhardware: {h: {linear: {base_us: 5000, per_prefill_us: 20, per_decode_us: 100}}}\n"
           "clients:\n  - {name: llm, model: m, hw: h, kv: {blocks: 512}}\n"
           "workload: {arrivals: poisson(20), prompt: 'uniform(50, 400)', output: geometric(30), requests: 100}\n"
           "slo: {ttft_ms: {p90: 300}}\n"
           "sweep: {grid: {llm.count: [1, 2, 3, 4], llm.sched.max_seqs: [4, 32], llm.tp: [1, 3]}"
        << extra << "}\n";
    auto points = sweep(folder / "sweep.yaml", {.csv = folder / "one.csv", .threads = 1, .quiet = true});
    ASSERT_TRUE(points.ok()) << points.status().message();
    const std::string one = text_of(folder / "one.csv");
    EXPECT_EQ(std::count(one.begin(), one.end(), '\n'), 1 + 16);
    fs::remove(folder / "ranks.csv");
    ASSERT_EQ(std::system(command.c_str()), 0) << text_of(folder / "log");
    EXPECT_EQ(text_of(folder / "ranks.csv"), one);
    // Half of the rows kept, as after an interruption.
    size_t half = 0;
    for (int row = 0; row < 8; ++row) half = one.find('\n', half) + 1;
    std::ofstream(folder / "ranks.csv") << one.substr(0, half);
    ASSERT_EQ(std::system(command.c_str()), 0) << text_of(folder / "log");
    if (!*extra) {
      EXPECT_EQ(text_of(folder / "ranks.csv"), one);
    }
  }
  fs::remove_all(folder);
}

}  // namespace
}  // namespace callie::plan
