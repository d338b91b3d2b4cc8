#include "io/packed_cache.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <cinttypes>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "core/hash.h"
#include "core/thread_pool.h"
#include "io/packed_format.h"

namespace callie::io {
namespace {

namespace fs = std::filesystem;

/// Whether most of a mapping is backed by huge pages of the page cache, as the system tells it;
/// false where it does not.
bool mapped_hugely(std::span<const uint8_t> mapping) {
  std::FILE* table = std::fopen("/proc/self/smaps", "re");
  if (!table) return false;
  char line[512];
  bool inside = false;
  uint64_t huge_kib = 0;
  while (std::fgets(line, sizeof(line), table)) {
    uint64_t begin = 0, end = 0, kib = 0;
    if (std::sscanf(line, "%" SCNx64 "-%" SCNx64 " ", &begin, &end) == 2) {
      const auto address = reinterpret_cast<uintptr_t>(mapping.data());
      inside = address >= begin && address < end;
    } else if (inside && std::sscanf(line, "FilePmdMapped: %" SCNu64, &kib) == 1) {
      huge_kib = kib;
      break;
    }
  }
  std::fclose(table);
  return huge_kib * 1024 >= mapping.size() / 2;
}

/// Hashes every chunk with all threads; touching them also maps their pages. False when one
/// differs.
bool chunks_match(std::span<const uint8_t> data, const std::vector<uint64_t>& hashes,
                  ThreadPool& pool) {
  std::atomic<bool> all_match = true;
  pool.parallel_for(std::ssize(hashes), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end && all_match; ++i) {
      const auto offset = static_cast<uint64_t>(i) * kPackedChunkBytes;
      const auto chunk = data.subspan(offset, std::min(kPackedChunkBytes, data.size() - offset));
      if (xxh64(chunk) != hashes[static_cast<size_t>(i)]) all_match = false;
    }
  });
  return all_match;
}

/// Reads the first destination.size() bytes of a file with all threads.
bool read_in_parallel(const std::string& path, std::span<uint8_t> destination, ThreadPool& pool) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  std::atomic<bool> fine = true;
  const auto n_chunks =
      static_cast<int64_t>((destination.size() + kPackedChunkBytes - 1) / kPackedChunkBytes);
  pool.parallel_for(n_chunks, [&](int64_t begin, int64_t end) {
    uint64_t at = static_cast<uint64_t>(begin) * kPackedChunkBytes;
    const uint64_t stop =
        std::min(static_cast<uint64_t>(end) * kPackedChunkBytes, uint64_t{destination.size()});
    while (at < stop && fine) {
      const ssize_t n = pread(fd, destination.data() + at, std::min(kPackedChunkBytes, stop - at),
                              static_cast<off_t>(at));
      if (n > 0) {
        at += static_cast<uint64_t>(n);
      } else if (n == 0 || errno != EINTR) {
        fine = false;
      }
    }
  });
  ::close(fd);
  return fine;
}

StatusOr<PackedFooter> read_footer(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return not_found("{}: no such file", path);
  struct stat info;
  std::vector<uint8_t> last(kPackedFooterBytes);
  const bool read =
      fstat(fd, &info) == 0 && info.st_size >= static_cast<off_t>(last.size()) &&
      pread(fd, last.data(), last.size(), info.st_size - static_cast<off_t>(last.size())) ==
          static_cast<ssize_t>(last.size());
  ::close(fd);
  if (!read) return data_loss("{}: no packed file", path);
  return parse_packed_footer(last, static_cast<uint64_t>(info.st_size));
}

/// The process that is writing a temporary file "NAME.tmp.PID"; 0 for other names.
pid_t writer_of(const fs::path& path) {
  const std::string name = path.filename().string();
  const size_t at = name.find(".packed.tmp.");
  pid_t pid = 0;
  if (at != std::string::npos)
    std::from_chars(name.data() + at + 12, name.data() + name.size(), pid);
  return pid;
}

}  // namespace

