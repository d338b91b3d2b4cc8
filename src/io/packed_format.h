#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"
#include "io/packed_cache.h"

// A packed file: the blobs, each at a multiple of 4 KiB; the directory; a footer of 4 KiB that says
// where they are. The blobs come first so that the file's huge pages line up with the mapping's.

namespace callie::io {

constexpr uint64_t kPackedAlignment = 4096;
constexpr uint64_t kPackedFooterBytes = 4096;
constexpr uint64_t kPackedChunkBytes = uint64_t{1} << 20;  ///< one hash for each

/// The last 4 KiB of a packed file, as far as it is used.
struct PackedFooter {
  PackedKey key;
  uint64_t data_bytes = 0;  ///< a multiple of 4 KiB
  uint64_t directory_bytes = 0;
};

/// Where the blobs are; offsets from the start of the file.
struct PackedDirectory {
  struct Entry {
    std::string_view name;
    std::span<const uint8_t> descriptor;
    uint64_t offset, size;
  };
  std::vector<Entry> entries;
  std::vector<uint64_t> chunk_hashes;  ///< XXH64 of each chunk of the data, the last one shorter
};

std::string encode_packed_directory(const PackedDirectory& directory);
/// Exactly kPackedFooterBytes. `directory` is the encoded one; its hash stands in the footer.
std::string encode_packed_footer(const PackedFooter& footer, std::string_view directory);

/// Errors of both: kDataLoss ("field: problem").
StatusOr<PackedFooter> parse_packed_footer(std::span<const uint8_t> last_bytes,
                                           uint64_t file_bytes);
/// `file` is the whole file. Checks the directory's hash, and that every blob lies inside the data.
StatusOr<PackedDirectory> parse_packed_directory(std::span<const uint8_t> file,
                                                 const PackedFooter& footer);

/// Name of the file for `key` in the cache folder.
std::string packed_file_name(const PackedKey& key);

}  // namespace callie::io
