#pragma once

#include <grpcpp/support/byte_buffer.h>

#include <deque>
#include <mutex>
#include <string>

namespace callie::serve {

/// The one method of proto/edge_cloud.proto's service.
inline constexpr char kSessionMethod[] = "/callie.edge_cloud.v1.EdgeCloud/Session";

grpc::ByteBuffer to_buffer(const std::string& frame);
/// The frame in a message; "" when it cannot be read.
std::string to_frame(const grpc::ByteBuffer& buffer);

/// Frames on their way out of one stream: one write is in flight, the others wait here. Says what the owner has to do
/// next and never calls gRPC itself, so that no lock is held in a call.
class OutgoingFrames {
 public:
  enum class Next { kNothing, kWrite, kFinish };

  /// Queues a frame. A verdict drops the unsent hints of its round. kWrite: current() is to be written now.
  Next push(std::string frame, uint32_t round, bool is_hint);
  /// The write ended. kWrite: the next one; kFinish: finish() was asked for, and all is written.
  Next written(bool ok);
  /// No frame is taken from now on. kFinish: nothing is in flight; else written() will say so.
  Next finish(bool drop_unsent);
  const grpc::ByteBuffer& current() const { return current_; }
  /// Frames that wait for the one in flight.
  size_t waiting();

 private:
  struct Frame {
    std::string bytes;
    uint32_t round;
    bool is_hint;
  };
  Next advance();  // mutex_ is held

  std::mutex mutex_;
  std::deque<Frame> waiting_;
  grpc::ByteBuffer current_;
  bool writing_ = false, finishing_ = false, finished_ = false;
};

}  // namespace callie::serve
