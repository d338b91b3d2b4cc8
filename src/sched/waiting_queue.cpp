#include "sched/waiting_queue.h"

namespace callie::sched {

void WaitingQueue::place(size_t at, const Entry& entry) {
  heap_[at] = entry;
  position_[entry.slot] = static_cast<int32_t>(at);
}

void WaitingQueue::sift_up(size_t at, Entry entry) {
  for (; at > 0 && entry.key < heap_[(at - 1) / 2].key; at = (at - 1) / 2) place(at, heap_[(at - 1) / 2]);
  place(at, entry);
}

void WaitingQueue::sift_down(size_t at, Entry entry) {
  for (;;) {
    size_t child = 2 * at + 1;
    if (child >= heap_.size()) break;
    if (child + 1 < heap_.size() && heap_[child + 1].key < heap_[child].key) ++child;
    if (!(heap_[child].key < entry.key)) break;
    place(at, heap_[child]);
    at = child;
  }
  place(at, entry);
}

void WaitingQueue::push(int32_t slot, WaitingKey key) {
  if (position_.size() <= static_cast<size_t>(slot)) position_.resize(slot + 1, -1);
  heap_.emplace_back();
  sift_up(heap_.size() - 1, {key, slot});
}

void WaitingQueue::remove(int32_t slot) {
  const auto at = static_cast<size_t>(position_[slot]);
  position_[slot] = -1;
  const Entry last = heap_.back();
  heap_.pop_back();
  if (last.slot == slot) return;
  if (at > 0 && last.key < heap_[(at - 1) / 2].key) {
    sift_up(at, last);
  } else {
    sift_down(at, last);
  }
}

}  // namespace callie::sched
