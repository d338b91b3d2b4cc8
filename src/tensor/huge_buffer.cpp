#include "tensor/huge_buffer.h"

#include <sys/mman.h>

#include <utility>

namespace callie::tensor {
namespace {
constexpr uintptr_t kHugePage = uintptr_t{2} << 20;
}  // namespace

HugeBuffer::~HugeBuffer() {
  if (mapping_ != nullptr) munmap(mapping_, mapped_bytes_);
}

HugeBuffer::HugeBuffer(HugeBuffer&& other) noexcept { *this = std::move(other); }

HugeBuffer& HugeBuffer::operator=(HugeBuffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(mapping_, other.mapping_);
  std::swap(mapped_bytes_, other.mapped_bytes_);
  return *this;
}

StatusOr<HugeBuffer> HugeBuffer::allocate(int64_t bytes) {
  HugeBuffer buffer;
  if (bytes <= 0) return buffer;
  // Small buffers take plain pages: a whole huge page for each would waste memory.
  const bool huge = static_cast<uintptr_t>(bytes) >= kHugePage;
  buffer.mapped_bytes_ = static_cast<size_t>(bytes) + (huge ? kHugePage : 0);
  void* mapping = mmap(nullptr, buffer.mapped_bytes_, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapping == MAP_FAILED) {
    return resource_exhausted("cannot allocate {} bytes of memory for weights", bytes);
  }
  buffer.mapping_ = mapping;
  uintptr_t start = reinterpret_cast<uintptr_t>(mapping);
  if (huge) {
    start = (start + kHugePage - 1) & ~(kHugePage - 1);
    madvise(reinterpret_cast<void*>(start), static_cast<size_t>(bytes), MADV_HUGEPAGE);
  }
  buffer.data_ = reinterpret_cast<uint8_t*>(start);
  buffer.size_ = bytes;
  return buffer;
}

}  // namespace callie::tensor
