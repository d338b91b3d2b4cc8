// A broken or foreign model file gives one clear line that names the file, never a crash.

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "core/atomic_file.h"
#include "engine/model_fixture.h"
#include "engine/tiny_gguf.h"

namespace callie {
namespace {

class BrokenModel : public testing::Test {
 protected:
  void SetUp() override {
    // A folder of its own: tests of one binary run as processes side by side.
    folder_ = testing::TempDir() + "/callie_" + std::to_string(getpid());
    std::filesystem::create_directories(folder_);
    path_ = folder_ + "/broken.gguf";
    ASSERT_TRUE(test::write_tiny_gguf(path_, tensor::StorageType::kQ4_K).ok());
    auto text = read_text_file(path_);
    ASSERT_TRUE(text.ok());
    bytes_ = *text;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  Status load(const std::string& content) {
    std::ofstream(path_, std::ios::binary) << content;
    ThreadPool pool(1);
    Context context{&pool};
    return Model::load(path_, {}, context).status();
  }

  std::string folder_, path_, bytes_;
};

TEST_F(BrokenModel, WholeFileLoads) { EXPECT_TRUE(load(bytes_).ok()); }

TEST_F(BrokenModel, TruncatedAnywhereIsOneLineThatNamesTheFile) {
  for (size_t size = 0; size < bytes_.size(); size += 1 + size / 8) {
    const Status status = load(bytes_.substr(0, size));
    ASSERT_FALSE(status.ok()) << size;
    EXPECT_NE(status.message().find("broken.gguf"), std::string::npos) << status.message();
    EXPECT_EQ(status.message().find('\n'), std::string::npos) << status.message();
  }
}

TEST_F(BrokenModel, FlippedHeaderBitsNeverCrash) {
  int refused = 0;
  for (size_t i = 0; i < 6000; i += 7) {
    std::string changed = bytes_;
    changed[i] = static_cast<char>(changed[i] ^ (1 << (i % 8)));
    const Status status = load(changed);
    refused += !status.ok();
    if (!status.ok()) {
      EXPECT_NE(status.message().find("broken.gguf"), std::string::npos) << status.message();
    }
  }
  EXPECT_GT(refused, 50);
}

TEST_F(BrokenModel, MissingTensorAndWrongShapeAreNamed) {
  const auto rename = [&](const std::string& from, const std::string& to) {
    std::string changed = bytes_;
    const size_t at = changed.find(from);
    EXPECT_NE(at, std::string::npos);
    return changed.replace(at, from.size(), to);
  };
  EXPECT_NE(load(rename("blk.1.ffn_up.weight", "blk.1.ffn_xx.weight")).message().find("'blk.1.ffn_up.weight' is missing"),
            std::string::npos);
  // The head count no longer fits the shapes of the key and value matrices.
  std::string changed = bytes_;
  const size_t key = changed.find("llama.attention.head_count_kv");
  changed[key + std::string("llama.attention.head_count_kv").size() + 4] = 4;
  const Status status = load(changed);
  EXPECT_NE(status.message().find("attn_k.weight"), std::string::npos) << status.message();
}

}  // namespace
}  // namespace callie
