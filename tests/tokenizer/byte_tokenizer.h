#pragma once

#include <cstdio>
#include <memory>

#include "tokenizer/tokenizer.h"

namespace callie::test {

/// A vocabulary of 0 <unk>, 1 </s>, 2 + b for every byte b, and a few longer pieces. Null when it cannot be made.
inline std::unique_ptr<Tokenizer> byte_tokenizer() {
  Vocabulary vocabulary;
  vocabulary.kind = Vocabulary::Kind::kSentencePieceBpe;
  vocabulary.tokens = {"<unk>", "</s>"};
  vocabulary.types = {TokenType::kUnknown, TokenType::kControl};
  for (int byte = 0; byte < 256; ++byte) {
    char name[8];
    std::snprintf(name, sizeof name, "<0x%02X>", byte);
    vocabulary.tokens.push_back(name);
    vocabulary.types.push_back(TokenType::kByte);
  }
  for (const char* piece : {"true", "false", "\":", "12"}) {
    vocabulary.tokens.push_back(piece);
    vocabulary.types.push_back(TokenType::kNormal);
  }
  vocabulary.scores.assign(vocabulary.tokens.size(), 0.0f);
  vocabulary.eos = 1;
  vocabulary.unk = 0;
  vocabulary.byte_fallback = true;
  auto tokenizer = Tokenizer::create(std::move(vocabulary));
  return tokenizer.ok() ? std::move(*tokenizer) : nullptr;
}

}  // namespace callie::test
