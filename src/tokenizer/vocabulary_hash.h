#pragma once

#include <cstdint>

#include "tokenizer/vocabulary.h"

namespace callie {

/// XXH64 over everything in `vocabulary` that decides which ids a text gets.
uint64_t hash_vocabulary(const Vocabulary& vocabulary);

}  // namespace callie
