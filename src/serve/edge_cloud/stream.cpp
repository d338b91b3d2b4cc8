#include "serve/edge_cloud/stream.h"

#include <grpcpp/support/slice.h>

#include <vector>

namespace callie::serve {

grpc::ByteBuffer to_buffer(const std::string& frame) {
  const grpc::Slice slice(frame);
  return grpc::ByteBuffer(&slice, 1);
}

std::string to_frame(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  std::string out;
  if (!buffer.Dump(&slices).ok()) return out;
  for (const grpc::Slice& slice : slices) out.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  return out;
}

OutgoingFrames::Next OutgoingFrames::advance() {
  if (writing_ || finished_) return Next::kNothing;
  if (!waiting_.empty()) {
    current_ = to_buffer(waiting_.front().bytes);
    waiting_.pop_front();
    writing_ = true;
    return Next::kWrite;
  }
  if (!finishing_) return Next::kNothing;
  finished_ = true;
  return Next::kFinish;
}

OutgoingFrames::Next OutgoingFrames::push(std::string frame, uint32_t round, bool is_hint) {
  std::lock_guard lock(mutex_);
  if (finishing_) return Next::kNothing;
  if (round != 0 && !is_hint) std::erase_if(waiting_, [&](const Frame& f) { return f.is_hint && f.round == round; });
  waiting_.push_back({std::move(frame), round, is_hint});
  return advance();
}

OutgoingFrames::Next OutgoingFrames::written(bool ok) {
  std::lock_guard lock(mutex_);
  writing_ = false;
  if (!ok) waiting_.clear();
  return advance();
}

OutgoingFrames::Next OutgoingFrames::finish(bool drop_unsent) {
  std::lock_guard lock(mutex_);
  finishing_ = true;
  if (drop_unsent) waiting_.clear();
  return advance();
}

size_t OutgoingFrames::waiting() {
  std::lock_guard lock(mutex_);
  return waiting_.size();
}

}  // namespace callie::serve
