#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/status.h"
#include "decode/edge_cloud/message.h"

namespace callie::edge_cloud {

using SessionId = uint64_t;

/// One pass of the large model for one session: the last committed token and `draft` after it, or, when the cache holds
/// less than the committed sequence (a new or a cold session), everything from there.
struct PassRequest {
  SessionId session = 0;
  uint64_t pass = 0;                  ///< names the pass in the callbacks
  std::span<const TokenId> committed; ///< the whole committed sequence; valid during start() only
  std::span<const TokenId> draft;     ///< valid during start() only
  int first_new = 0;                  ///< committed[first_new] has generation position 0
  bool exits = false;                 ///< report exit outcomes while the pass runs
};

struct PassResult {
  Status status;
  Outcome outcome;
  bool ended = false;            ///< `outcome.next` ends the sequence (end token or stop string)
  uint32_t queue_us = 0, verify_us = 0;
  std::vector<uint32_t> exit_us; ///< time from the start of the pass to each exit
  int width = 1;                 ///< positions computed; 0 when the pass rebuilt a cache
  uint64_t logits_hash = 0;      ///< over the logits that chose the emitted tokens so far
};

/// The large model behind the server. Passes of several sessions may share a batch. After a pass its session's cache
/// holds |committed| + accepted tokens, one less than the sequence the server then commits.
class TargetPasses {
 public:
  virtual ~TargetPasses() = default;

  /// Takes a new session in. Errors: kUnimplemented (sampler settings, images), kResourceExhausted (context).
  virtual Status open(SessionId session, const Open& request) = 0;
  /// Starts a pass; Server::on_exit and Server::on_pass_done are called from the server's own loop, in that order.
  virtual void start(const PassRequest& request) = 0;
  /// Frees the session's cache; its sampler settings stay. The next pass rebuilds the cache. No pass is running.
  virtual void evict(SessionId session) = 0;
  /// Forgets the session. No pass is running.
  virtual void close(SessionId session) = 0;
  /// Tokens in the session's cache.
  virtual int cache_length(SessionId session) const = 0;
};

}  // namespace callie::edge_cloud
