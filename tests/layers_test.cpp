// The include graph: a file may include only its own layer and the layers that stand below it (docs/architecture.md).

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <string>
#include <vector>

namespace {

const std::map<std::string, std::set<std::string>> kMayInclude = {
    {"core", {}},
    {"sched", {"core"}},
    {"report", {"core"}},
    {"kernels", {"core"}},
    {"tensor", {"kernels", "core"}},
    {"io", {"tensor", "kernels", "core"}},
    {"tokenizer", {"tensor", "kernels", "core"}},
    {"image", {"tensor", "kernels", "core"}},
    {"nn", {"tensor", "kernels", "core"}},
    {"grad", {"tensor", "kernels", "core"}},
    {"models", {"nn", "io", "tensor", "kernels", "core"}},
    {"engine", {"models", "nn", "io", "tokenizer", "tensor", "kernels", "sched", "core"}},
    {"chat", {"engine", "models", "nn", "io", "tokenizer", "tensor", "kernels", "sched", "core"}},
    {"tasks", {"chat", "engine", "models", "nn", "io", "tokenizer", "tensor", "kernels", "sched", "core"}},
    {"decode", {"tasks", "chat", "engine", "models", "nn", "io", "tokenizer", "tensor", "kernels", "sched", "core"}},
    {"tune",
     {"tasks", "chat", "engine", "models", "nn", "grad", "io", "tokenizer", "tensor", "kernels", "sched", "core"}},
    {"eval", {"tasks", "chat", "engine", "models", "nn", "io", "tokenizer", "tensor", "kernels", "sched", "core"}},
    {"plan", {"sched", "report", "core"}},
    {"assertions", {"io", "report", "tensor", "kernels", "core"}},
    {"capi",
     {"decode", "chat", "engine", "models", "nn", "io", "tokenizer", "tensor", "kernels", "sched", "core"}},
    {"serve",
     {"decode", "tasks", "chat", "engine", "models", "nn", "io", "tokenizer", "tensor", "kernels", "sched", "report",
      "core"}},
};

struct Include {
  std::string file, target;
};

std::vector<Include> includes_below(const std::filesystem::path& root) {
  std::vector<Include> found;
  const std::regex pattern("^\\s*#\\s*include\\s*\"([^\"]+)\"");
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
    const std::string extension = entry.path().extension();
    if (extension != ".h" && extension != ".cpp") continue;
    std::ifstream stream(entry.path());
    for (std::string line; std::getline(stream, line);) {
      std::smatch match;
      if (std::regex_search(line, match, pattern)) {
        found.push_back({std::filesystem::relative(entry.path(), root).string(), match[1]});
      }
    }
  }
  return found;
}

TEST(Layers, IncludesGoDownwardOnly) {
  const std::filesystem::path root = std::filesystem::path(CALLIE_SOURCE_DIR) / "src";
  const std::vector<Include> includes = includes_below(root);
  ASSERT_GT(includes.size(), 10u);
  for (const auto& [file, target] : includes) {
    const std::string layer = file.substr(0, file.find('/'));
    if (!std::filesystem::exists(root / target)) continue;  // generated (protobuf) or a per-target re-inclusion
    const std::string included = target.substr(0, target.find('/'));
    if (layer == included || layer == "cli" || layer == file) continue;  // cli and src/callie.h may include all
    const auto allowed = kMayInclude.find(layer);
    ASSERT_NE(allowed, kMayInclude.end()) << file << ": layer '" << layer << "' is not in the list";
    EXPECT_TRUE(allowed->second.count(included)) << file << " includes " << target << ", which does not stand below it";
  }
}

}  // namespace
