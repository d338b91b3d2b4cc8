#include "io/packed_cache.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>

#include "core/philox.h"
#include "core/thread_pool.h"
#include "io/packed_format.h"
#include "test_files.h"

namespace callie::io {
namespace {

using testing::read_file;
using testing::TemporaryFolder;
using testing::write_file;

constexpr uint64_t kLimit = uint64_t{1} << 30;

PackedKey key_of(uint64_t source) {
  return {source, 3, "avx3_dl", "model-" + std::to_string(source)};
}

std::vector<uint8_t> noise(size_t size, uint64_t seed) {
  SequentialRng rng(seed, Purpose::kTest);
  std::vector<uint8_t> bytes(size);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(rng.next_u32());
  return bytes;
}

class PackedCacheTest : public ::testing::Test {
 protected:
  std::string write(const PackedKey& key, size_t blob_bytes, uint64_t limit = kLimit) {
    auto writer = PackedCacheWriter::create(folder_.path(), key, blob_bytes, limit);
    EXPECT_TRUE(writer.ok()) << writer.status().message();
    const auto data = noise(blob_bytes, key.source);
    const std::vector<uint8_t> descriptor = {1, 2, 3};
    EXPECT_TRUE((*writer)->add("blk.0", descriptor, data).ok());
    EXPECT_TRUE((*writer)->add("empty", {}, {}).ok());
    EXPECT_TRUE((*writer)->add("tail", {}, std::span(data).first(5)).ok());
    EXPECT_TRUE((*writer)->commit().ok());
    return folder_ / packed_file_name(key);
  }

