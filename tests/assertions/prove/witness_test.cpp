#include "assertions/prove/witness.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

namespace callie::assertions {
namespace {

AssertionResult refuted(const std::string& text) {
  auto report = prove_text("t.sv", text);
  if (!report.ok() || report->assertions.size() != 1 || !report->assertions[0].witness) {
    ADD_FAILURE() << (report.ok() ? "not one refuted assertion" : report.status().message());
    return {};
  }
  return report->assertions[0];
}

constexpr const char* kCounter = R"(
module m(input logic clk, push, output logic [2:0] count, output logic full);
  logic [1:0] seen = 2'd1;
  always_ff @(posedge clk) begin
    if (push && !full) count <= count + 3'd1;
    seen <= count[1:0];
  end
  assign full = count == 3'd4;
  a: assert property (@(posedge clk) $rose(full) |=> !push);
endmodule)";

// Engineers look for the signals that an assertion names, also when they are no registers.
TEST(Witness, TableAndDumpShowEverySignalOfTheTopModule) {
  const AssertionResult result = refuted(kCounter);
  ASSERT_TRUE(result.witness.has_value());
  const Witness& witness = *result.witness;
  std::map<std::string, Witness::Signal> by_name;
  for (const Witness::Signal& signal : witness.signals) by_name[signal.name] = signal;
  EXPECT_EQ(by_name.at("push").kind, Witness::Kind::kInput);
  EXPECT_EQ(by_name.at("count").kind, Witness::Kind::kRegister);
  EXPECT_EQ(by_name.at("full").kind, Witness::Kind::kOther);
  EXPECT_TRUE(by_name.at("count").starts_freely);
  EXPECT_FALSE(by_name.at("seen").starts_freely);
  const std::string table = witness_table(witness);
  EXPECT_NE(table.find("count[2:0]"), std::string::npos);
  EXPECT_NE(table.find("full"), std::string::npos);
  EXPECT_NE(witness_vcd(witness, "m").find(" full $end"), std::string::npos);
  // In every cycle the shown net is what its assignment says.
  const auto column = [&](const std::string& name) {
    return static_cast<size_t>(std::find_if(witness.signals.begin(), witness.signals.end(), [&](const auto& s) { return s.name == name; }) -
                               witness.signals.begin());
  };
  for (const auto& cycle : witness.cycles) {
    const BitString& count = cycle[column("count")];
    EXPECT_EQ(cycle[column("full")][0], !count[0] && !count[1] && count[2]);
  }
}

// The JSON and the test bench hold what drives a run: inputs and registers.
TEST(Witness, JsonAndTestBenchHoldInputsAndRegisters) {
  const AssertionResult result = refuted(kCounter);
  ASSERT_TRUE(result.witness.has_value());
  const Json json = witness_json(*result.witness);
  EXPECT_TRUE(json["cycles"][0].contains("count"));
  EXPECT_TRUE(json["cycles"][0].contains("push"));
  EXPECT_FALSE(json["cycles"][0].contains("full"));
  const std::string bench = witness_testbench(*result.witness, "m", "posedge clk");
  EXPECT_NE(bench.find("dut.count = 3'h"), std::string::npos);
  EXPECT_EQ(bench.find("full"), std::string::npos);
}

}  // namespace
}  // namespace callie::assertions
