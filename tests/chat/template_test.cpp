// Rendered prompts against Jinja2's (golden/make_template_cases.py).

#include "chat/template.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "core/atomic_file.h"
#include "core/json.h"

namespace callie {
namespace {

void expect_equal_to_jinja(const std::string& file) {
  const auto text = read_text_file(file);
  ASSERT_TRUE(text.ok()) << text.status().message();
  const Json golden = Json::parse(*text);
  int templates = 0;
  for (const auto& [name, source] : golden["templates"].items()) {
    const auto chat = ChatTemplate::compile(source.get<std::string>(), "<s>", "</s>");
    ASSERT_TRUE(chat.ok()) << name << ": " << chat.status().message();
    ++templates;
    for (const Json& one : golden["cases"]) {
      if (one["name"] != name) continue;
      const Json& conversation = golden["conversations"][one["case"].get<std::string>()];
      TemplateInput input;
      input.messages = &conversation["messages"];
      if (conversation.contains("tools")) input.tools = &conversation["tools"];
      if (conversation.contains("extra")) input.extra = &conversation["extra"];
      input.add_generation_prompt = conversation.value("add_generation_prompt", true);
      input.now_unix_s = golden["now"];
      const auto rendered = chat->render(input);
      const std::string place = name + ", " + one["case"].get<std::string>();
      if (one["expected"].is_null()) {
        EXPECT_FALSE(rendered.ok()) << place;
      } else if (rendered.ok()) {
        EXPECT_EQ(*rendered, one["expected"].get<std::string>()) << place;
      } else {
        ADD_FAILURE() << place << ": " << rendered.status().message();
      }
    }
  }
  std::printf("%d templates\n", templates);
}

TEST(ChatTemplate, RendersAsJinja2Does) {
  expect_equal_to_jinja(std::string(CALLIE_SOURCE_DIR) + "/tests/golden/templates.json");
}

/// Templates of 26 models, with and without tools and enable_thinking.
TEST(ChatTemplate, RealTemplates) {
  expect_equal_to_jinja(std::string(CALLIE_SOURCE_DIR) + "/tests/golden/real_templates.json");
}

TEST(ChatTemplate, ForeignTemplates) {
  const char* file = std::getenv("CALLIE_TEMPLATE_CASES");
  if (!file) GTEST_SKIP() << "CALLIE_TEMPLATE_CASES names no file of golden/make_template_cases.py";
  expect_equal_to_jinja(file);
}

TEST(ChatTemplate, BrokenSourceNamesTheLine) {
  const auto chat = ChatTemplate::compile("a\n{% for %}", "", "");
  ASSERT_FALSE(chat.ok());
  EXPECT_EQ(chat.status().message().find('\n'), std::string::npos) << chat.status().message();
  EXPECT_NE(chat.status().message().find('2'), std::string::npos) << chat.status().message();
}

TEST(ChatTemplate, EndlessTemplatesAreStopped) {
  const auto chat = ChatTemplate::compile("{% for i in range(100000) %}{% for j in range(100000) %}x{% endfor %}{% endfor %}", "", "");
  if (!chat.ok()) return;
  EXPECT_FALSE(chat->render({}).ok());
}

}  // namespace
}  // namespace callie
