#include <string>

#include "io/packed_format.h"

/// Footer and directory of a file of the packed cache: the bytes as a whole file, and, since no mutation keeps their
/// hashes, as the directory of an otherwise right file.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace callie::io;
  const auto read = [](std::span<const uint8_t> file) -> uint64_t {
    const auto footer = parse_packed_footer(file, file.size());
    if (!footer.ok()) return 0;
    const auto directory = parse_packed_directory(file, *footer);
    if (!directory.ok()) return 0;
    uint64_t sum = directory->chunk_hashes.size();
    for (const auto& entry : directory->entries) {
      if (entry.size > 0) sum += file[entry.offset] + file[entry.offset + entry.size - 1];
    }
    return sum;
  };
  const std::string directory(reinterpret_cast<const char*>(data), size);
  PackedFooter footer;
  footer.data_bytes = 2 * kPackedAlignment;
  const std::string file = std::string(footer.data_bytes, 'x') + directory + encode_packed_footer(footer, directory);
  const uint64_t sum = read({data, size}) + read({reinterpret_cast<const uint8_t*>(file.data()), file.size()});
  return sum == UINT64_MAX;  // every blob must lie inside the file
}
