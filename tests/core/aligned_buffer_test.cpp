#include "core/aligned_buffer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <utility>

namespace callie {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;

TEST(AlignedBuffer, IsZeroedAlignedAndWritableOnBothSidesOfAHugePage) {
  for (const size_t size : {size_t{1}, size_t{63}, size_t{4096}, kHugePage - 1, kHugePage, kHugePage + 1, 3 * kHugePage + 5}) {
    AlignedBuffer<uint8_t> buffer(size);
    ASSERT_EQ(buffer.size(), size);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer.data()) % (size >= kHugePage ? kHugePage : size >= 4096 ? 4096 : 64), 0u) << size;
    EXPECT_TRUE(std::all_of(buffer.data(), buffer.data() + size, [](uint8_t byte) { return byte == 0; })) << size;
    std::fill_n(buffer.data(), size, uint8_t{255});
    buffer.reset(size);
    EXPECT_EQ(std::count(buffer.data(), buffer.data() + size, 0), static_cast<std::ptrdiff_t>(size));
  }
}

TEST(AlignedBuffer, GrowsOnlyWhenNeededAndMoves) {
  AlignedBuffer<float> buffer(100);
  float* const before = buffer.data();
  buffer.ensure(50);
  EXPECT_EQ(buffer.data(), before);
  EXPECT_EQ(buffer.size(), 100u);
  buffer.ensure(kHugePage);
  EXPECT_EQ(buffer.size(), kHugePage);
  float* const at = buffer.data();
  AlignedBuffer<float> other = std::move(buffer);
  EXPECT_EQ(other.data(), at);
  EXPECT_EQ(other.size(), kHugePage);
  EXPECT_EQ(buffer.size(), 0u);
}

TEST(AlignedBuffer, TooMuchMemoryIsAnErrorThatNamesItsPurpose) {
  const auto refused = AlignedBuffer<uint8_t>::allocate(size_t{1} << 60, "weights");
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.status().code(), StatusCode::kResourceExhausted);
  EXPECT_NE(refused.status().message().find("for weights"), std::string::npos);
  const auto nothing = AlignedBuffer<uint8_t>::allocate(0, "weights");
  ASSERT_TRUE(nothing.ok());
  EXPECT_EQ(nothing->size(), 0u);
}

}  // namespace
}  // namespace callie
