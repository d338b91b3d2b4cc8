#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdlib>
#include <memory>

namespace callie {

/// Uninitialised memory for `size` elements of a trivial type, aligned to 64 bytes; large buffers to 2 MiB, with huge
/// pages asked for.
template <typename T>
class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  explicit AlignedBuffer(size_t size) { reset(size); }

  /// Contents are lost. The memory is only touched by its users.
  void reset(size_t size) {
    constexpr size_t kHuge = size_t{2} << 20;
    const size_t alignment = size * sizeof(T) >= kHuge ? kHuge : 64;
    const size_t bytes = (size * sizeof(T) + alignment - 1) / alignment * alignment;
    data_.reset(bytes == 0 ? nullptr : static_cast<T*>(std::aligned_alloc(alignment, bytes)));
    size_ = data_ ? size : 0;
    if (alignment == kHuge && data_) madvise(data_.get(), bytes, MADV_HUGEPAGE);
  }
  /// Grows when needed; contents are lost then.
  void ensure(size_t size) {
    if (size > size_) reset(size);
  }

  T* data() { return data_.get(); }
  const T* data() const { return data_.get(); }
  size_t size() const { return size_; }

 private:
  struct Free {
    void operator()(T* p) const { std::free(p); }
  };
  std::unique_ptr<T[], Free> data_;
  size_t size_ = 0;
};

}  // namespace callie
