#include "assertions/generate/generate.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <regex>
#include <set>
#include <sstream>

#include "assertions/dataset/hash.h"
#include "assertions/generate/paths.h"
#include "assertions/generate/snippet.h"
#include "assertions/syntax/parser.h"
#include "assertions/syntax/printer.h"
#include "core/atomic_file.h"

namespace callie::assertions {
namespace {

// Tests run side by side: each has files of its own.
std::string output(const std::string& name) {
  return ::testing::TempDir() + "/" + ::testing::UnitTest::GetInstance()->current_test_info()->name() + "_" + name;
}

std::string generated(GenerateOptions options, const std::string& name) {
  options.output = output(name);
  const auto report = generate(options, [](int64_t) {});
  EXPECT_TRUE(report.ok()) << report.status().message();
  auto text = read_text_file(options.output);
  std::filesystem::remove(options.output);
  return text.ok() ? *text : "";
}

TEST(Generate, EqualBytesForASeedAtAnyThreadCount) {
  GenerateOptions options;
  options.count = 300;
  options.seed = 5;
  options.train_test = true;
  const std::string one = generated(options, "one.jsonl");
  options.threads = 3;
  EXPECT_EQ(one, generated(options, "three.jsonl"));
  options.seed = 6;
  EXPECT_NE(one, generated(options, "other.jsonl"));
}

TEST(Generate, GoesOnWhereItWasStopped) {
  GenerateOptions options;
  options.count = 300;
  options.seed = 9;
  options.tier = 1;
  const std::string whole = generated(options, "whole.jsonl");
  options.output = output("stopped.jsonl");
  // What a run that was stopped after the first batch leaves.
  const size_t bytes = [&] { size_t at = 0; for (int i = 0; i < 256; ++i) at = whole.find('\n', at) + 1; return at; }();
  { std::FILE* f = std::fopen((options.output + ".part").c_str(), "wb"); std::fwrite(whole.data(), 1, bytes + 40, f); std::fclose(f); }
  const Json state{{"key", {{"schema", 1}, {"seed", 9}, {"mode", "full"}, {"tier", 1}, {"train_test", false}, {"shapes", ""}}},
                   {"pairs", 256}, {"bytes", bytes}};
  { std::FILE* f = std::fopen((options.output + ".part.json").c_str(), "wb"); std::fputs(state.dump().c_str(), f); std::fclose(f); }
  const auto report = generate(options, [](int64_t) {});
  ASSERT_TRUE(report.ok()) << report.status().message();
  EXPECT_EQ(report->resumed, 256);
  EXPECT_TRUE(*read_text_file(options.output) == whole);
  EXPECT_FALSE(std::filesystem::exists(options.output + ".part"));
  EXPECT_FALSE(std::filesystem::exists(options.output + ".part.json"));
  // A note without its pairs counts for nothing.
  std::filesystem::remove(options.output);
  { std::FILE* f = std::fopen((options.output + ".part.json").c_str(), "wb"); std::fputs(state.dump().c_str(), f); std::fclose(f); }
  const auto again = generate(options, [](int64_t) {});
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->resumed, 0);
  EXPECT_EQ(*read_text_file(options.output), whole);
  std::filesystem::remove(options.output);
}

TEST(Generate, SplitsShareNothing) {
  GenerateOptions options;
  options.count = 400;
  options.seed = 2;
  options.train_test = true;
  options.threads = 2;
  const std::string text = generated(options, "splits.jsonl");
  std::map<std::string, std::set<std::string>> train, test;
  std::set<std::string> alpha;
  size_t at = 0;
  int lines = 0;
  while (at < text.size()) {
    const size_t end = text.find('\n', at);
    const auto pair = read_pair(std::string_view(text).substr(at, end - at));
    ASSERT_TRUE(pair.ok());
    at = end + 1;
    ++lines;
    EXPECT_TRUE(alpha.insert(pair->hash.alpha).second);
    EXPECT_EQ(pair->hash.alpha, hex_hash(alpha_text(pair->code)));
    EXPECT_EQ(pair->proof.size(), 6u);
    auto& side = pair->split == "test" ? test : train;
    side["alpha"].insert(pair->hash.alpha);
    side["shape"].insert(pair->hash.shape);
    side["header"].insert(pair->code.substr(0, pair->code.find('\n')));
    if (pair->source) side["repository"].insert(pair->source->repo);
    for (const Pair::Signal& s : pair->signals) {
      side["name"].insert(s.name);
      side["name"].insert(s.members.begin(), s.members.end());
    }
  }
  EXPECT_EQ(lines, 400);
  EXPECT_EQ(test["alpha"].size(), 40u);
  for (auto& [kind, values] : train) {
    for (const std::string& value : values) EXPECT_FALSE(test[kind].contains(value)) << kind << " " << value;
  }
}

// Machines whose output no state raises, `if` and `else` that assign the same: such a target says nothing, and no change of
// an input makes a simulator look at it.
TEST(Generate, NoTargetIsAConstant) {
  const std::regex constant(R"(\S+ == \d+'[bdh]\w+)");
  for (const int tier : {1, 2, 4}) {
    GenerateOptions options;
    options.count = 150;
    options.seed = 3;
    options.tier = tier;
    options.threads = 2;
    std::istringstream lines(generated(options, "constants.jsonl"));
    for (std::string line; std::getline(lines, line);) {
      const auto pair = read_pair(line);
      ASSERT_TRUE(pair.ok());
      std::map<std::string, std::set<std::string>> said;
      for (const Pair::AssertionInfo& a : pair->assertions) {
        if (a.form == "immediate") said[a.target].insert(a.consequent);
      }
      for (const auto& [target, what] : said) {
        EXPECT_FALSE(what.size() == 1 && std::regex_match(*what.begin(), constant)) << target << "\n" << pair->code;
      }
    }
  }
}

// The corner cases that template data gets wrong, as path conditions.
std::string conditions(const std::string& body, const std::string& target) {
  SourceSet sources;
  const auto statements = parse_statements(sources, "t", body);
  if (!statements.ok()) return statements.status().message();
  ast::Stmt block;
  block.kind = ast::StmtKind::kBlock;
  block.body = *statements;
  const auto tree = execute_paths(block);
  if (!tree.ok()) return tree.status().message();
  std::string out;
  for (const Path& path : paths_for(*tree, target)) {
    std::string guards;
    for (const ast::Expr& guard : path.guards) guards += (guards.empty() ? "" : " & ") + print(guard);
    const ast::Expr* value = path.value(target);
    out += fmt::format("[{}] {}; ", guards, value ? print(*value) : "keeps");
  }
  return out;
}

TEST(Paths, CornerCases) {
  // else negates all earlier conditions
  EXPECT_EQ(conditions("if (a) q <= x; else if (b) q <= y; else q <= z;", "q"), "[a] x; [!a & b] y; [!a & !b] z; ");
  // a missing default keeps
  EXPECT_EQ(conditions("case (s) 2'd0: q <= x; 2'd1: q <= y; endcase", "q"),
            "[s == 2'd0] x; [s == 2'd1] y; [s != 2'd0 && s != 2'd1] keeps; ");
  // siblings are not nested, and the last write wins
  EXPECT_EQ(conditions("if (a) begin q <= x; if (b) q <= y; if (c) q <= z; end", "q"),
            "[a & b & c] z; [a & b & !c] y; [a & !b & c] z; [a & !b & !c] x; [!a] keeps; ");
  // overlapping casez arms: the earlier wins
  EXPECT_EQ(conditions("casez (s) 2'b1?: q <= x; 2'b?1: q <= y; default: q <= z; endcase", "q"),
            "[(s & 2'b10) == 2'b10] x; [(s & 2'b10) != 2'b10 && (s & 2'b01) == 2'b01] y; "
            "[(s & 2'b10) != 2'b10 && (s & 2'b01) != 2'b01] z; ");
  // nested override with blocking substitution
  EXPECT_EQ(conditions("t = a; if (t) q = x; else q = y; t = b;", "q"), "[a] x; [!a] y; ");
  // decisions that do not matter are dropped
  EXPECT_EQ(conditions("if (a) begin q <= x; r <= y; end else q <= x;", "q"), "[] x; ");
  // parts of a register
  EXPECT_EQ(conditions("if (a) q[7:4] <= x; q[3:0] <= y;", "q[7:4]"), "[a] x; [!a] keeps; ");
  EXPECT_EQ(conditions("if (a) q[7:4] <= x; q[5:0] <= y;", "q[7:4]"), "overlapping partial assignments");
  EXPECT_EQ(conditions("for (int i = 0; i < 2; i++) q[i] <= 0;", "q"), "a statement that is no assignment, if or case");
}

TEST(Skeletons, ReadBack) {
  for (const char* text : {"F{i{a0}{a1i{a0}}}", "A{cu1{a0}2{a1}0{a2}ea0}", "C{z1{}0{a0}e}", "s{i0{a0}}", "L{}"}) {
    const auto skeleton = parse_skeleton(text);
    ASSERT_TRUE(skeleton.ok()) << text << skeleton.status().message();
    EXPECT_EQ(to_text(*skeleton), text);
  }
  for (const char* text : {"", "F", "F{", "F{a}", "F{i}", "F{c1}", "F{}x", "Q{}"}) EXPECT_FALSE(parse_skeleton(text).ok()) << text;
  EXPECT_FALSE(parse_skeleton(std::string("F") + std::string(10000, '{')).ok());
}

}  // namespace
}  // namespace callie::assertions