StatusOr<std::unique_ptr<PackedCache>> PackedCache::open(const std::string& folder,
                                                         const PackedKey& key,
                                                         const Context& context, PackedLoad load) {
  const std::string path = (fs::path(folder) / packed_file_name(key)).string();
  const auto broken = [&](const Status& reason) {
    ::unlink(path.c_str());
    return reason.with_context(path);
  };
  auto cache = std::make_unique<PackedCache>();
  CALLIE_ASSIGN_OR_RETURN(cache->file_, MappedFile::open(path));
  const auto bytes = cache->file_.bytes();
  auto footer = parse_packed_footer(bytes, bytes.size());
  if (!footer.ok()) return broken(footer.status());
  if (footer->key.source != key.source || footer->key.format != key.format ||
      footer->key.isa != key.isa) {
    return broken(data_loss("footer: made for another source or layout than its name says"));
  }
  auto directory = parse_packed_directory(bytes, *footer);
  if (!directory.ok()) return broken(directory.status());

  auto data = bytes.first(footer->data_bytes);
  if (!data.empty()) madvise(const_cast<uint8_t*>(data.data()), data.size(), MADV_WILLNEED);
  bool copy = load == PackedLoad::kCopy;
  if (!copy) {
    if (!chunks_match(data, directory->chunk_hashes, *context.pool))
      return broken(data_loss("data: wrong hash"));
    copy = load == PackedLoad::kAuto && !mapped_hugely(bytes);
  }
  if (copy && !data.empty()) {
    CALLIE_ASSIGN_OR_RETURN(cache->copy_, AlignedBuffer<uint8_t>::allocate(data.size(), "weights"));
    if (!read_in_parallel(path, cache->copy_.span(), *context.pool))
      return broken(data_loss("data: cannot be read"));
    cache->file_.release(data);
    data = cache->copy_.span();
    if (!chunks_match(data, directory->chunk_hashes, *context.pool))
      return broken(data_loss("data: wrong hash"));
  }
  for (const PackedDirectory::Entry& entry : directory->entries) {
    cache->blobs_.push_back(
        {std::string(entry.name), entry.descriptor, data.subspan(entry.offset, entry.size)});
  }
  for (size_t i = 0; i < cache->blobs_.size(); ++i)
    cache->by_name_.emplace(cache->blobs_[i].name, i);
  utimensat(AT_FDCWD, path.c_str(), nullptr,
            0);  // "used now", for the eviction; a read-only cache goes without
  return cache;
}

const PackedBlob* PackedCache::find(std::string_view name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : &blobs_[found->second];
}

std::vector<PackedCacheEntry> list_packed_cache(const std::string& folder) {
  std::vector<PackedCacheEntry> entries;
  std::error_code ignored;
  for (const auto& item : fs::directory_iterator(folder, ignored)) {
    if (item.path().extension() != ".packed") continue;
    const std::string path = item.path().string();
    const auto footer = read_footer(path);
    struct stat info;
    if (!footer.ok() || stat(path.c_str(), &info) != 0) continue;
    const PackedKey& key = footer.value().key;
    entries.push_back({path, key.label, key.isa, key.format, static_cast<uint64_t>(info.st_size),
                       info.st_mtim.tv_sec});
  }
  std::sort(
      entries.begin(), entries.end(), [](const PackedCacheEntry& a, const PackedCacheEntry& b) {
        return a.last_used_s != b.last_used_s ? a.last_used_s > b.last_used_s : a.path < b.path;
      });
  return entries;
}

StatusOr<uint64_t> clear_packed_cache(const std::string& folder) {
  uint64_t freed = 0;
  std::error_code problem;
  for (const auto& item : fs::directory_iterator(folder, problem)) {
    const pid_t writer = writer_of(item.path());
    const bool abandoned = writer > 0 && kill(writer, 0) != 0 && errno == ESRCH;
    if (item.path().extension() != ".packed" && !abandoned) continue;
    const uint64_t bytes = item.file_size(problem);
    if (!fs::remove(item.path(), problem) || problem) {
      return invalid_argument("{}: cannot remove: {}", item.path().string(), problem.message());
    }
    freed += bytes;
  }
  return freed;
}

}  // namespace callie::io
