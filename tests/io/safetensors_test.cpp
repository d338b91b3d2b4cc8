#include "io/safetensors.h"

#include <gtest/gtest.h>

#include <cstring>

#include "test_files.h"

namespace callie::io {
namespace {

using tensor::StorageType;
using testing::TemporaryFolder;

std::vector<uint8_t> file_of(const std::string& header, size_t data_bytes) {
  std::vector<uint8_t> bytes(8 + header.size() + data_bytes);
  const uint64_t length = header.size();
  std::memcpy(bytes.data(), &length, 8);
  std::memcpy(bytes.data() + 8, header.data(), header.size());
  for (size_t i = 0; i < data_bytes; ++i) bytes[8 + header.size() + i] = static_cast<uint8_t>(i);
  return bytes;
}

std::string problem(const std::string& header, size_t data_bytes) {
  const auto parsed = parse_safetensors(file_of(header, data_bytes));
  return parsed.ok() ? "ok" : parsed.status().message();
}

TEST(Safetensors, ReadsRecordsInTheOrderOfTheirData) {
  const auto bytes = file_of(
      R"({"b":{"dtype":"F32","shape":[2,1],"data_offsets":[2,10]},"__metadata__":{"k":"v"},)"
      R"("a":{"data_offsets":[0,2],"shape":[],"dtype":"BF16"}} )",
      10);
  const auto parsed = parse_safetensors(bytes);
  ASSERT_TRUE(parsed.ok()) << parsed.status().message();
  ASSERT_EQ(parsed.value().tensors.size(), 2u);
  const TensorRecord& a = parsed.value().tensors[0];
  const TensorRecord& b = parsed.value().tensors[1];
  EXPECT_EQ(a.name, "a");
  EXPECT_EQ(a.type, StorageType::kBF16);
  EXPECT_TRUE(a.shape.empty());
  EXPECT_EQ(b.shape, (std::vector<int64_t>{2, 1}));
  EXPECT_EQ(b.data[0], 2);
  EXPECT_EQ(b.data.size(), 8u);
  EXPECT_EQ(parsed.value().metadata[0], (std::pair<std::string, std::string>("k", "v")));
}

TEST(Safetensors, BrokenFieldsAreNamed) {
  const std::string good = R"({"t":{"dtype":"I8","shape":[4],"data_offsets":[0,4]}})";
  EXPECT_EQ(problem(good, 4), "ok");
  EXPECT_EQ(problem("{}", 0), "ok");
  EXPECT_EQ(problem(good, 3),
            "tensor 't': data_offsets: [0, 4] lie outside the 3 bytes of data (truncated?)");
  EXPECT_EQ(problem(good, 5), "data: 1 bytes behind the last tensor");
  EXPECT_EQ(problem("", 4), "header: does not begin with '{'");
  EXPECT_EQ(problem("[]", 4), "header: does not begin with '{'");
  EXPECT_EQ(problem("{\"t\":", 0), "header: no valid JSON at byte 6");
  EXPECT_EQ(problem(R"({"t":3})", 0), "tensor 't': a number where an object is expected");
  EXPECT_EQ(problem(R"({"t":{"dtype":3}})", 0),
            "tensor 't': 'dtype': a number is not expected here");
  EXPECT_EQ(problem(R"({"t":{"shape":[[1]]}})", 0),
            "tensor 't': 'shape': an array is not expected here");
  EXPECT_EQ(problem(R"({"t":{"shape":[-1]}})", 0),
            "tensor 't': 'shape': a negative number is not expected here");
  EXPECT_EQ(problem(R"({"t":{"shape":[1.5]}})", 0),
            "tensor 't': 'shape': a fraction is not expected here");
  EXPECT_EQ(problem(R"({"t":{"shape":{"a":1}}})", 0),
            "tensor 't': 'shape': an object is not expected here");
  EXPECT_EQ(problem(R"({"t":{"shape":[1,1,1,1,1,1,1,1,1]}})", 0),
            "tensor 't': shape: too many numbers");
  EXPECT_EQ(problem(R"({"t":{}})", 0), "tensor 't': dtype: missing");
  EXPECT_EQ(problem(R"({"t":{"dtype":"I8"}})", 0), "tensor 't': shape: missing");
  EXPECT_EQ(problem(R"({"t":{"dtype":"I8","shape":[4],"data_offsets":[0]}})", 4),
            "tensor 't': data_offsets: expected two numbers");
  EXPECT_EQ(problem(R"({"t":{"dtype":"F8_E4M3","shape":[4],"data_offsets":[0,4]}})", 4),
            "tensor 't': dtype 'F8_E4M3' is not supported");
  EXPECT_EQ(problem(R"({"t":{"dtype":"I8","shape":[4],"data_offsets":[0,3]}})", 4),
            "tensor 't': data_offsets: 3 bytes, but the shape needs 4");
  EXPECT_EQ(
      problem(R"({"t":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,4]}})", 4),
      "tensor 't': shape: too large (4294967296)");
  EXPECT_EQ(problem(R"({"t":{"dtype":"I8","shape":[4],"data_offsets":[4,0]}})", 4),
            "tensor 't': data_offsets: [4, 0] lie outside the 4 bytes of data (truncated?)");
  EXPECT_EQ(problem(R"({"t":{"dtype":"I8","dtype":"I8"}})", 0), "tensor 't': dtype appears twice");
  EXPECT_EQ(problem(R"({"t":{},"t":{}})", 0), "tensor 't': appears twice");
  EXPECT_EQ(problem(R"({"a":{"dtype":"I8","shape":[3],"data_offsets":[0,3]},)"
                    R"("b":{"dtype":"I8","shape":[2],"data_offsets":[2,4]}})",
                    4),
            "tensor 'b': data_offsets: overlaps the tensor before it");
  EXPECT_EQ(problem(R"({"a":{"dtype":"I8","shape":[1],"data_offsets":[0,1]},)"
                    R"("b":{"dtype":"I8","shape":[2],"data_offsets":[2,4]}})",
                    4),
            "tensor 'b': data_offsets: leaves a hole after the tensor before it");
  std::vector<uint8_t> huge(8, 0xFF);
  EXPECT_EQ(parse_safetensors(huge).status().message(),
            "header length: 18446744073709551615 is more than 100000000");
}

TEST(Safetensors, EveryTruncationAndBitFlipIsReadOrRefused) {
  const auto bytes = file_of(R"({"a":{"dtype":"I8","shape":[1],"data_offsets":[0,1]},)"
                             R"("b":{"dtype":"F16","shape":[1,2],"data_offsets":[1,5]}})",
                             5);
  for (size_t size = 0; size < bytes.size(); ++size) {
    const std::vector<uint8_t> cut(bytes.begin(),
                                   bytes.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_EQ(parse_safetensors(cut).status().code(), StatusCode::kDataLoss) << size;
  }
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    auto flipped = bytes;
    flipped[bit / 8] ^= static_cast<uint8_t>(1u << (bit % 8));
    const auto parsed = parse_safetensors(flipped);
    if (!parsed.ok()) {
      EXPECT_EQ(parsed.status().message().find('\n'), std::string::npos);
    }
  }
}

TEST(Safetensors, DeepNestingDoesNotRecurse) {
  EXPECT_NE(problem(std::string(1 << 20, '['), 0), "ok");
  EXPECT_NE(problem("{\"a\":" + std::string(1 << 20, '['), 0), "ok");
}

TEST(Safetensors, WritesWhatItReads) {
  TemporaryFolder folder;
  const std::vector<float> values = {1.5f, -2.0f, 3.25f};
  const std::span<const uint8_t> bytes(reinterpret_cast<const uint8_t*>(values.data()), 12);
  const std::vector<TensorRecord> records = {{"exits.3.weight", StorageType::kF32, {1, 3}, bytes},
                                             {"k", StorageType::kI8, {2}, bytes.first(2)}};
  const std::vector<std::pair<std::string, std::string>> metadata = {{"model", "x"},
                                                                     {"note", "größer"}};
  ASSERT_TRUE(write_safetensors(folder / "x.safetensors", records, metadata).ok());
  const auto file = SafetensorsFile::open(folder / "x.safetensors");
  ASSERT_TRUE(file.ok()) << file.status().message();
  EXPECT_EQ(file.value()->metadata(), metadata);
  const TensorRecord* record = file.value()->find("exits.3.weight");
  ASSERT_TRUE(record);
  EXPECT_EQ(std::memcmp(record->data.data(), values.data(), 12), 0);
  EXPECT_EQ(record->shape, (std::vector<int64_t>{1, 3}));
  EXPECT_EQ(file.value()->find("none"), nullptr);
  const std::vector<TensorRecord> wrong = {{"k", StorageType::kI8, {3}, bytes.first(2)}};
  EXPECT_FALSE(write_safetensors(folder / "y.safetensors", wrong).ok());
  EXPECT_FALSE(std::filesystem::exists(folder / "y.safetensors"));
}

}  // namespace
}  // namespace callie::io
