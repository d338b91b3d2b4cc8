#pragma once

#include <memory>

#include "core/status.h"
#include "io/checkpoint.h"
#include "tokenizer/tokenizer.h"

namespace callie {

/// The tokenizer as a model's files describe it: `tokenizer.ggml.*` of a GGUF; tokenizer.json, tokenizer_config.json and
/// chat_template.jinja of a Hugging Face folder. Errors: kNotFound, kDataLoss, kUnimplemented; the message names file and
/// field.
StatusOr<Vocabulary> vocabulary_from_checkpoint(const io::Checkpoint& checkpoint);
StatusOr<std::unique_ptr<Tokenizer>> tokenizer_from_checkpoint(const io::Checkpoint& checkpoint);

}  // namespace callie
