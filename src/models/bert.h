#pragma once

#include <memory>

#include "core/context.h"
#include "core/status.h"
#include "io/checkpoint.h"
#include "nn/encoder.h"

namespace callie::models {

/// True for BERT sentence encoders in either kind of checkpoint.
bool is_bert(const io::Checkpoint& checkpoint);

/// Loads a BERT encoder. Errors: kDataLoss (a tensor is missing or has another shape; the message names it).
StatusOr<std::unique_ptr<nn::Encoder>> load_bert(const io::Checkpoint& checkpoint, const Context& context);

}  // namespace callie::models
