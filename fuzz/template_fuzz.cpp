#include "chat/template.h"
#include "core/json.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto chat = callie::ChatTemplate::compile({reinterpret_cast<const char*>(data), size}, "<s>", "</s>");
  if (!chat.ok()) return 0;
  const callie::Json messages = {{{"role", "system"}, {"content", "Be brief."}}, {{"role", "user"}, {"content", "Hi"}}};
  callie::TemplateInput input;
  input.messages = &messages;
  input.now_unix_s = 0;
  (void)chat->render(input);
  return 0;
}
