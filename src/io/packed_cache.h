#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/aligned_buffer.h"
#include "core/context.h"
#include "core/mapped_file.h"
#include "core/status.h"

namespace callie::io {

/// What a file of the packed cache was made from and for. A file serves only a key that is equal in
/// all of it, the label aside.
struct PackedKey {
  uint64_t source = 0;  ///< Checkpoint::fingerprint()
  uint32_t format = 0;  ///< version of the packed layout
  std::string isa;      ///< instruction set that the layout is for, such as "avx3_dl"
  std::string label;    ///< shown in listings: the model's name or path
};

/// One named piece of packed memory with a small descriptor of the caller's own.
struct PackedBlob {
  std::string name;
  std::span<const uint8_t> descriptor;
  std::span<const uint8_t> data;  ///< at a multiple of 4 KiB
};

/// How a packed file's bytes are brought into memory.
enum class PackedLoad {
  kAuto,  ///< mapped where the page cache holds it in huge pages, else copied
  kMap,   ///< mapped in place: no copy, shared between processes
  kCopy,  ///< read by all threads into huge pages
};

/// A file of the packed cache, in memory. Its blobs stay valid as long as the object.
class PackedCache {
 public:
  /// Loads the file for `key` from `folder`, checks the hash of every MiB of it, and marks it as
  /// used now. Errors: kNotFound (none for this key), kDataLoss (broken; the file has been
  /// removed), kResourceExhausted (memory).
  static StatusOr<std::unique_ptr<PackedCache>> open(const std::string& folder,
                                                     const PackedKey& key, const Context& context,
                                                     PackedLoad load = PackedLoad::kAuto);

  /// nullptr when there is none of that name.
  const PackedBlob* find(std::string_view name) const;
  const std::vector<PackedBlob>& blobs() const { return blobs_; }
  /// Whether the bytes are the mapped file itself rather than a copy.
  bool mapped() const { return copy_.size() == 0; }

 private:
  MappedFile file_;
  AlignedBuffer<uint8_t> copy_;
  std::vector<PackedBlob> blobs_;
  std::unordered_map<std::string_view, size_t> by_name_;
};

/// Writes a file of the packed cache. It appears when commit() succeeds; destroyed before, it
/// leaves nothing.
class PackedCacheWriter {
 public:
  /// `expected_bytes` is the sum of the blobs. Errors: kResourceExhausted (more than `limit_bytes`,
  /// or less than that and 256 MiB are free on the disk), kInvalidArgument (the folder cannot be
  /// made).
  static StatusOr<std::unique_ptr<PackedCacheWriter>> create(const std::string& folder,
                                                             const PackedKey& key,
                                                             uint64_t expected_bytes,
                                                             uint64_t limit_bytes);
  ~PackedCacheWriter();

  /// Appends a blob. Errors: kResourceExhausted (disk full), kInvalidArgument (a name given twice).
  Status add(std::string_view name, std::span<const uint8_t> descriptor,
             std::span<const uint8_t> data);
  /// Ends the file, and removes the files that were used least recently until the folder keeps to
  /// the limit. Errors: kResourceExhausted.
  Status commit();

 private:
  PackedCacheWriter();
  struct State;
  std::unique_ptr<State> state_;
};

/// A file of the packed cache, for listings.
struct PackedCacheEntry {
  std::string path, label, isa;
  uint32_t format = 0;
  uint64_t bytes = 0;
  int64_t last_used_s = 0;  ///< Unix time
};

/// The files in `folder`, the one used last first; empty when there is no such folder. Files that
/// are no packed files are left out.
std::vector<PackedCacheEntry> list_packed_cache(const std::string& folder);

/// Removes every file that list_packed_cache names, and what broken writes left. Returns the bytes
/// that were freed. Errors: kInvalidArgument (a file cannot be removed).
StatusOr<uint64_t> clear_packed_cache(const std::string& folder);

}  // namespace callie::io
