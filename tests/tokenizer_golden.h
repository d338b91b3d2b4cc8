#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/atomic_file.h"
#include "core/json.h"
#include "tokenizer/tokenizer.h"

namespace callie::test {

/// Folders of golden/tokenizers, made by golden/make_tokenizers.py.
inline constexpr const char* kGoldenTokenizers[] = {"gpt2", "llama3", "qwen2", "smollm", "unigram", "spm_bpe", "wordpiece"};

inline std::string golden_file(const std::string& name) { return std::string(CALLIE_SOURCE_DIR) + "/tests/golden/" + name; }

inline std::string golden_text(const std::string& name) {
  const auto text = read_text_file(golden_file(name));
  EXPECT_TRUE(text.ok()) << text.status().message();
  return text.ok() ? *text : "";
}

inline std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines(1);
  for (const char c : text) {
    if (c == '\n') {
      lines.emplace_back();
    } else {
      lines.back() += c;
    }
  }
  return lines;
}

inline void expect_ids(const Tokenizer& tokenizer, const std::string& text, bool special, const Json& expected,
                       const std::string& place) {
  const auto ids = tokenizer.encode(text, {.parse_special = special});
  ASSERT_TRUE(ids.ok()) << place << ": " << ids.status().message();
  EXPECT_EQ(*ids, expected.get<std::vector<int32_t>>()) << place << ": " << text.substr(0, 200);
}

/// The hard cases and slices of golden/tokenizers/NAME/expected.json; `source` is "json" or "gguf".
inline void expect_golden_ids(const Tokenizer& tokenizer, const std::string& name, const std::string& source) {
  const Json expected = Json::parse(golden_text("tokenizers/" + name + "/expected.json"))[source];
  const auto lines = lines_of(golden_text("hard_cases.txt"));
  const Json& hard = expected["plain"]["hard_cases.txt"];
  ASSERT_EQ(hard.size(), lines.size());
  for (size_t i = 0; i < lines.size(); ++i) {
    const std::string place = name + ", hard_cases.txt:" + std::to_string(i + 1);
    expect_ids(tokenizer, lines[i], false, hard[i], place);
    const Json& special = expected["special"];
    const std::string key = std::to_string(i);
    expect_ids(tokenizer, lines[i], true, special.contains(key) ? special[key] : hard[i], place + ", special");
  }
  for (const auto& [file, ids] : expected["plain"]["slices"].items()) {
    expect_ids(tokenizer, golden_text("slices/" + file), false, ids, name + ", " + file);
  }
}

}  // namespace callie::test
