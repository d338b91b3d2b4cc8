#include "io/packed_format.h"

#include <algorithm>
#include <cctype>
#include <cstring>
#include <unordered_set>

#include "core/hash.h"
#include "io/byte_reader.h"
#include "io/quote.h"

namespace callie::io {
namespace {

constexpr uint64_t kMagic = 0x314B415045494C43;  // "CLIEPAK1"
constexpr size_t kIsaBytes = 64;
constexpr size_t kLabelBytes = 512;

struct RawFooter {
  uint64_t magic;
  uint64_t source;
  uint64_t data_bytes, directory_bytes, directory_hash;
  uint32_t format, reserved;
  char isa[kIsaBytes];
  char label[kLabelBytes];
};
static_assert(sizeof(RawFooter) + sizeof(uint64_t) <= kPackedFooterBytes);

uint64_t hash_of(std::string_view text) {
  return xxh64({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
}

template <typename T>
void put(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof(T));
}

std::string_view text_of(std::span<const uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

std::string encode_packed_directory(const PackedDirectory& directory) {
  std::string out;
  put<uint64_t>(out, directory.entries.size());
  for (const PackedDirectory::Entry& entry : directory.entries) {
    put<uint64_t>(out, entry.offset);
    put<uint64_t>(out, entry.size);
    put<uint64_t>(out, entry.name.size());
    out += entry.name;
    put<uint64_t>(out, entry.descriptor.size());
    out += text_of(entry.descriptor);
  }
  for (const uint64_t hash : directory.chunk_hashes) put(out, hash);
  return out;
}

std::string encode_packed_footer(const PackedFooter& footer, std::string_view directory) {
  RawFooter raw = {};
  raw.magic = kMagic;
  raw.source = footer.key.source;
  raw.data_bytes = footer.data_bytes;
  raw.directory_bytes = directory.size();
  raw.directory_hash = hash_of(directory);
  raw.format = footer.key.format;
  footer.key.isa.copy(raw.isa, kIsaBytes - 1);
  footer.key.label.copy(raw.label, kLabelBytes - 1);
  std::string out(kPackedFooterBytes - sizeof(uint64_t), '\0');
  std::memcpy(out.data(), &raw, sizeof(raw));
  put(out, hash_of(out));
  return out;
}

StatusOr<PackedFooter> parse_packed_footer(std::span<const uint8_t> last_bytes,
                                           uint64_t file_bytes) {
  if (last_bytes.size() < kPackedFooterBytes)
    return data_loss("footer: the file has {} bytes", file_bytes);
  last_bytes = last_bytes.last(kPackedFooterBytes);
  RawFooter raw;
  std::memcpy(&raw, last_bytes.data(), sizeof(raw));
  if (raw.magic != kMagic) return data_loss("footer: not a packed file of this version");
  uint64_t hash;
  std::memcpy(&hash, last_bytes.data() + kPackedFooterBytes - sizeof(hash), sizeof(hash));
  if (hash != xxh64(last_bytes.first(kPackedFooterBytes - sizeof(hash))))
    return data_loss("footer: wrong hash");
  const uint64_t content = file_bytes - kPackedFooterBytes;
  if (raw.data_bytes % kPackedAlignment != 0 || raw.data_bytes > content ||
      raw.directory_bytes != content - raw.data_bytes) {
    return data_loss("footer: {} bytes of data and {} of directory do not make {}", raw.data_bytes,
                     raw.directory_bytes, file_bytes);
  }
  PackedFooter footer;
  footer.key.source = raw.source;
  footer.key.format = raw.format;
  footer.key.isa.assign(raw.isa, strnlen(raw.isa, kIsaBytes));
  footer.key.label.assign(raw.label, strnlen(raw.label, kLabelBytes));
  footer.data_bytes = raw.data_bytes;
  footer.directory_bytes = raw.directory_bytes;
  return footer;
}

StatusOr<PackedDirectory> parse_packed_directory(std::span<const uint8_t> file,
                                                 const PackedFooter& footer) {
  const auto bytes = file.subspan(footer.data_bytes, footer.directory_bytes);
  RawFooter raw;
  std::memcpy(&raw, file.last(kPackedFooterBytes).data(), sizeof(raw));
  if (xxh64(bytes) != raw.directory_hash) return data_loss("directory: wrong hash");
  ByteReader reader(bytes);
  const auto count = reader.read<uint64_t>();
  if (!count) return data_loss("directory: empty");
  PackedDirectory directory;
  std::unordered_set<std::string_view> seen;
  for (uint64_t i = 0; i < *count; ++i) {
    const auto offset = reader.read<uint64_t>(), size = reader.read<uint64_t>();
    const auto name = reader.read_string();
    const auto descriptor = reader.read_string();
    if (!offset || !size || !name || !descriptor)
      return data_loss("directory: ends in entry {} of {}", i + 1, *count);
    if (*offset % kPackedAlignment != 0 || *offset > footer.data_bytes ||
        *size > footer.data_bytes - *offset) {
      return data_loss("blob {}: {} bytes at {} lie outside the data", quote(*name), *size,
                       *offset);
    }
    if (!seen.insert(*name).second) return data_loss("blob {}: appears twice", quote(*name));
    directory.entries.push_back(
        {*name,
         {reinterpret_cast<const uint8_t*>(descriptor->data()), descriptor->size()},
         *offset,
         *size});
  }
  const uint64_t n_chunks = (footer.data_bytes + kPackedChunkBytes - 1) / kPackedChunkBytes;
  if (reader.remaining() != n_chunks * sizeof(uint64_t))
    return data_loss("directory: not one hash for each MiB");
  for (uint64_t i = 0; i < n_chunks; ++i)
    directory.chunk_hashes.push_back(*reader.read<uint64_t>());
  return directory;
}

std::string packed_file_name(const PackedKey& key) {
  std::string isa = key.isa;
  std::replace_if(
      isa.begin(), isa.end(), [](unsigned char c) { return !std::isalnum(c); }, '_');
  return fmt::format("{:016x}-{}-{}.packed", key.source, isa, key.format);
}

}  // namespace callie::io
