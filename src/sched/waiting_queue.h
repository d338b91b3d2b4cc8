#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace callie::sched {

/// Rank of a request: smaller runs earlier. `time` is the arrival moved by its priority; `order` breaks ties.
struct WaitingKey {
  double time = 0;
  uint64_t order = 0;
  bool operator<(const WaitingKey& other) const {
    return time != other.time ? time < other.time : order < other.order;
  }
};

/// A binary heap of slots by key, from which any slot can be removed. O(log n); allocates only to grow.
class WaitingQueue {
 public:
  bool empty() const { return heap_.empty(); }
  size_t size() const { return heap_.size(); }
  int32_t front() const { return heap_[0].slot; }
  void push(int32_t slot, WaitingKey key);
  void pop() { remove(front()); }
  void remove(int32_t slot);

 private:
  struct Entry {
    WaitingKey key;
    int32_t slot;
  };
  void place(size_t at, const Entry& entry);
  void sift_up(size_t at, Entry entry);
  void sift_down(size_t at, Entry entry);

  std::vector<Entry> heap_;
  std::vector<int32_t> position_;  // of a slot in heap_
};

}  // namespace callie::sched
