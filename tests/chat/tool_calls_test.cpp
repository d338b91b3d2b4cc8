// Answers with tool calls as each family of models documents them (golden/tool_calls.json), whole and in pieces.
#include "chat/tool_calls.h"

#include <gtest/gtest.h>

#include "chat/grammar.h"
#include "core/atomic_file.h"
#include "core/json.h"
#include "tokenizer/byte_tokenizer.h"

namespace callie {
namespace {

Json golden(const std::string& name) {
  const auto text = read_text_file(std::string(CALLIE_SOURCE_DIR) + "/tests/golden/" + name);
  EXPECT_TRUE(text.ok()) << text.status().message();
  return Json::parse(*text);
}

ToolFormat format_of(const std::string& name) {
  if (name == "hermes") return ToolFormat::kHermes;
  if (name == "qwen_xml") return ToolFormat::kQwenXml;
  if (name == "llama3") return ToolFormat::kLlama3Json;
  if (name == "mistral") return ToolFormat::kMistral;
  return name == "gemma" ? ToolFormat::kGemma : ToolFormat::kNone;
}

AnswerParser::Options options_of(const Json& one) {
  AnswerParser::Options options;
  options.format = format_of(one["format"]);
  options.reasoning = one.value("reasoning_on", false);
  options.starts_in_reasoning = one.value("starts_in_reasoning", false);
  options.parallel = one.value("parallel", true);
  for (const Json& tool : one.value("tools", Json::array())) options.tools.push_back(tool);
  return options;
}

void expect(const Answer& answer, const Json& one, const std::string& how) {
  EXPECT_EQ(answer.reasoning, one.value("reasoning", "")) << how;
  EXPECT_EQ(answer.content, one["content"].get<std::string>()) << how;
  ASSERT_EQ(answer.calls.size(), one["calls"].size()) << how;
  for (size_t i = 0; i < answer.calls.size(); ++i) {
    EXPECT_EQ(answer.calls[i].name, one["calls"][i][0].get<std::string>()) << how;
    EXPECT_EQ(Json::parse(answer.calls[i].arguments), one["calls"][i][1]) << how;
  }
}

TEST(ToolCalls, EachFamilyAsItDocumentsThem) {
  for (const Json& one : golden("tool_calls.json")) {
    const std::string text = one["text"];
    const std::string name = one["name"];
    expect(parse_answer(text, options_of(one)), one, name);
    for (size_t step = 1; step <= 9; ++step) {
      AnswerParser parser(options_of(one));
      Answer answer;
      const auto take = [&answer](const AnswerDelta& delta) {
        answer.reasoning += delta.reasoning;
        answer.content += delta.content;
        for (const ToolCallDelta& call : delta.calls) {
          if (static_cast<size_t>(call.index) == answer.calls.size()) answer.calls.push_back({call.name, ""});
          answer.calls[call.index].arguments += call.arguments;
        }
      };
      for (size_t at = 0; at < text.size(); at += step) take(parser.add(text.substr(at, step)));
      take(parser.finish());
      expect(answer, one, name + " in pieces of " + std::to_string(step));
    }
  }
}

/// What has come may be shown at once unless it may be the beginning of a call.
TEST(ToolCalls, PlainTextIsNotHeldBack) {
  AnswerParser parser({.format = ToolFormat::kHermes});
  EXPECT_EQ(parser.add("Hello, ").content, "Hello, ");
  EXPECT_EQ(parser.add("world <tool").content, "world ");
  EXPECT_EQ(parser.add("box>").content, "<toolbox>");
}

/// The name comes first, then the arguments while they are written.
TEST(ToolCalls, ArgumentsAreStreamed) {
  AnswerParser parser({.format = ToolFormat::kHermes});
  EXPECT_TRUE(parser.add("<tool_call>\n{\"name\": \"f\", \"argum").empty());
  AnswerDelta delta = parser.add("ents\": {\"a");
  ASSERT_EQ(delta.calls.size(), 2u);
  EXPECT_EQ(delta.calls[0].name, "f");
  EXPECT_EQ(delta.calls[0].arguments, "");
  EXPECT_EQ(delta.calls[1].arguments, "{\"a");
  std::string arguments;
  for (const char* part : {"\": \"}", "<\\", "\"]\"", ", \"b\": [1]", "}", "}\n</tool", "_call>\n"}) {
    delta = parser.add(part);
    EXPECT_EQ(delta.content, "");
    for (const ToolCallDelta& call : delta.calls) arguments += call.arguments;
  }
  EXPECT_EQ("{\"a" + arguments, R"({"a": "}<\"]", "b": [1]})");
  EXPECT_EQ(parser.add("Done.").content, "Done.");
}

