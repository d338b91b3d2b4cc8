#include "tokenizer/tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto vocabulary = callie::parse_tokenizer_json({reinterpret_cast<const char*>(data), size}, "");
  if (!vocabulary.ok()) return 0;
  auto tokenizer = callie::Tokenizer::create(std::move(*vocabulary));
  if (!tokenizer.ok()) return 0;
  const auto ids = (*tokenizer)->encode("The café, 12 3\n\xff x", {.parse_special = true, .add_special = true});
  if (ids.ok()) (void)(*tokenizer)->decode(*ids);
  return 0;
}
