#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/status.h"
#include "decode/edge_cloud/message.h"

namespace callie::edge_cloud {

/// Largest frame that is looked at, by kind: prompts and images are large, everything else is small.
inline constexpr size_t kMaxOpenBytes = 16u << 20;
inline constexpr size_t kMaxResumedBytes = 1u << 20;
inline constexpr size_t kMaxFrameBytes = 4096;
/// Padded frames are a multiple of this. Every Draft of up to 16 tokens, Hint, Verdict and Token fits one.
inline constexpr size_t kPadBytes = 128;

/// One frame of the wire (proto/edge_cloud.proto).
std::string encode(const Message& message, bool pad = false);

/// Reads a frame. The kind's size limit is checked before anything is allocated, every field's range before it is used.
/// Errors: kDataLoss (not a frame, or a field out of range, named), kResourceExhausted (larger than its kind may be).
StatusOr<Message> decode(std::string_view frame);

/// The reply to a frame that is a Ping, of the Ping's size; nullopt for every other frame. Whoever reads frames from a network
/// answers at once: a reply that waited behind a pass would not tell the round trip.
std::optional<std::string> reply_to_ping(std::string_view frame);

}  // namespace callie::edge_cloud
