#pragma once

#include <cstdint>
#include <span>

#include "core/status.h"

namespace callie::tensor {

/// Zeroed anonymous memory, 2 MiB-aligned, on huge pages where the system gives them (fewer page
/// walks while weights stream). Move-only; freed by the destructor.
class HugeBuffer {
 public:
  HugeBuffer() = default;
  ~HugeBuffer();
  HugeBuffer(HugeBuffer&& other) noexcept;
  HugeBuffer& operator=(HugeBuffer&& other) noexcept;

  /// Errors: kResourceExhausted (names the bytes).
  static StatusOr<HugeBuffer> allocate(int64_t bytes);

  uint8_t* data() const { return data_; }
  int64_t size() const { return size_; }
  std::span<uint8_t> span() const { return {data_, static_cast<size_t>(size_)}; }

 private:
  uint8_t* data_ = nullptr;
  int64_t size_ = 0;
  void* mapping_ = nullptr;
  size_t mapped_bytes_ = 0;
};

}  // namespace callie::tensor