/// A call that max_tokens cuts, or that the model breaks off, is told as far as it goes.
TEST(ToolCalls, UnfinishedArguments) {
  const AnswerParser::Options options{.format = ToolFormat::kHermes};
  Answer answer = parse_answer("<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": [1, ", options);
  ASSERT_EQ(answer.calls.size(), 1u);
  EXPECT_EQ(answer.calls[0].arguments, "{\"a\": [1, ");
  answer = parse_answer("<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": [1}</tool_call>Hm", options);
  ASSERT_EQ(answer.calls.size(), 1u);
  EXPECT_EQ(answer.content, "Hm");
}

TEST(ToolCalls, FormatsOfRealTemplates) {
  const Json templates = golden("real_templates.json")["templates"];
  int known = 0;
  for (const auto& [name, source] : templates.items()) {
    const ToolFormat format = detect_tool_format(source.get<std::string>());
    const auto has = [&name = name](const char* part) { return name.find(part) != std::string::npos; };
    if (has("Qwen3-Coder") || has("Qwen3.5")) {
      EXPECT_EQ(format, ToolFormat::kQwenXml) << name;
    } else if (has("Qwen2.5") || has("Qwen3") || has("Hermes")) {
      EXPECT_EQ(format, ToolFormat::kHermes) << name;
    } else if (has("Llama-3.")) {
      EXPECT_EQ(format, ToolFormat::kLlama3Json) << name;
    } else if (has("istral")) {
      EXPECT_EQ(format, ToolFormat::kMistral) << name;
    } else {
      continue;
    }
    ++known;
  }
  EXPECT_GE(known, 4);
}

/// A forced call can be read back; each tool's own $defs hold in it.
TEST(ToolCalls, AForcedCallFollowsItsSchema) {
  const auto tokenizer = test::byte_tokenizer();
  const auto compiler = GrammarCompiler::create(*tokenizer);
  ASSERT_TRUE(compiler.ok());
  const Json tools = Json::parse(R"([{"type":"function","function":{"name":"order","parameters":{"type":"object",
      "$defs":{"n":{"type":"integer","minimum":1,"maximum":9}},"properties":{"n":{"$ref":"#/$defs/n"}},"required":["n"],
      "additionalProperties":false}}},{"type":"function","function":{"name":"stop"}}])");
  const auto accepts = [&](ToolFormat format, const std::string& name, const std::string& text) {
    const auto grammar = tool_choice_grammar(format, tools, name, true);
    EXPECT_TRUE(grammar.ok()) << grammar.status().message();
    auto compiled = (*compiler)->compile(GrammarCompiler::Kind::kLark, *grammar);
    EXPECT_TRUE(compiled.ok()) << compiled.status().message();
    for (unsigned char byte : text) {
      if (!compiled->mask->accept(2 + byte).ok()) return false;
    }
    return compiled->mask->can_end();
  };
  const std::string order = "<tool_call>\n{\"name\": \"order\", \"arguments\": {\"n\":3}}\n</tool_call>";
  EXPECT_TRUE(accepts(ToolFormat::kHermes, "", order));
  EXPECT_TRUE(accepts(ToolFormat::kHermes, "order", order + "\n" + order));
  EXPECT_FALSE(accepts(ToolFormat::kHermes, "stop", order));
  EXPECT_FALSE(accepts(ToolFormat::kHermes, "", "<tool_call>\n{\"name\": \"order\", \"arguments\": {\"n\":10}}\n</tool_call>"));
  EXPECT_TRUE(accepts(ToolFormat::kLlama3Json, "", "{\"name\": \"stop\", \"parameters\": {}}"));
  EXPECT_FALSE(tool_choice_grammar(ToolFormat::kHermes, tools, "nothing").ok());
}

}  // namespace
}  // namespace callie
