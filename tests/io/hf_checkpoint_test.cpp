#include <gtest/gtest.h>

#include "io/checkpoint.h"
#include "io/safetensors.h"
#include "test_files.h"

namespace callie::io {
namespace {

using tensor::StorageType;
using testing::TemporaryFolder;
using testing::write_file;

constexpr const char* kConfig =
    R"({"architectures": ["LlamaForCausalLM"], "hidden_size": 64, "rope_theta": 10000.0,
  "rms_norm_eps": 1e-05, "tie_word_embeddings": true, "head_dim": null, "eos_token_id": [1, 2],
  "rope_scaling": {"factor": 8.5, "rope_type": "llama3", "nested": {"deep": 1}}, "big": 18446744073709551615})";

void write_shard(const std::string& path, const std::string& tensor, uint8_t value) {
  const std::vector<uint8_t> bytes(4, value);
  const std::vector<TensorRecord> records = {{tensor, StorageType::kF32, {1}, bytes}};
  ASSERT_TRUE(write_safetensors(path, records).ok());
}

std::string problem(const TemporaryFolder& folder) {
  const auto model = Checkpoint::open(folder.path());
  return model.ok() ? "ok" : model.status().message();
}

TEST(HfCheckpoint, ReadsConfigWeightsAndSideFiles) {
  TemporaryFolder folder;
  write_file(folder / "config.json", std::string(kConfig));
  write_file(folder / "tokenizer.json", std::string("{}"));
  write_shard(folder / "model.safetensors", "a", 1);
  auto opened = Checkpoint::open(folder.path());
  ASSERT_TRUE(opened.ok()) << opened.status().message();
  const Checkpoint& model = **opened;
  EXPECT_EQ(model.kind(), CheckpointKind::kHuggingFace);
  EXPECT_EQ(model.find("a")->data[0], 1);
  EXPECT_EQ(*model.get_int("hidden_size"), 64);
  EXPECT_EQ(*model.get_int("rope_theta"), 10000);
  EXPECT_EQ(*model.get_float("hidden_size"), 64.0);
  EXPECT_EQ(*model.get_float("rope_scaling.factor"), 8.5);
  EXPECT_EQ(*model.get_string("rope_scaling.rope_type"), "llama3");
  EXPECT_EQ(*model.get_int("rope_scaling.nested.deep"), 1);
  EXPECT_TRUE(model.has("rope_scaling"));
  EXPECT_FALSE(model.has("head_dim"));
  EXPECT_EQ(*model.get_bool("tie_word_embeddings"), true);
  EXPECT_EQ(*model.get_strings("architectures"), (std::vector<std::string>{"LlamaForCausalLM"}));
  EXPECT_EQ(*model.get_ints("eos_token_id"), (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(*model.get_floats("eos_token_id"), (std::vector<float>{1, 2}));
  EXPECT_EQ(*model.side_file("tokenizer.json"), "{}");
  EXPECT_EQ(model.side_file("none.json").status().code(), StatusCode::kNotFound);
  EXPECT_EQ(model.side_file("../x").status().code(), StatusCode::kNotFound);
  const std::string config = folder / "config.json";
  EXPECT_EQ(model.get_int("x").status().message(), config + ": 'x': not in the file");
  EXPECT_EQ(model.get_int("rms_norm_eps").status().message(),
            config + ": 'rms_norm_eps': is a fraction, expected an integer");
  EXPECT_EQ(model.get_int("big").status().message(),
            config + ": 'big': 18446744073709551615 is out of range");
  EXPECT_FALSE(model.get_bool("hidden_size").ok());
  EXPECT_FALSE(model.get_string("hidden_size").ok());
  EXPECT_FALSE(model.get_ints("architectures").ok());
}

TEST(HfCheckpoint, ReadsShards) {
  TemporaryFolder folder;
  write_file(folder / "config.json", std::string(kConfig));
  write_shard(folder / "model-00001-of-00002.safetensors", "a", 1);
  write_shard(folder / "model-00002-of-00002.safetensors", "b", 2);
  write_file(
      folder / "model.safetensors.index.json",
      std::string(R"({"metadata": {}, "weight_map": {"a": "model-00001-of-00002.safetensors",)"
                  R"("b": "model-00002-of-00002.safetensors"}})"));
  const auto model = Checkpoint::open(folder.path());
  ASSERT_TRUE(model.ok()) << model.status().message();
  EXPECT_EQ(model.value()->find("b")->data[0], 2);
  const uint64_t before = model.value()->fingerprint();
  write_shard(folder / "model-00002-of-00002.safetensors", "c", 2);
  EXPECT_EQ(problem(folder), folder / "model-00002-of-00002.safetensors" +
                                 ": tensor 'b': not in the file, but " +
                                 (folder / "model.safetensors.index.json") + " says so");
  write_shard(folder / "model-00002-of-00002.safetensors", "a", 2);
  EXPECT_EQ(problem(folder),
            folder / "model-00002-of-00002.safetensors" + ": tensor 'a': in more than one file");
  std::filesystem::remove(folder / "model-00002-of-00002.safetensors");
  EXPECT_EQ(problem(folder), folder / "model-00002-of-00002.safetensors" + ": no such file");
  write_file(folder / "model.safetensors.index.json",
             std::string(R"({"weight_map": {"a": "../x"}})"));
  EXPECT_EQ(problem(folder), folder / "model.safetensors.index.json" +
                                 ": weight_map: 'a': '../x' is not a file name");
  write_file(folder / "model.safetensors.index.json",
             std::string(R"({"weight_map": {"a": "model-00001-of-00002.safetensors"}})"));
  const auto smaller = Checkpoint::open(folder.path());
  ASSERT_TRUE(smaller.ok());
  EXPECT_NE(smaller.value()->fingerprint(), before);
}

TEST(HfCheckpoint, BrokenFilesAreNamed) {
  TemporaryFolder folder;
  const std::string config = folder / "config.json", weights = folder / "model.safetensors";
  EXPECT_EQ(problem(folder), config + ": no such file");
  write_file(config, std::string("{\"a\": }"));
  EXPECT_EQ(problem(folder), config + ": no valid JSON at byte 7");
  write_file(config, std::string("[1]"));
  EXPECT_EQ(problem(folder), config + ": top level: not an object");
  write_file(config, std::string(1 << 20, '['));
  EXPECT_EQ(problem(folder), config + ": nesting: more than 32 levels");
  write_file(config, std::string("{\"a\": \"\xFF\"}"));
  EXPECT_EQ(problem(folder), config + ": no valid JSON at byte 8");
  write_file(config, std::string(kConfig));
  EXPECT_EQ(problem(folder), weights + ": no such file");
  write_file(weights, std::string("12345"));
  EXPECT_EQ(problem(folder), weights + ": header length: the file ends after 5 bytes");
}

}  // namespace
}  // namespace callie::io
