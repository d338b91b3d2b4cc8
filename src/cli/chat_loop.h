#pragma once

#include <string>

#include "core/status.h"
#include "decode/generate.h"
#include "decode/speculative/speculator.h"
#include "engine/sampler.h"
#include "engine/session.h"

namespace callie::cli {

/// An interactive chat on stdin and stdout: history, multi-line input, /help. Ctrl-C stops the answer and not the
/// program; Ctrl-D or /exit ends it. Keys and values of the conversation so far are kept between turns. `speculator` may
/// be null.
Status chat_loop(Session& session, decode::Speculator* speculator, SamplingOptions sampling,
                 decode::GenerateOptions options, const std::string& system);

}  // namespace callie::cli
