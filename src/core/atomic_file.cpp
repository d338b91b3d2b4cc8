#include "core/atomic_file.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "core/mapped_file.h"

namespace callie {

StatusOr<AtomicFile> AtomicFile::create(const std::string& path) {
  std::string temporary = fmt::format("{}.tmp.{}", path, getpid());
  std::FILE* file = std::fopen(temporary.c_str(), "wb");
  if (!file) return invalid_argument("{}: cannot write: {}", path, std::strerror(errno));
  return AtomicFile(path, std::move(temporary), file);
}

AtomicFile::AtomicFile(std::string path, std::string temporary, std::FILE* file)
    : path_(std::move(path)), temporary_(std::move(temporary)), file_(file) {}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept
    : path_(std::move(other.path_)), temporary_(std::move(other.temporary_)), file_(std::exchange(other.file_, nullptr)) {}

AtomicFile::~AtomicFile() {
  if (file_) {
    std::fclose(file_);
    unlink(temporary_.c_str());
  }
}

Status AtomicFile::write(std::span<const uint8_t> bytes) {
  if (std::fwrite(bytes.data(), 1, bytes.size(), file_) != bytes.size()) {
    return resource_exhausted("{}: cannot write: {}", path_, std::strerror(errno));
  }
  return ok_status();
}

Status AtomicFile::write(std::string_view text) {
  return write(std::span(reinterpret_cast<const uint8_t*>(text.data()), text.size()));
}

Status AtomicFile::commit(bool durable) {
  bool failed = std::fflush(file_) != 0 || (durable && fsync(fileno(file_)) != 0);
  failed |= std::fclose(file_) != 0;
  file_ = nullptr;
  if (failed || std::rename(temporary_.c_str(), path_.c_str()) != 0) {
    const int reason = errno;
    unlink(temporary_.c_str());
    return resource_exhausted("{}: cannot write: {}", path_, std::strerror(reason));
  }
  return ok_status();
}

Status write_text_file(const std::string& path, std::string_view text, bool durable) {
  CALLIE_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::create(path));
  CALLIE_RETURN_IF_ERROR(file.write(text));
  return file.commit(durable);
}

StatusOr<std::string> read_text_file(const std::string& path, size_t max_bytes) {
  CALLIE_ASSIGN_OR_RETURN(MappedFile file, MappedFile::open(path));
  if (file.bytes().size() > max_bytes) {
    return resource_exhausted("{}: {} bytes, at most {} are read", path, file.bytes().size(), max_bytes);
  }
  return std::string(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
}

}  // namespace callie
