#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "tensor/formats/codec.h"
#include "tensor/packed_matrix.h"

namespace callie::tensor {
namespace {

struct Golden {
  StorageType type;
  bool encode;
  std::vector<uint8_t> blocks;
  std::vector<float> values;
};

/// Entries of tests/golden/formats.bin (see make_formats.py).
std::vector<Golden> goldens() {
  std::ifstream file(CALLIE_SOURCE_DIR "/tests/golden/formats.bin", std::ios::binary);
  std::vector<Golden> all;
  uint32_t head[3];
  while (file.read(reinterpret_cast<char*>(head), sizeof(head))) {
    Golden g;
    g.type = static_cast<StorageType>(head[0]);
    g.encode = head[1] == 1;
    const StorageTypeInfo* info = storage_type_info(g.type);
    if (info == nullptr) break;
    g.blocks.resize(head[2] * info->block_bytes);
    g.values.resize(head[2] * info->block_elements);
    file.read(reinterpret_cast<char*>(g.blocks.data()),
              static_cast<std::streamsize>(g.blocks.size()));
    file.read(reinterpret_cast<char*>(g.values.data()),
              static_cast<std::streamsize>(g.values.size() * 4));
    all.push_back(std::move(g));
  }
  return all;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * 4) == 0;
}

TEST(Formats, DecodeBitEqualToTheGgufPackage) {
  int checked = 0;
  for (const Golden& g : goldens()) {
    if (g.encode) continue;
    std::vector<float> out(g.values.size());
    const Status status = decode(g.type, g.blocks, static_cast<int64_t>(out.size()), out.data());
    ASSERT_TRUE(status.ok()) << status.message();
    EXPECT_TRUE(same_bits(out, g.values)) << storage_type_info(g.type)->name;
    ++checked;
  }
  EXPECT_EQ(checked, 14);
}

TEST(Formats, EncodeBitEqualToTheGgufPackage) {
  int checked = 0;
  for (const Golden& g : goldens()) {
    if (!g.encode) continue;
    std::vector<uint8_t> out(g.blocks.size());
    ASSERT_TRUE(encode(g.type, g.values.data(), static_cast<int64_t>(g.values.size()), out).ok());
    EXPECT_EQ(out, g.blocks) << storage_type_info(g.type)->name;
    ++checked;
  }
  EXPECT_EQ(checked, 6);
}

TEST(Formats, PackingKeepsEveryBit) {
  ThreadPool pool(2);
  for (const Golden& g : goldens()) {
    if (g.encode) continue;
    // The golden's blocks, repeated: 19 rows of 3 blocks (float types: of 37 elements).
    const StorageTypeInfo& info = *storage_type_info(g.type);
    const int64_t row_blocks = info.block_elements == 1 ? 37 : 3;
    const int64_t rows = 19;
    const int64_t cols = row_blocks * info.block_elements;
    const int64_t n_blocks = static_cast<int64_t>(g.blocks.size()) / info.block_bytes;
    std::vector<uint8_t> data;
    for (int64_t i = 0; i < rows * row_blocks; ++i) {
      const auto at = g.blocks.begin() + (i * 7 % n_blocks) * info.block_bytes;
      data.insert(data.end(), at, at + info.block_bytes);
    }
    std::vector<float> want(static_cast<size_t>(rows * cols));
    ASSERT_TRUE(decode(g.type, data, rows * cols, want.data()).ok());
    StatusOr<PackedMatrix> packed = PackedMatrix::pack(g.type, data, rows, cols, Context{&pool});
    ASSERT_TRUE(packed.ok()) << packed.status().message();
    std::vector<float> got(want.size());
    for (int64_t r = 0; r < rows; ++r) packed->unpack_row(r, got.data() + r * cols);
    EXPECT_TRUE(same_bits(got, want)) << info.name;
    StatusOr<PackedMatrix> again =
        PackedMatrix::over(packed->view().family, rows, cols,
                           {packed->view().data, static_cast<size_t>(packed->bytes())});
    ASSERT_TRUE(again.ok());
    again->unpack_row(rows - 1, got.data());
    EXPECT_EQ(std::memcmp(got.data(), want.data() + (rows - 1) * cols, cols * 4), 0) << info.name;
  }
}

TEST(Formats, PackedBytesAreAtMostFivePercentMoreThanOnDisk) {
  for (const FormatCodec* codec : all_codecs()) {
    const StorageTypeInfo& info = *storage_type_info(codec->type);
    for (const int64_t cols : {512, 1536, 4864, 8960}) {
      const StatusOr<int64_t> size = PackedMatrix::packed_size(codec->type, 1024, cols);
      ASSERT_TRUE(size.ok());
      const double on_disk = 1024.0 * cols / info.block_elements * info.block_bytes;
      EXPECT_LE(*size / on_disk, 1.05) << info.name << " " << cols;
    }
  }
}

TEST(Formats, FusedMatricesKeepTheirRows) {
  std::vector<float> a(32 * 64), b(16 * 64);
  for (size_t i = 0; i < a.size(); ++i) a[i] = static_cast<float>(i % 61) - 30.0f;
  for (size_t i = 0; i < b.size(); ++i) b[i] = static_cast<float>(i % 53) - 20.0f;
  std::vector<uint8_t> data_a(32 * 2 * 18), data_b(16 * 2 * 18);
  ASSERT_TRUE(encode(StorageType::kQ4_0, a.data(), 32 * 64, data_a).ok());
  ASSERT_TRUE(encode(StorageType::kQ4_0, b.data(), 16 * 64, data_b).ok());
  const MatrixSource parts[] = {{StorageType::kQ4_0, data_a, 32}, {StorageType::kQ4_0, data_b, 16}};
  StatusOr<PackedMatrix> fused = PackedMatrix::pack(parts, 64, Context{});
  ASSERT_TRUE(fused.ok()) << fused.status().message();
  EXPECT_EQ(fused->rows(), 48);
  std::vector<float> want(16 * 64), got(64);
  ASSERT_TRUE(decode(StorageType::kQ4_0, data_b, 16 * 64, want.data()).ok());
  fused->unpack_row(35, got.data());
  EXPECT_EQ(std::memcmp(got.data(), want.data() + 3 * 64, 64 * 4), 0);
}

TEST(Formats, ErrorsNameTheProblem) {
  std::vector<uint8_t> data(18 * 4);
  EXPECT_EQ(PackedMatrix::pack(StorageType::kQ4_0, data, 1, 100, Context{}).status().code(),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(PackedMatrix::pack(StorageType::kQ4_0, data, 5, 32, Context{}).status().code(),
            StatusCode::kDataLoss);
  EXPECT_EQ(PackedMatrix::pack(StorageType::kI32, data, 1, 4, Context{}).status().code(),
            StatusCode::kUnimplemented);
  float out[32];
  EXPECT_EQ(decode(StorageType::kQ4_0, data, 31, out).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(decode(StorageType::kQ4_0, {data.data(), 17}, 32, out).code(),
            StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace callie::tensor
