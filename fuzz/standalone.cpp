// Runs a fuzzer without libFuzzer, so that `make test` exercises it with any compiler: every file of the seed folder as it
// is, then RUNS mutations of them (with CALLIE_FULL=1 fifty times as many), the same in every run.
//   fuzz_NAME SEED_FOLDER RUNS
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

void run(const std::string& bytes) {
  // A copy of exactly this size, so that AddressSanitizer sees a read behind the end.
  const std::vector<uint8_t> input(bytes.begin(), bytes.end());
  LLVMFuzzerTestOneInput(input.data(), input.size());
}

std::string mutated(const std::vector<std::string>& seeds, std::mt19937_64& random) {
  const auto below = [&random](size_t n) { return static_cast<size_t>(random() % n); };
  std::string bytes = seeds[below(seeds.size())];
  for (size_t i = 0, edits = 1 + below(4); i < edits; ++i) {
    if (bytes.empty()) bytes.push_back('\0');
    const size_t at = below(bytes.size());
    switch (below(6)) {
      case 0: bytes[at] = static_cast<char>(bytes[at] ^ (1 << below(8))); break;
      case 1: bytes[at] = static_cast<char>(random()); break;
      case 2: bytes.resize(at); break;
      case 3: bytes.erase(at, 1 + below(8)); break;
      case 4: {
        const uint64_t extreme[] = {0, 1, 0x7f, 0xff, 0x7fffffff, 0xffffffff, INT64_MAX, UINT64_MAX};
        const uint64_t value = extreme[below(std::size(extreme))];
        const std::string word(reinterpret_cast<const char*>(&value), size_t{1} << below(4));
        bytes.replace(at, word.size(), word);
        break;
      }
      default: {
        const std::string& other = seeds[below(seeds.size())];
        if (other.empty()) break;
        bytes.insert(at, other, below(other.size()), 1 + below(64));
      }
    }
  }
  return bytes;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: %s SEED_FOLDER RUNS\n", argv[0]);
    return 2;
  }
  std::vector<std::string> paths;
  for (const auto& entry : std::filesystem::directory_iterator(argv[1])) paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  std::vector<std::string> seeds;
  for (const std::string& path : paths) {
    std::ifstream file(path, std::ios::binary);
    seeds.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
    run(seeds.back());
  }
  if (seeds.empty()) {
    std::fprintf(stderr, "error: %s: no seeds\n", argv[1]);
    return 1;
  }
  std::mt19937_64 random(1);
  const long runs = std::strtol(argv[2], nullptr, 10) * (std::getenv("CALLIE_FULL") ? 50 : 1);
  for (long i = 0; i < runs; ++i) run(mutated(seeds, random));
  std::printf("%zu seeds and %ld mutations\n", seeds.size(), runs);
  return 0;
}
