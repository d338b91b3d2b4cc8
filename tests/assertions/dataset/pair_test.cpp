#include "assertions/dataset/pair.h"

#include <gtest/gtest.h>

namespace callie::assertions {
namespace {

TEST(Pair, EveryKeyIsThereAndReadsBack) {
  Pair empty;
  const Json json = to_json(empty);
  for (const char* key : {"Code", "Assertion", "Synchronous", "Clock", "id", "schema", "seed", "split", "tier", "construct",
                          "module", "signals", "clock", "reset", "assertions", "lowered", "proof", "mutants", "hash",
                          "source", "chars", "tokens", "messages", "prompt", "completion"}) {
    EXPECT_TRUE(json.contains(key)) << key;
  }
  Pair p;
  p.code = "if (a) b = c;";
  p.assertion = "x: assert property (@(posedge clk) a |=> b == $past(c));";
  p.synchronous = true;
  p.clock_text = "posedge clk";
  p.id = "1";
  p.seed = ~uint64_t{0};
  p.signals = {{"s", 2, true, "internal", {"A", "B"}}};
  p.clock = {{"clk", "posedge"}};
  p.reset = {{"rst_n", 0, true}};
  p.assertions = {{"x", "x: ...", "|=>", "a", "b == $past(c)", "b", 0}};
  p.proof = {{"P1", "sat", "proven", std::nullopt}};
  p.mutants = {{"assertion:edge", "x", "...", "refuted", Json{{"cycles", Json::array()}}}};
  p.source = {{"r", "c", "p", "1-2", "MIT"}};
  const std::string line = write_pair(p);
  auto back = read_pair(line);
  ASSERT_TRUE(back.ok()) << back.status().message();
  EXPECT_EQ(write_pair(*back), line);
}

TEST(Pair, NamesTheKeyOfAMistake) {
  EXPECT_EQ(read_pair("{").status().message(), "not a JSON object");
  EXPECT_EQ(read_pair("[1]").status().message(), "the line is not an object");
  EXPECT_EQ(read_pair(R"({"tier": "x"})").status().message(), "'tier' is not a whole number");
  EXPECT_EQ(read_pair(R"({"signals": [{"name": "a"}, {"width": []}]})").status().message(),
            "'signals[1].width' is not a whole number");
  EXPECT_TRUE(read_pair(R"({"Code": "x", "Assertion": "y", "Synchronous": "False", "other": 3})").ok());
}

}  // namespace
}  // namespace callie::assertions
