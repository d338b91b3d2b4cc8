#include "assertions/harvest/harvest.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace callie::assertions {
namespace {

TEST(Harvest, SkeletonsWithProvenance) {
  const std::string folder = ::testing::TempDir() + "/harvest";
  std::filesystem::create_directories(folder + "/rtl");
  std::ofstream(folder + "/rtl/a.sv") << R"(// SPDX-License-Identifier: MIT
`include "missing.svh"
module a import unknown_pkg::*; #(parameter type T = logic) (some_if.slave bus, input clk_i, rst_ni);
  `UNKNOWN_ASSERT(Name, a |-> always [1:3] b, clk_i)
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin q <= '0; end
    else if (en) q <= d;
    `ASSERT_I(x, y)
  end
  always_comb begin
    unique case (s) A, B: x = `WIDTH; C: begin x = 1; y = 2; end default: x = bus.data[3:0]; endcase
  end
  always_comb x = 1;
  always_ff @(posedge clk_i) if (a) q <= ;
endmodule
)";
  std::ofstream(folder + "/b.v") << "// GNU General Public License\nmodule b; always @* if (a) b = c; endmodule\n";
  HarvestOptions options;
  options.folder = folder;
  options.repo = "test";
  const auto report = harvest(options, [](int64_t) {});
  ASSERT_TRUE(report.ok()) << report.status().message();
  EXPECT_EQ(report->files, 2);
  EXPECT_EQ(report->files_skipped, 1);
  EXPECT_EQ(report->blocks, 4);
  EXPECT_EQ(report->blocks_broken, 1);
  EXPECT_EQ(report->blocks_with_control, 2);
  EXPECT_EQ(write_shapes(report->bank),
            "{\"shape\":\"A{i{a0}}\",\"count\":1,\"source\":{\"repo\":\"test\",\"commit\":null,\"path\":\"rtl/a.sv\",\"lines\":\"5-9\",\"spdx\":\"MIT\"}}\n"
            "{\"shape\":\"C{cu2{a0}1{a0a1}0{a0}e}\",\"count\":1,\"source\":{\"repo\":\"test\",\"commit\":null,\"path\":\"rtl/a.sv\",\"lines\":\"10-12\",\"spdx\":\"MIT\"}}\n");
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace callie::assertions
