#pragma once

#include <string>

#include "core/status.h"
#include "decode/generate.h"
#include "engine/sampler.h"
#include "engine/session.h"

namespace callie::cli {

/// An interactive chat on stdin and stdout: history, multi-line input, /help. Ctrl-C stops the answer and not the
/// program; Ctrl-D or /exit ends it. Keys and values of the conversation so far are kept between turns.
Status chat_loop(Session& session, SamplingOptions sampling, decode::GenerateOptions options, const std::string& system);

}  // namespace callie::cli
