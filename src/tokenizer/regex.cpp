#define PCRE2_CODE_UNIT_WIDTH 8
#include "tokenizer/regex.h"

#include <pcre2.h>

namespace callie {
namespace {

constexpr uint32_t kMatchLimit = 20'000'000;

struct MatchState {
  pcre2_match_data* data = pcre2_match_data_create(1, nullptr);
  pcre2_match_context* context = pcre2_match_context_create(nullptr);
  MatchState() {
    pcre2_set_match_limit(context, kMatchLimit);
    pcre2_set_heap_limit(context, 256 * 1024);  // KiB
  }
  ~MatchState() {
    pcre2_match_data_free(data);
    pcre2_match_context_free(context);
  }
};

}  // namespace

StatusOr<Regex> Regex::compile(std::string_view pattern) {
  int code = 0;
  PCRE2_SIZE offset = 0;
  pcre2_code* compiled = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                                       PCRE2_UTF | PCRE2_UCP | PCRE2_MATCH_INVALID_UTF, &code, &offset, nullptr);
  if (!compiled) {
    PCRE2_UCHAR message[200] = {};
    pcre2_get_error_message(code, message, sizeof(message));
    return invalid_argument("regular expression: {} at character {} of '{}'", reinterpret_cast<const char*>(message),
                            offset, pattern.substr(0, 200));
  }
  pcre2_jit_compile(compiled, PCRE2_JIT_COMPLETE);  // without machine code it is slower, not wrong
  Regex regex;
  regex.code_ = std::shared_ptr<void>(compiled, [](void* p) { pcre2_code_free(static_cast<pcre2_code*>(p)); });
  return regex;
}

StatusOr<Regex::Match> Regex::find(std::string_view text, size_t from) const {
  thread_local MatchState state;
  const int result = pcre2_match(static_cast<const pcre2_code*>(code_.get()), reinterpret_cast<PCRE2_SPTR>(text.data()),
                                 text.size(), from, 0, state.data, state.context);
  if (result == PCRE2_ERROR_NOMATCH) return Match();
  if (result < 0) {
    PCRE2_UCHAR message[200] = {};
    pcre2_get_error_message(result, message, sizeof(message));
    return resource_exhausted("regular expression: {}", reinterpret_cast<const char*>(message));
  }
  const PCRE2_SIZE* span = pcre2_get_ovector_pointer(state.data);
  return Match{span[0], span[1] < span[0] ? span[0] : span[1]};
}

}  // namespace callie
