#pragma once

#include <gtest/gtest.h>

#include <cstdio>
#include <initializer_list>
#include <string_view>
#include <utility>

namespace callie::edge_cloud {

/// The machine-readable last line of one of the numbered checks of docs/edge-cloud.md, for bench/edge_cloud/checks.py.
inline void closing_line(int check, std::string_view what,
                         std::initializer_list<std::pair<std::string_view, double>> figures) {
  std::printf("{\"check\":%d,\"what\":\"%.*s\",\"passed\":%s", check, static_cast<int>(what.size()), what.data(),
              testing::Test::HasFailure() ? "false" : "true");
  for (const auto& [name, value] : figures) std::printf(",\"%.*s\":%.10g", static_cast<int>(name.size()), name.data(), value);
  std::printf("}\n");
}

}  // namespace callie::edge_cloud
