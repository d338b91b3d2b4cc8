#include "core/aligned_buffer.h"

#include <sys/mman.h>

#include <cstdlib>
#include <cstring>

namespace callie {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;
constexpr size_t kPage = 4096;
constexpr size_t kLine = 64;

size_t rounded(size_t bytes, size_t unit) { return (bytes + unit - 1) / unit * unit; }

}  // namespace

void* allocate_zeroed(size_t bytes) {
  if (bytes == 0) return nullptr;
  if (bytes < kHugePage) {
    const size_t alignment = bytes < kPage ? kLine : kPage;
    void* memory = std::aligned_alloc(alignment, rounded(bytes, alignment));
    if (memory) std::memset(memory, 0, bytes);
    return memory;
  }
  // A mapping is aligned to small pages only: map one huge page more and give back both ends.
  const size_t length = rounded(bytes, kHugePage);
  void* mapping = mmap(nullptr, length + kHugePage, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapping == MAP_FAILED) return nullptr;
  char* const begin = static_cast<char*>(mapping);
  const size_t head = (kHugePage - reinterpret_cast<uintptr_t>(mapping) % kHugePage) % kHugePage;
  if (head > 0) munmap(begin, head);
  munmap(begin + head + length, kHugePage - head);
  madvise(begin + head, length, MADV_HUGEPAGE);
  return begin + head;
}

void free_zeroed(void* memory, size_t bytes) {
  if (bytes < kHugePage) {
    std::free(memory);
  } else {
    munmap(memory, rounded(bytes, kHugePage));
  }
}

}  // namespace callie