  TemporaryFolder folder_;
  ThreadPool pool_{2};
  Context context_{&pool_};
};

TEST_F(PackedCacheTest, ReadsWhatWasWritten) {
  // Below, at and past the sizes of chunks and writes.
  for (const size_t size :
       {size_t{1}, size_t{4096}, size_t{1} << 20, (size_t{1} << 20) + 1, (size_t{5} << 20) - 3}) {
    const PackedKey key = key_of(size);
    write(key, size);
    const auto data = noise(size, size);
    for (const PackedLoad load : {PackedLoad::kAuto, PackedLoad::kMap, PackedLoad::kCopy}) {
      const auto cache = PackedCache::open(folder_.path(), key, context_, load);
      ASSERT_TRUE(cache.ok()) << cache.status().message();
      const PackedBlob* blob = cache.value()->find("blk.0");
      ASSERT_TRUE(blob);
      ASSERT_EQ(blob->data.size(), size);
      EXPECT_EQ(std::memcmp(blob->data.data(), data.data(), size), 0);
      EXPECT_EQ(reinterpret_cast<uintptr_t>(blob->data.data()) % 4096, 0u);
      EXPECT_EQ(blob->descriptor.size(), 3u);
      EXPECT_EQ(blob->descriptor[2], 3);
      EXPECT_EQ(cache.value()->find("empty")->data.size(), 0u);
      EXPECT_EQ(std::memcmp(cache.value()->find("tail")->data.data(), data.data(),
                            std::min<size_t>(5, size)),
                0);
      EXPECT_EQ(cache.value()->find("none"), nullptr);
      if (load != PackedLoad::kAuto) {
        EXPECT_EQ(cache.value()->mapped(), load == PackedLoad::kMap);
      }
    }
  }
}

TEST_F(PackedCacheTest, ServesNoOtherKey) {
  write(key_of(1), 100);
  for (const PackedKey& key :
       {PackedKey{2, 3, "avx3_dl"}, PackedKey{1, 4, "avx3_dl"}, PackedKey{1, 3, "avx2"}}) {
    EXPECT_EQ(PackedCache::open(folder_.path(), key, context_).status().code(),
              StatusCode::kNotFound);
  }
  std::filesystem::rename(folder_ / packed_file_name(key_of(1)),
                          folder_ / packed_file_name(key_of(2)));
  EXPECT_EQ(PackedCache::open(folder_.path(), key_of(2), context_).status().code(),
            StatusCode::kDataLoss);
}

TEST_F(PackedCacheTest, BrokenFilesAreRefusedAndRemoved) {
  const std::string path = write(key_of(1), 10000);
  const std::string good = read_file(path);
  const auto refused = [&](const std::string& bytes) {
    write_file(path, bytes);
    bool all = true;
    for (const PackedLoad load : {PackedLoad::kMap, PackedLoad::kCopy}) {
      write_file(path, bytes);
      const auto cache = PackedCache::open(folder_.path(), key_of(1), context_, load);
      all &= cache.status().code() == StatusCode::kDataLoss && !std::filesystem::exists(path);
    }
    return all;
  };
  for (size_t size = 0; size < good.size(); size += 509)
    EXPECT_TRUE(refused(good.substr(0, size))) << size;
  SequentialRng rng(7, Purpose::kTest);
  for (int i = 0; i < 200; ++i) {
    std::string flipped = good;
    const size_t bit = rng.next_below(good.size() * 8);
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    EXPECT_TRUE(refused(flipped)) << bit;
  }
  EXPECT_FALSE(refused(good));
}

TEST_F(PackedCacheTest, NothingIsLeftWithoutCommit) {
  {
    auto writer = PackedCacheWriter::create(folder_.path(), key_of(1), 10, kLimit);
    ASSERT_TRUE(writer.ok());
    ASSERT_TRUE((*writer)->add("a", {}, noise(10, 1)).ok());
    EXPECT_FALSE((*writer)->add("a", {}, noise(10, 1)).ok());
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder_.path()));
}

TEST_F(PackedCacheTest, LimitRemovesTheLeastRecentlyUsed) {
  constexpr size_t kBlob = 100000;
  std::vector<std::string> paths;
  for (uint64_t i = 1; i <= 3; ++i) {
    paths.push_back(write(key_of(i), kBlob));
    const timespec times[2] = {{static_cast<time_t>(1000 * i), 0},
                               {static_cast<time_t>(1000 * i), 0}};
    utimensat(AT_FDCWD, paths.back().c_str(), times, 0);
  }
  ASSERT_TRUE(
      PackedCache::open(folder_.path(), key_of(1), context_).ok());  // now the last one used
  const auto listed = list_packed_cache(folder_.path());
  ASSERT_EQ(listed.size(), 3u);
  EXPECT_EQ(listed[0].label, "model-1");
  EXPECT_EQ(listed[1].label, "model-3");
  EXPECT_EQ(listed[0].isa, "avx3_dl");
  EXPECT_EQ(listed[0].format, 3u);
  write(key_of(4), kBlob, 3 * (kBlob + 20000));
  EXPECT_TRUE(std::filesystem::exists(paths[0]));
  EXPECT_FALSE(std::filesystem::exists(paths[1]));
  EXPECT_TRUE(std::filesystem::exists(paths[2]));
  EXPECT_EQ(PackedCacheWriter::create(folder_.path(), key_of(5), 1000, 999).status().code(),
            StatusCode::kResourceExhausted);
  EXPECT_EQ(PackedCacheWriter::create(folder_.path(), key_of(5), uint64_t{1} << 60, UINT64_MAX)
                .status()
                .code(),
            StatusCode::kResourceExhausted);
}

TEST_F(PackedCacheTest, ClearRemovesFilesAndAbandonedWrites) {
  write(key_of(1), 1000);
  write_file(folder_ / "x.packed.tmp.999999999", std::string("rest"));
  write_file(folder_ / "x.packed.tmp." + std::to_string(getpid()), std::string("being written"));
  write_file(folder_ / "notes.txt", std::string("keep"));
  const auto freed = clear_packed_cache(folder_.path());
  ASSERT_TRUE(freed.ok());
  EXPECT_GT(freed.value(), 1000u);
  EXPECT_TRUE(list_packed_cache(folder_.path()).empty());
  EXPECT_FALSE(std::filesystem::exists(folder_ / "x.packed.tmp.999999999"));
  EXPECT_TRUE(std::filesystem::exists(folder_ / "notes.txt"));
  EXPECT_TRUE(std::filesystem::exists(folder_ / "x.packed.tmp." + std::to_string(getpid())));
  EXPECT_EQ(clear_packed_cache(folder_ / "none").value(), 0u);
}

}  // namespace
}  // namespace callie::io
