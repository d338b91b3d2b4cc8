#pragma once

#include <cstdint>
#include <string>

#include "core/status.h"

namespace callie::io {

struct FetchOptions {
  std::string sha256;      ///< expected digest in lower-case hexadecimal; empty: what the server
                           ///< states, if it does
  int attempts = 8;        ///< tries in a row without a new byte before giving up
  double backoff_s = 0.5;  ///< wait after the first failure; doubles with each, up to half a minute
  double stall_s = 30;     ///< a connection without a byte for this long counts as cut
  std::string label;       ///< of the progress line; empty: the file's name
  bool quiet = false;      ///< no progress line
};

struct FetchResult {
  uint64_t bytes = 0;        ///< size of the file
  uint64_t transferred = 0;  ///< bytes that came over the network this time
  std::string sha256;        ///< of the file; empty when nothing was expected
};

/// Downloads an http or https URL to `path`, following redirects (from https to https only). Bytes
/// gather in PATH.part beside PATH.part.json, which names the source and its ETag; a later call
/// goes on from there with a range request, and begins again when the file has changed on the
/// server. `path` appears when all bytes are there and the digest is right.
///
/// Errors, and what they leave:
///   kUnavailable         the network or server failed in all attempts; resumable
///   kNotFound            the server refuses the file (4xx); nothing new
///   kDataLoss            wrong digest; nothing
///   kResourceExhausted   disk full; resumable
///   kFailedPrecondition  another process is downloading the same file
///   kCancelled           Ctrl-C; resumable
///   kInvalidArgument     no http or https URL, or the folder cannot be written
StatusOr<FetchResult> fetch_file(const std::string& url, const std::string& path,
                                 const FetchOptions& options = {});

}  // namespace callie::io
