#pragma once

#include <cstdint>
#include <vector>

namespace callie::plan {

/// A double-ended queue in one vector; allocates only to grow.
template <typename T>
class Ring {
 public:
  bool empty() const { return size_ == 0; }
  int32_t size() const { return static_cast<int32_t>(size_); }
  T& operator[](size_t i) { return data_[(head_ + i) & (data_.size() - 1)]; }
  const T& operator[](size_t i) const { return data_[(head_ + i) & (data_.size() - 1)]; }
  const T& front() const { return data_[head_]; }
  void push_back(T value) {
    if (size_ == data_.size()) grow();
    data_[(head_ + size_++) & (data_.size() - 1)] = value;
  }
  void push_front(T value) {
    if (size_ == data_.size()) grow();
    head_ = (head_ - 1) & (data_.size() - 1);
    data_[head_] = value;
    ++size_;
  }
  void pop_front() {
    head_ = (head_ + 1) & (data_.size() - 1);
    --size_;
  }
  void pop_back() { --size_; }
  /// Inserts before position `at`; O(size - at).
  void insert(size_t at, T value) {
    push_back(value);
    for (size_t i = size_ - 1; i > at; --i) (*this)[i] = (*this)[i - 1];
    (*this)[at] = value;
  }
  /// Removes the element at `at`; O(size - at).
  void erase(size_t at) {
    for (size_t i = at; i + 1 < size_; ++i) (*this)[i] = (*this)[i + 1];
    --size_;
  }
  void clear() { head_ = size_ = 0; }

 private:
  void grow() {
    std::vector<T> bigger(data_.empty() ? 16 : data_.size() * 2);
    for (size_t i = 0; i < size_; ++i) bigger[i] = (*this)[i];
    data_.swap(bigger);
    head_ = 0;
  }

  std::vector<T> data_;
  size_t head_ = 0, size_ = 0;
};

}  // namespace callie::plan
