#include "io/gguf.h"

#include <gtest/gtest.h>

#include <cstring>
#include <limits>

#include "core/philox.h"
#include "io/gguf_writer.h"

namespace callie::io {
namespace {

using tensor::StorageType;

/// A small file with every kind of value and three tensors.
std::vector<uint8_t> sample_file(uint64_t alignment = 32) {
  GgufWriter writer(alignment);
  writer.set_string("general.architecture", "llama");
  writer.set_u32("llama.block_count", 7);
  writer.set_i32("negative", -5);
  writer.set_u64("large", std::numeric_limits<uint64_t>::max());
  writer.set_u16("small", 65535);
  writer.set_f32("epsilon", 1e-5f);
  writer.set_bool("flag", true);
  writer.set_string("empty", "");
  const std::vector<int32_t> ints = {1, -2, 3};
  writer.set_i32s("ints", ints);
  const std::vector<float> floats = {0.5f, -1.5f};
  writer.set_f32s("floats", floats);
  const std::vector<std::string> strings = {"a", "", "größer"};
  writer.set_strings("strings", strings);
  EXPECT_TRUE(writer.declare("first", StorageType::kF32, std::vector<int64_t>{2, 3}).ok());
  EXPECT_TRUE(writer.declare("second", StorageType::kQ4_0, std::vector<int64_t>{3, 64}).ok());
  EXPECT_TRUE(writer.declare("scalar", StorageType::kF16, std::vector<int64_t>{}).ok());
  std::vector<std::vector<uint8_t>> data = {
      std::vector<uint8_t>(24, 1), std::vector<uint8_t>(3 * 2 * 18, 2), {3, 3}};
  const std::vector<std::span<const uint8_t>> spans(data.begin(), data.end());
  return *writer.bytes(spans);
}

const GgufValue& value_of(const GgufHeader& header, std::string_view key) {
  for (const GgufValue& value : header.metadata) {
    if (value.key == key) return value;
  }
  throw std::out_of_range(std::string(key));
}

TEST(Gguf, ReadsWhatTheWriterWrote) {
  for (const uint64_t alignment : {uint64_t{1}, uint64_t{32}, uint64_t{4096}}) {
    const auto file = sample_file(alignment);
    auto header = parse_gguf(file);
    ASSERT_TRUE(header.ok()) << header.status().message();
    EXPECT_EQ(header->version, 3u);
    EXPECT_EQ(header->alignment, alignment);
    EXPECT_EQ(*gguf_string(value_of(*header, "general.architecture")), "llama");
    EXPECT_EQ(*gguf_int(value_of(*header, "llama.block_count")), 7);
    EXPECT_EQ(*gguf_float(value_of(*header, "llama.block_count")), 7.0);
    EXPECT_EQ(*gguf_int(value_of(*header, "negative")), -5);
    EXPECT_EQ(*gguf_int(value_of(*header, "small")), 65535);
    EXPECT_EQ(*gguf_float(value_of(*header, "epsilon")), double{1e-5f});
    EXPECT_EQ(*gguf_bool(value_of(*header, "flag")), true);
    EXPECT_EQ(*gguf_string(value_of(*header, "empty")), "");
    EXPECT_EQ(*gguf_ints(value_of(*header, "ints")), (std::vector<int64_t>{1, -2, 3}));
    EXPECT_EQ(*gguf_floats(value_of(*header, "floats")), (std::vector<float>{0.5f, -1.5f}));
    EXPECT_EQ(*gguf_strings(value_of(*header, "strings")),
              (std::vector<std::string>{"a", "", "größer"}));
    ASSERT_EQ(header->tensors.size(), 3u);
    EXPECT_EQ(header->tensors[0].shape, (std::vector<int64_t>{2, 3}));
    EXPECT_EQ(header->tensors[1].type, StorageType::kQ4_0);
    EXPECT_EQ(header->tensors[1].data.size(), 108u);
    EXPECT_EQ(header->tensors[1].data[107], 2);
    EXPECT_TRUE(header->tensors[2].shape.empty());
    EXPECT_EQ(header->tensors[2].data[1], 3);
  }
}

TEST(Gguf, WrongTypesNameTheKey) {
  const auto file = sample_file();
  auto header = parse_gguf(file);
  ASSERT_TRUE(header.ok());
  EXPECT_EQ(gguf_int(value_of(*header, "flag")).status().message(),
            "metadata 'flag': is of type bool, expected an integer");
  EXPECT_EQ(gguf_int(value_of(*header, "large")).status().message(),
            "metadata 'large': 18446744073709551615 is out of range");
  EXPECT_FALSE(gguf_string(value_of(*header, "ints")).ok());
  EXPECT_FALSE(gguf_ints(value_of(*header, "floats")).ok());
  EXPECT_FALSE(gguf_ints(value_of(*header, "strings")).ok());
  EXPECT_FALSE(gguf_floats(value_of(*header, "strings")).ok());
  EXPECT_FALSE(gguf_strings(value_of(*header, "ints")).ok());
  EXPECT_FALSE(gguf_strings(value_of(*header, "empty")).ok());
  EXPECT_FALSE(gguf_bool(value_of(*header, "small")).ok());
}

TEST(Gguf, EveryTruncationIsAnError) {
  const auto file = sample_file();
  for (size_t size = 0; size < file.size(); ++size) {
    const std::vector<uint8_t> cut(file.begin(), file.begin() + static_cast<std::ptrdiff_t>(size));
    const auto header = parse_gguf(cut);
    if (header.ok()) {
      // Only the padding behind the last tensor may be missing.
      EXPECT_GE(size, file.size() - 30);
    } else {
      EXPECT_EQ(header.status().code(), StatusCode::kDataLoss) << size;
      EXPECT_NE(header.status().message().find(": "), std::string::npos);
    }
  }
}

TEST(Gguf, BitFlipsAreReadOrRefused) {
  const auto file = sample_file();
  auto header_size = parse_gguf(file)->header.size();
  for (size_t bit = 0; bit < header_size * 8; ++bit) {
    auto flipped = file;
    flipped[bit / 8] ^= static_cast<uint8_t>(1u << (bit % 8));
    const auto header = parse_gguf(flipped);
    if (!header.ok()) {
      EXPECT_EQ(header.status().message().find('\n'), std::string::npos);
      continue;
    }
    for (const TensorRecord& record : header.value().tensors) {
      EXPECT_GE(record.data.data(), flipped.data());
      EXPECT_LE(record.data.data() + record.data.size(), flipped.data() + flipped.size());
    }
  }
}

/// Overwrites the `size` bytes after the first occurrence of `needle`, `skip` bytes further on.
std::vector<uint8_t> patched(std::vector<uint8_t> file, std::string_view needle, size_t skip,
                             uint64_t value, size_t size) {
  const auto at =
      std::string_view(reinterpret_cast<const char*>(file.data()), file.size()).find(needle);
  EXPECT_NE(at, std::string_view::npos);
  std::memcpy(file.data() + at + needle.size() + skip, &value, size);
  return file;
}

std::string problem(const std::vector<uint8_t>& file) {
  const auto header = parse_gguf(file);
  return header.ok() ? "ok" : header.status().message();
}

TEST(Gguf, BrokenFieldsAreNamed) {
  const auto file = sample_file();
  constexpr uint64_t kHuge = uint64_t{1} << 60;
  EXPECT_EQ(problem({}), "magic: not a GGUF file");
  EXPECT_EQ(problem(patched(file, "GGUF", 0, 1, 4)), "version: 1 is not supported (2 and 3 are)");
  EXPECT_EQ(problem(patched(file, "GGUF", 0, 2, 4)), "ok");
  EXPECT_EQ(problem(patched(file, "GGUF", 0, 0x03000000, 4)),
            "version: big-endian GGUF files are not supported");
  EXPECT_NE(problem(patched(file, "GGUF", 4, kHuge, 8)).find("tensor_count: 1152921504606846976"),
            std::string::npos);
  EXPECT_NE(problem(patched(file, "GGUF", 12, kHuge, 8)).find("metadata_kv_count"),
            std::string::npos);
  EXPECT_EQ(problem(patched(file, "strings", 4, 9, 4)), "metadata 'strings': an array of arrays");
  EXPECT_EQ(problem(patched(file, "strings", 8, kHuge, 8)),
            "metadata 'strings': runs past the end of the file");
  EXPECT_EQ(problem(patched(file, "strings", 16, kHuge, 8)),
            "metadata 'strings': runs past the end of the file");
  EXPECT_EQ(problem(patched(file, "ints", 8, kHuge, 8)),
            "metadata 'ints': runs past the end of the file");
  EXPECT_EQ(problem(patched(file, "flag", 0, 13, 4)),
            "metadata 'flag': value type 13 does not exist");
  // second: rank, 64, 3, type, offset
  EXPECT_EQ(problem(patched(file, "second", 0, 5, 4)),
            "tensor 'second': 5 dimensions, at most 4 are allowed");
  EXPECT_EQ(problem(patched(file, "second", 4, 0, 8)), "tensor 'second': dimension 0 is zero");
  EXPECT_EQ(problem(patched(file, "second", 4, 65, 8)),
            "tensor 'second': rows of 65 elements are no whole number of Q4_0 blocks of 32");
  EXPECT_NE(
      problem(patched(file, "second", 12, kHuge, 8)).find("tensor 'second': shape is too large"),
      std::string::npos);
  EXPECT_NE(problem(patched(file, "second", 12, 1u << 20, 8)).find("do not fit into the file's"),
            std::string::npos);
  EXPECT_EQ(problem(patched(file, "second", 20, 16, 4)),
            "tensor 'second': storage type 16 (IQ2_XXS) is not supported");
  EXPECT_EQ(problem(patched(file, "second", 20, 4, 4)),
            "tensor 'second': storage type 4 (unknown) is not supported");
  EXPECT_EQ(problem(patched(file, "second", 24, 33, 8)),
            "tensor 'second': offset 33 is not a multiple of the alignment 32");
  EXPECT_EQ(problem(patched(file, "second", 24, 0, 8)),
            "tensor 'second': its bytes overlap those of 'first'");
  EXPECT_NE(problem(patched(file, "second", 24, kHuge, 8)).find("run past the end of the file's"),
            std::string::npos);
}

TEST(Gguf, DuplicatesAreRefused) {
  GgufWriter writer;
  writer.set_u32("key", 1);
  writer.set_u32("key", 2);
  EXPECT_EQ(problem(*writer.bytes({})), "metadata key 'key': appears twice");
  GgufWriter tensors;
  const std::vector<int64_t> shape = {1};
  ASSERT_TRUE(tensors.declare("t", StorageType::kI8, shape).ok());
  ASSERT_TRUE(tensors.declare("t", StorageType::kI8, shape).ok());
  const uint8_t byte = 0;
  const std::vector<std::span<const uint8_t>> data(2, std::span(&byte, 1));
  EXPECT_EQ(problem(*tensors.bytes(data)), "tensor 't': appears twice");
}

TEST(Gguf, BadAlignmentIsRefused) {
  for (const uint32_t alignment : {0u, 3u, 48u, 1u << 30}) {
    GgufWriter writer;
    writer.set_u32("general.alignment", alignment);
    EXPECT_NE(problem(*writer.bytes({})).find("general.alignment"), std::string::npos) << alignment;
  }
}

TEST(Gguf, WriterRefusesBadShapes) {
  GgufWriter writer;
  EXPECT_FALSE(writer.declare("t", StorageType::kQ4_K, std::vector<int64_t>{2, 128}).ok());
  EXPECT_FALSE(writer.declare("t", StorageType::kF32, std::vector<int64_t>{0}).ok());
  EXPECT_FALSE(writer.declare("t", StorageType::kF32, std::vector<int64_t>{1, 1, 1, 1, 1}).ok());
  EXPECT_FALSE(writer.declare("t", static_cast<StorageType>(5), std::vector<int64_t>{1}).ok());
}

}  // namespace
}  // namespace callie::io
