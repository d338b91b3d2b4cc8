#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <type_traits>

#include "core/status.h"

namespace callie {

/// What AlignedBuffer stands on: `bytes` of zeroed memory aligned to 64 bytes, from 4 KiB on to 4 KiB; from 2 MiB on, whole
/// huge pages aligned to 2 MiB, asked for from the system (fewer page walks while weights stream) and not touched. Null for
/// 0 bytes and when there is no memory.
void* allocate_zeroed(size_t bytes);
void free_zeroed(void* memory, size_t bytes);

/// Zeroed memory for elements of a trivial type, as allocate_zeroed gives it. Move-only.
template <typename T>
class AlignedBuffer {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  AlignedBuffer() = default;
  /// Without memory the buffer is empty.
  explicit AlignedBuffer(size_t size) { reset(size); }

  /// For sizes that a user or a file chooses; `purpose` ends the sentence "cannot allocate N bytes of memory for".
  /// Errors: kResourceExhausted.
  static StatusOr<AlignedBuffer> allocate(size_t size, std::string_view purpose) {
    AlignedBuffer buffer(size);
    if (buffer.size() != size) {
      return resource_exhausted("cannot allocate {} bytes of memory for {}", size * sizeof(T), purpose);
    }
    return buffer;
  }

  /// Contents are lost. The memory is only touched by its users.
  void reset(size_t size) {
    data_.reset();
    data_ = std::unique_ptr<T[], Free>(static_cast<T*>(allocate_zeroed(size * sizeof(T))), Free{size * sizeof(T)});
  }
  /// Grows when needed; contents are lost then.
  void ensure(size_t size) {
    if (size > this->size()) reset(size);
  }

  T* data() { return data_.get(); }
  const T* data() const { return data_.get(); }
  size_t size() const { return data_ ? data_.get_deleter().bytes / sizeof(T) : 0; }
  std::span<T> span() { return {data(), size()}; }
  std::span<const T> span() const { return {data(), size()}; }

 private:
  struct Free {
    size_t bytes = 0;
    void operator()(T* p) const { free_zeroed(p, bytes); }
  };
  std::unique_ptr<T[], Free> data_;
};

}  // namespace callie
