#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "plan/types.h"

namespace callie::plan {

/// Kinds of events, in the order in which those of one instant are handled.
enum class EventType : uint8_t {
  kRepair,
  kFailure,
  kRetry,
  kFlow,      ///< a link's earliest transfer may be complete
  kStation,   ///< a server of a station finishes its batch
  kTimer,     ///< a client or station looks again
  kScale,     ///< the autoscaler looks
  kReady,     ///< a machine has started
  kSnapshot,  ///< the router's view is refreshed
  kStepEnd,
  kSample,
};

/// Total order (time, type, id, sequence): runs are equal byte for byte, however steps are merged.
struct Event {
  Ns t;
  EventType type;
  uint32_t id;
  uint32_t generation;  ///< ignored by its owner when no longer current
  uint64_t sequence;

  bool before(const Event& other) const {
    if (t != other.t) return t < other.t;
    if (type != other.type) return type < other.type;
    if (id != other.id) return id < other.id;
    return sequence < other.sequence;
  }
};

/// A binary heap; allocates only to grow.
class EventQueue {
 public:
  bool empty() const { return heap_.empty(); }
  const Event& top() const { return heap_.front(); }
  void push(Ns t, EventType type, uint32_t id, uint32_t generation = 0) {
    heap_.push_back({t, type, id, generation, sequence_++});
    std::push_heap(heap_.begin(), heap_.end(), later);
  }
  void pop() {
    std::pop_heap(heap_.begin(), heap_.end(), later);
    heap_.pop_back();
  }
  void clear() { heap_.clear(); }

 private:
  static bool later(const Event& a, const Event& b) { return b.before(a); }

  std::vector<Event> heap_;
  uint64_t sequence_ = 0;
};

}  // namespace callie::plan
