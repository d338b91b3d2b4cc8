#include "io/partial_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <utility>

#include "core/atomic_file.h"
#include "core/json.h"
#include "io/sha256.h"

namespace callie::io {

StatusOr<PartialFile> PartialFile::open(const std::string& path) {
  std::error_code problem;
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  if (!folder.empty()) std::filesystem::create_directories(folder, problem);
  if (problem)
    return invalid_argument("{}: cannot make the folder: {}", folder.string(), problem.message());
  PartialFile file;
  file.path_ = path;
  file.part_path_ = path + ".part";
  file.record_path_ = path + ".part.json";
  file.fd_ = ::open(file.part_path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (file.fd_ < 0)
    return invalid_argument("{}: cannot write: {}", file.part_path_, std::strerror(errno));
  if (flock(file.fd_, LOCK_EX | LOCK_NB) != 0) {
    return error(StatusCode::kFailedPrecondition, "{}: another process is downloading it", path);
  }
  CALLIE_RETURN_IF_ERROR(file.refresh());
  return file;
}

PartialFile::PartialFile(PartialFile&& other) noexcept
    : path_(std::move(other.path_)),
      part_path_(std::move(other.part_path_)),
      record_path_(std::move(other.record_path_)),
      fd_(std::exchange(other.fd_, -1)),
      size_(other.size_) {}

PartialFile::~PartialFile() {
  if (fd_ < 0) return;
  if (size_ == 0) discard();
  if (fd_ >= 0) ::close(fd_);
}

std::optional<PartialFile::Source> PartialFile::source() const {
  const auto text = read_text_file(record_path_, size_t{1} << 20);
  if (!text.ok()) return std::nullopt;
  try {
    const Json json = Json::parse(text.value());
    return Source{json.at("url"),    json.at("validator"), json.at("total"),
                  json.at("sha256"), json.at("parts"),     json.at("bytes")};
  } catch (const Json::exception&) {
    return std::nullopt;  // written by another version, or damaged: as good as none
  }
}

Status PartialFile::set_source(const Source& source) const {
  const Json json = {{"url", source.url},     {"validator", source.validator},
                     {"total", source.total}, {"sha256", source.sha256},
                     {"parts", source.parts}, {"bytes", source.bytes}};
  return write_text_file(record_path_, json.dump(-1, ' ', false, Json::error_handler_t::replace));
}

Status PartialFile::truncate(uint64_t size) {
  if (ftruncate(fd_, static_cast<off_t>(size)) != 0) {
    return resource_exhausted("{}: cannot write: {}", part_path_, std::strerror(errno));
  }
  size_ = size;
  return ok_status();
}

Status PartialFile::append(std::span<const uint8_t> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(size_));
    if (n > 0) {
      size_ += static_cast<uint64_t>(n);
      bytes = bytes.subspan(static_cast<size_t>(n));
    } else if (n == 0 || errno != EINTR) {
      return resource_exhausted("{}: cannot write: {}", part_path_, std::strerror(errno));
    }
  }
  return ok_status();
}

Status PartialFile::refresh() {
  struct stat info;
  if (fstat(fd_, &info) != 0 || !S_ISREG(info.st_mode))
    return data_loss("{}: not a regular file", part_path_);
  size_ = static_cast<uint64_t>(info.st_size);
  return ok_status();
}

StatusOr<std::string> PartialFile::sha256() const { return sha256_file(part_path_); }

Status PartialFile::finish() {
  if (fsync(fd_) != 0 || std::rename(part_path_.c_str(), path_.c_str()) != 0) {
    return resource_exhausted("{}: cannot write: {}", path_, std::strerror(errno));
  }
  unlink(record_path_.c_str());
  ::close(std::exchange(fd_, -1));
  return ok_status();
}

void PartialFile::discard() {
  unlink(part_path_.c_str());
  unlink(record_path_.c_str());
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  size_ = 0;
}

}  // namespace callie::io
