#pragma once

// The C functions of rust/ (libcallie_rust.a). Their contracts stand beside their definitions there.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace callie::rust {

extern "C" {
struct CallieRustBytes {
  uint8_t* data;
  size_t len;
};
void callie_rust_bytes_free(CallieRustBytes bytes);

struct CallieTemplate;
CallieTemplate* callie_template_new(const uint8_t* source, size_t length, CallieRustBytes* error);
void callie_template_free(CallieTemplate* made);
bool callie_template_render(const CallieTemplate* made, const uint8_t* context, size_t length, int64_t now,
                            CallieRustBytes* out);

struct CallieGrammarFactory;
using CallieTokenize = size_t (*)(const void* user_data, const uint8_t* bytes, size_t length, uint32_t* ids,
                                  size_t capacity);
CallieGrammarFactory* callie_grammar_factory_new(uint32_t count, const uint32_t* lengths, const uint8_t* bytes,
                                                 const uint32_t* eos, size_t eos_count, CallieTokenize tokenize,
                                                 const void* user_data, CallieRustBytes* error);
void callie_grammar_factory_free(CallieGrammarFactory* factory);

CallieRustBytes callie_schema_settings();

struct CallieMatcher;
CallieMatcher* callie_matcher_new(const CallieGrammarFactory* factory, int32_t kind, const uint8_t* source,
                                  size_t length, CallieRustBytes* warnings, CallieRustBytes* error);
CallieMatcher* callie_matcher_clone(const CallieMatcher* matcher);
bool callie_matcher_reset(CallieMatcher* matcher);
void callie_matcher_free(CallieMatcher* matcher);
bool callie_matcher_mask(CallieMatcher* matcher, uint32_t* words, size_t count, CallieRustBytes* error);
int32_t callie_matcher_accept(CallieMatcher* matcher, uint32_t token, CallieRustBytes* error);
bool callie_matcher_can_end(CallieMatcher* matcher);
bool callie_matcher_stopped(const CallieMatcher* matcher);
size_t callie_matcher_forced(CallieMatcher* matcher, uint32_t* ids, size_t capacity);
}

inline const uint8_t* data(std::string_view text) { return reinterpret_cast<const uint8_t*>(text.data()); }

/// Takes the text over and frees the other side's memory.
inline std::string take(CallieRustBytes bytes) {
  std::string text(reinterpret_cast<const char*>(bytes.data), bytes.len);
  callie_rust_bytes_free(bytes);
  return text;
}

}  // namespace callie::rust
