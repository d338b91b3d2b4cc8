#include "io/gguf_checkpoint.h"

#include <gtest/gtest.h>

#include "io/checkpoint.h"
#include "io/gguf_writer.h"
#include "test_files.h"

namespace callie::io {
namespace {

using tensor::StorageType;
using testing::TemporaryFolder;
using testing::write_file;

/// One part of a model that is split in `count`, with one tensor "tNO" of four bytes NO.
std::vector<uint8_t> part(int number, int count, int announced, const std::string& name) {
  GgufWriter writer;
  if (number == 0) writer.set_string("general.architecture", "llama");
  writer.set_u16("split.no", static_cast<uint16_t>(number));
  writer.set_u16("split.count", static_cast<uint16_t>(count));
  writer.set_i32("split.tensors.count", announced);
  EXPECT_TRUE(writer.declare(name, StorageType::kI8, std::vector<int64_t>{4}).ok());
  const std::vector<uint8_t> data(4, static_cast<uint8_t>(number));
  const std::vector<std::span<const uint8_t>> spans = {data};
  return *writer.bytes(spans);
}

TEST(GgufCheckpoint, OpensASplitModelByAnyPart) {
  TemporaryFolder folder;
  for (int i = 0; i < 3; ++i) {
    write_file(folder / fmt::format("m-0000{}-of-00003.gguf", i + 1),
               part(i, 3, 3, fmt::format("t{}", i)));
  }
  for (int i = 1; i <= 3; ++i) {
    auto model = Checkpoint::open(folder / fmt::format("m-0000{}-of-00003.gguf", i));
    ASSERT_TRUE(model.ok()) << model.status().message();
    ASSERT_EQ((*model)->tensors().size(), 3u);
    EXPECT_EQ(*(*model)->get_string("general.architecture"), "llama");
    EXPECT_EQ((*model)->find("t2")->data[3], 2);
    EXPECT_EQ((*model)->find("t3"), nullptr);
    EXPECT_EQ((*model)->kind(), CheckpointKind::kGguf);
    (*model)->release(*(*model)->find("t1"));
    EXPECT_EQ((*model)->find("t1")->data[0], 1);
  }
}

TEST(GgufCheckpoint, BrokenSplitsAreNamed) {
  TemporaryFolder folder;
  const std::string one = folder / "m-00001-of-00002.gguf", two = folder / "m-00002-of-00002.gguf";
  const auto problem = [&] {
    auto model = Checkpoint::open(one);
    return model.ok() ? "ok" : model.status().message();
  };
  write_file(one, part(0, 2, 2, "a"));
  EXPECT_EQ(problem(), two + ": no such file");
  write_file(two, part(1, 2, 2, "a"));
  EXPECT_EQ(problem(), one + ": tensor 'a': in more than one part");
  write_file(two, part(1, 3, 2, "b"));
  EXPECT_EQ(problem(), two + ": split.count: 3 in the file, 2 in its name");
  write_file(two, part(0, 2, 2, "b"));
  EXPECT_EQ(problem(), two + ": split.no: 0 in the file, expected 1");
  write_file(two, part(1, 2, 2, "b"));
  EXPECT_EQ(problem(), "ok");
  write_file(one, part(0, 2, 5, "a"));
  EXPECT_EQ(problem(), one + ": split.tensors.count: 5 announced, 2 found in all parts");
  write_file(folder / "renamed.gguf", part(0, 2, 2, "a"));
  EXPECT_FALSE(Checkpoint::open(folder / "renamed.gguf").ok());
}

TEST(GgufCheckpoint, SplitNames) {
  const auto split = parse_split_name("/x/big-00002-of-00011.gguf");
  ASSERT_TRUE(split);
  EXPECT_EQ(split->prefix, "/x/big");
  EXPECT_EQ(split->part, 2);
  EXPECT_EQ(split->part_path(11), "/x/big-00011-of-00011.gguf");
  for (const char* name :
       {"model.gguf", "-0001-of-00002.gguf", "a-00003-of-00002.gguf", "a-00000-of-00002.gguf",
        "a-0000x-of-00002.gguf", "a-00001-of-00002.bin"}) {
    EXPECT_FALSE(parse_split_name(name)) << name;
  }
}

TEST(GgufCheckpoint, FingerprintFollowsTheContent) {
  TemporaryFolder folder;
  GgufWriter writer;
  writer.set_u32("x", 1);
  write_file(folder / "m.gguf", *writer.bytes({}));
  const auto first = (*Checkpoint::open(folder / "m.gguf"))->fingerprint();
  EXPECT_EQ((*Checkpoint::open(folder / "m.gguf"))->fingerprint(), first);
  writer.set_u32("y", 1);
  write_file(folder / "m.gguf", *writer.bytes({}));
  EXPECT_NE((*Checkpoint::open(folder / "m.gguf"))->fingerprint(), first);
}

TEST(GgufCheckpoint, MissingThingsAreNamed) {
  TemporaryFolder folder;
  const std::string path = folder / "m.gguf";
  EXPECT_EQ(Checkpoint::open(path).status().message(), path + ": no such file");
  GgufWriter writer;
  writer.set_string("name", "x");
  write_file(path, *writer.bytes({}));
  auto model = Checkpoint::open(path);
  ASSERT_TRUE(model.ok());
  EXPECT_EQ((*model)->get_int("llama.block_count").status().message(),
            path + ": metadata 'llama.block_count': not in the file");
  EXPECT_EQ((*model)->get_int("name").status().message(),
            path + ": metadata 'name': is of type string, expected an integer");
  EXPECT_EQ((*model)->side_file("tokenizer.json").status().code(), StatusCode::kNotFound);
  EXPECT_EQ((*model)->metadata().front().type, "string");
}

}  // namespace
}  // namespace callie::io
