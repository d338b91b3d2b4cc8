#include "serve/api/fields.h"

#include <gtest/gtest.h>

#include "serve/api/chat_prompt.h"
#include "serve/api/keys.h"
#include "serve/api/validate.h"

namespace callie::serve {
namespace {

TEST(Fields, NamesTheFirstWrongField) {
  const Json body = {{"temperature", 3}, {"n", "two"}, {"mystery", 1}};
  Fields fields(body);
  fields.number("temperature", 1, 0, 2);
  fields.integer("n", 1, 1, 4);
  const auto error = fields.finish();
  ASSERT_TRUE(error);
  EXPECT_EQ(error->param, "temperature");
  EXPECT_EQ(error->status, 400);
}

TEST(Fields, AnUnknownFieldIsAnError) {
  const Json body = {{"known", 1}, {"mystery", 1}};
  Fields fields(body, "outer.");
  EXPECT_EQ(fields.integer("known", 0, 0, 5), 1);
  const auto error = fields.finish();
  ASSERT_TRUE(error);
  EXPECT_EQ(error->param, "outer.mystery");
}

TEST(Fields, IntegersBeyondTheirRange) {
  const Json body = {{"a", 18446744073709551615u}, {"b", 2.5}, {"c", 3.0}, {"d", nullptr}};
  {
    Fields fields(body);
    EXPECT_EQ(fields.integer("c", 0, 0, 9), 3);
    EXPECT_EQ(fields.integer("d", 7, 0, 9), 7);
    EXPECT_TRUE(fields.ok());
    fields.integer("a", 0, 0, INT64_MAX);
    EXPECT_FALSE(fields.ok());
  }
  Fields fields(body);
  fields.integer("b", 0, 0, 9);
  EXPECT_FALSE(fields.ok());
  for (const char* huge : {"1e30", "-1e30", "9223372036854775808", "123456789012345678901234567890"}) {
    const Json one = {{"a", Json::parse(huge)}};
    Fields read(one);
    read.integer("a", 0, INT64_MIN, INT64_MAX);
    ASSERT_FALSE(read.ok()) << huge;
    EXPECT_NE(read.error()->message.find("between"), std::string::npos) << read.error()->message;
  }
}

TEST(ParseBody, RefusesWhatIsNotAnObject) {
  Json out;
  EXPECT_FALSE(parse_body(R"({"a": [1, {"b": "]]]"}]})", &out));
  for (const std::string& bad : {std::string("[1]"), std::string("{"), std::string(""), std::string("{\"a\": \"\xff\"}"),
                                 std::string(100000, '['), std::string("{}x")}) {
    EXPECT_TRUE(parse_body(bad, &out)) << bad.substr(0, 20);
  }
}

TEST(Messages, AreNormalizedForTemplates) {
  Json out;
  const Json messages = {
      {{"role", "developer"}, {"content", "be brief"}},
      {{"role", "user"}, {"content", {{{"type", "text"}, {"text", "a"}}, {{"type", "text"}, {"text", "b"}}}}},
      {{"role", "assistant"},
       {"content", nullptr},
       {"tool_calls",
        {{{"id", "1"}, {"type", "function"}, {"function", {{"name", "f"}, {"arguments", "{\"x\": 1}"}}}}}}},
      {{"role", "tool"}, {"tool_call_id", "1"}, {"content", "2"}}};
  ASSERT_FALSE(normalize_messages(messages, "messages", &out));
  EXPECT_EQ(out[0]["role"], "system");
  EXPECT_EQ(out[1]["content"], "ab");
  EXPECT_EQ(out[2]["tool_calls"][0]["function"]["arguments"]["x"], 1);
  const auto error = normalize_messages({{{"role", "user"}, {"content", {{{"type", "image_url"}}}}}}, "messages", &out);
  ASSERT_TRUE(error);
  EXPECT_EQ(error->param, "messages[0].content[0]");
}

TEST(ApiKeys, AreComparedWhole) {
  ApiKeys keys;
  EXPECT_TRUE(keys.allow(""));
  keys.add("secret");
  EXPECT_TRUE(keys.allow("Bearer secret"));
  for (const char* wrong : {"", "secret", "Bearer ", "Bearer secre", "Bearer secrets", "Basic secret"}) {
    EXPECT_FALSE(keys.allow(wrong)) << wrong;
  }
}

TEST(ValidJson, ChecksWhatConstraintsWeaken) {
  std::string reason;
  const Json schema = Json::parse(R"({"oneOf": [{"type": "integer", "multipleOf": 3}, {"type": "integer", "multipleOf": 5}]})");
  EXPECT_TRUE(valid_json(schema, 9, &reason));
  EXPECT_FALSE(valid_json(schema, 15, &reason));
  EXPECT_FALSE(valid_json(schema, 7, &reason));
  const Json tree = Json::parse(R"({"$defs": {"n": {"type": "object", "required": ["v"], "additionalProperties": false,
      "properties": {"v": {"type": "string", "maxLength": 2}, "next": {"$ref": "#/$defs/n"}}}}, "$ref": "#/$defs/n"})");
  EXPECT_TRUE(valid_json(tree, Json::parse(R"({"v": "é", "next": {"v": "ab"}})"), &reason));
  EXPECT_FALSE(valid_json(tree, Json::parse(R"({"v": "a", "next": {"v": "abc"}})"), &reason));
  EXPECT_FALSE(valid_json(tree, Json::parse(R"({"v": "a", "other": 1})"), &reason));
}

}  // namespace
}  // namespace callie::serve
