#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <unordered_set>

#include "core/atomic_file.h"
#include "core/hash.h"
#include "io/packed_cache.h"
#include "io/packed_format.h"
#include "io/quote.h"

namespace callie::io {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kSpareBytes = uint64_t{256} << 20;
/// Size of one write: large, aligned writes let the page cache keep the file in huge pages, which
/// are mapped later.
constexpr size_t kWriteBytes = size_t{2} << 20;
static_assert(kWriteBytes % kPackedChunkBytes == 0);

}  // namespace

struct PackedCacheWriter::State {
  State(std::string folder_, PackedKey key, uint64_t limit, std::string path_, AtomicFile file_)
      : folder(std::move(folder_)),
        path(std::move(path_)),
        limit_bytes(limit),
        file(std::move(file_)) {
    footer.key = std::move(key);
    buffer.reserve(kWriteBytes);
  }

  Status write_all(std::string_view text) {
    while (!text.empty()) {
      const ssize_t n = ::write(fileno(file.file()), text.data(), text.size());
      if (n > 0) {
        text.remove_prefix(static_cast<size_t>(n));
      } else if (n == 0 || errno != EINTR) {
        return resource_exhausted("{}: cannot write: {}", path, std::strerror(errno));
      }
    }
    return ok_status();
  }

  /// Writes the buffer, which is full or the last one, and notes the hashes of its chunks.
  Status flush() {
    const std::span<const uint8_t> bytes(reinterpret_cast<const uint8_t*>(buffer.data()),
                                         buffer.size());
    for (uint64_t at = 0; at < bytes.size(); at += kPackedChunkBytes) {
      hashes.push_back(xxh64(bytes.subspan(at, std::min(kPackedChunkBytes, bytes.size() - at))));
    }
    CALLIE_RETURN_IF_ERROR(write_all(buffer));
    buffer.clear();
    return ok_status();
  }

  Status append(std::string_view text) {
    while (!text.empty()) {
      const size_t part = std::min(text.size(), kWriteBytes - buffer.size());
      buffer += text.substr(0, part);
      text.remove_prefix(part);
      if (buffer.size() == kWriteBytes) CALLIE_RETURN_IF_ERROR(flush());
    }
    return ok_status();
  }

  struct Blob {
    std::string name, descriptor;
    uint64_t offset, size;
  };

  std::string folder, path;
  uint64_t limit_bytes;
  AtomicFile file;
  PackedFooter footer;
  std::string buffer;
  std::vector<uint64_t> hashes;
  std::vector<Blob> blobs;
  std::unordered_set<std::string> names;
};

PackedCacheWriter::PackedCacheWriter() = default;
PackedCacheWriter::~PackedCacheWriter() = default;

StatusOr<std::unique_ptr<PackedCacheWriter>> PackedCacheWriter::create(const std::string& folder,
                                                                       const PackedKey& key,
                                                                       uint64_t expected_bytes,
                                                                       uint64_t limit_bytes) {
  std::error_code problem;
  fs::create_directories(folder, problem);
  if (problem) return invalid_argument("{}: cannot make the folder: {}", folder, problem.message());
  if (expected_bytes > limit_bytes) {
    return resource_exhausted("{}: {} bytes are more than the packed cache may hold ({})", folder,
                              expected_bytes, limit_bytes);
  }
  struct statvfs disk;
  if (statvfs(folder.c_str(), &disk) == 0 &&
      uint64_t{disk.f_bavail} * disk.f_frsize < expected_bytes + kSpareBytes) {
    return resource_exhausted("{}: {} bytes would leave the disk full", folder, expected_bytes);
  }
  std::string path = (fs::path(folder) / packed_file_name(key)).string();
  CALLIE_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::create(path));
  std::unique_ptr<PackedCacheWriter> writer(new PackedCacheWriter());
  writer->state_ =
      std::make_unique<State>(folder, key, limit_bytes, std::move(path), std::move(file));
  return writer;
}

Status PackedCacheWriter::add(std::string_view name, std::span<const uint8_t> descriptor,
                              std::span<const uint8_t> data) {
  State& state = *state_;
  if (!state.names.emplace(name).second)
    return invalid_argument("{}: blob {} given twice", state.path, quote(name));
  state.blobs.push_back({std::string(name),
                         {reinterpret_cast<const char*>(descriptor.data()), descriptor.size()},
                         state.footer.data_bytes,
                         data.size()});
  CALLIE_RETURN_IF_ERROR(state.append({reinterpret_cast<const char*>(data.data()), data.size()}));
  const uint64_t padding = (kPackedAlignment - data.size() % kPackedAlignment) % kPackedAlignment;
  state.footer.data_bytes += data.size() + padding;
  return state.append(std::string(padding, '\0'));
}

Status PackedCacheWriter::commit() {
  State& state = *state_;
  CALLIE_RETURN_IF_ERROR(state.flush());
  PackedDirectory directory;
  directory.chunk_hashes = state.hashes;
  for (const State::Blob& blob : state.blobs) {
    directory.entries.push_back(
        {blob.name,
         {reinterpret_cast<const uint8_t*>(blob.descriptor.data()), blob.descriptor.size()},
         blob.offset,
         blob.size});
  }
  const std::string text = encode_packed_directory(directory);
  CALLIE_RETURN_IF_ERROR(state.write_all(text));
  CALLIE_RETURN_IF_ERROR(state.write_all(encode_packed_footer(state.footer, text)));
  // Not forced to the disk: the hashes tell a file that a power cut broke.
  CALLIE_RETURN_IF_ERROR(state.file.commit(/*durable=*/false));

  uint64_t total = 0;
  for (const PackedCacheEntry& entry : list_packed_cache(state.folder)) {
    total += entry.bytes;
    if (total > state.limit_bytes && entry.path != state.path) {
      ::unlink(entry.path.c_str());
      total -= entry.bytes;
    }
  }
  return ok_status();
}

}  // namespace callie::io
