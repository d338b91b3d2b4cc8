#include "chat/template.h"

#include <chrono>

#include "chat/rust_api.h"
#include "core/json.h"
#include "tokenizer/tokenizer.h"

namespace callie {

struct ChatTemplate::Impl {
  std::string source, bos, eos;
  rust::CallieTemplate* compiled = nullptr;
  Impl() = default;
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl() { rust::callie_template_free(compiled); }
};

StatusOr<ChatTemplate> ChatTemplate::compile(std::string_view source, std::string_view bos_token,
                                             std::string_view eos_token) {
  auto impl = std::make_shared<Impl>();
  impl->source = source;
  impl->bos = bos_token;
  impl->eos = eos_token;
  rust::CallieRustBytes problem;
  impl->compiled = rust::callie_template_new(rust::data(source), source.size(), &problem);
  if (!impl->compiled) return invalid_argument("chat template: {}", rust::take(problem));
  ChatTemplate made;
  made.impl_ = std::move(impl);
  return made;
}

StatusOr<ChatTemplate> ChatTemplate::from_tokenizer(const Tokenizer& tokenizer) {
  const Vocabulary& v = tokenizer.vocabulary();
  if (v.chat_template.empty()) return not_found("the model has no chat template");
  const auto text = [&](const std::optional<int32_t>& id) {
    return id ? std::string(tokenizer.token_bytes(*id)) : std::string();
  };
  return compile(v.chat_template, text(v.bos), text(v.eos));
}

StatusOr<std::string> ChatTemplate::render(const TemplateInput& input) const {
  Json context = input.extra && input.extra->is_object() ? *input.extra : Json::object();
  context["messages"] = input.messages ? *input.messages : Json::array();
  const bool has_tools = input.tools && !input.tools->is_null() && !(input.tools->is_array() && input.tools->empty());
  context["tools"] = has_tools ? *input.tools : Json();
  if (!context.contains("documents")) context["documents"] = Json();
  context["add_generation_prompt"] = input.add_generation_prompt;
  if (!context.contains("bos_token")) context["bos_token"] = impl_->bos;
  if (!context.contains("eos_token")) context["eos_token"] = impl_->eos;
  const int64_t now = input.now_unix_s >= 0 ? input.now_unix_s
                                            : std::chrono::duration_cast<std::chrono::seconds>(
                                                  std::chrono::system_clock::now().time_since_epoch())
                                                  .count();
  const std::string text = context.dump(-1, ' ', false, Json::error_handler_t::replace);
  rust::CallieRustBytes out;
  const bool ok = rust::callie_template_render(impl_->compiled, rust::data(text), text.size(), now, &out);
  std::string result = rust::take(out);
  if (!ok) return invalid_argument("chat template: {}", result);
  return result;
}

const std::string& ChatTemplate::source() const { return impl_->source; }
bool ChatTemplate::supports_tools() const { return impl_->source.find("tools") != std::string::npos; }
bool ChatTemplate::supports_thinking() const { return impl_->source.find("enable_thinking") != std::string::npos; }

}  // namespace callie
