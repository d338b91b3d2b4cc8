#include "io/source_files.h"

#include <sys/stat.h>

#include <array>

namespace callie::io {

StatusOr<std::span<const uint8_t>> SourceFiles::add(const std::string& path) {
  CALLIE_ASSIGN_OR_RETURN(MappedFile file, MappedFile::open(path));
  files_.push_back(std::move(file));
  return files_.back().bytes();
}

Status SourceFiles::identify(const std::string& path, std::span<const uint8_t> header) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) return not_found("{}: no such file", path);
  const std::array<int64_t, 4> facts = {
      static_cast<int64_t>(info.st_size), static_cast<int64_t>(info.st_mtim.tv_sec),
      static_cast<int64_t>(info.st_mtim.tv_nsec), static_cast<int64_t>(header.size())};
  hash_.update({reinterpret_cast<const uint8_t*>(facts.data()), sizeof(facts)});
  hash_.update(header);
  return ok_status();
}

void SourceFiles::release(std::span<const uint8_t> part) const {
  for (const MappedFile& file : files_) {
    const auto bytes = file.bytes();
    if (part.data() >= bytes.data() && part.data() < bytes.data() + bytes.size())
      file.release(part);
  }
}

}  // namespace callie::io
