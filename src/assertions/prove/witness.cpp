#include "assertions/prove/witness.h"

#include <algorithm>

namespace callie::assertions {

std::string verilog_literal(const BitString& bits) {
  std::string digits;
  for (size_t low = (bits.size() + 3) / 4 * 4; low >= 4; low -= 4) {
    int value = 0;
    for (size_t i = 0; i < 4; ++i) {
      const size_t at = low - 4 + i;
      value |= (at < bits.size() && bits[at]) << i;
    }
    digits += "0123456789abcdef"[value];
  }
  return fmt::format("{}'h{}", bits.size(), digits);
}

Json witness_json(const Witness& witness) {
  Json cycles = Json::array();
  for (const auto& cycle : witness.cycles) {
    Json row = Json::object();
    for (size_t i = 0; i < cycle.size(); ++i) {
      const Witness::Signal& signal = witness.signals[i];
      if (signal.kind == Witness::Kind::kOther) continue;
      if (signal.width <= 32) {
        uint64_t value = 0;
        for (size_t bit = 0; bit < cycle[i].size(); ++bit) value |= static_cast<uint64_t>(cycle[i][bit]) << bit;
        row[signal.name] = value;
      } else {
        row[signal.name] = verilog_literal(cycle[i]);
      }
    }
    cycles.push_back(std::move(row));
  }
  return Json{{"cycles", std::move(cycles)}};
}

std::string witness_table(const Witness& witness) {
  std::vector<std::vector<std::string>> cells;
  std::vector<size_t> widths(1, 5);
  for (size_t s = 0; s < witness.signals.size(); ++s) {
    const int width = witness.signals[s].width;
    std::vector<std::string> row{width == 1 ? witness.signals[s].name : fmt::format("{}[{}:0]", witness.signals[s].name, width - 1)};
    for (const auto& cycle : witness.cycles) {
      const std::string literal = verilog_literal(cycle[s]);
      row.push_back(width == 1 ? (cycle[s][0] ? "1" : "0") : literal.substr(literal.find('h') + 1));
    }
    cells.push_back(std::move(row));
  }
  widths.resize(witness.cycles.size() + 1, 1);
  for (size_t c = 1; c < widths.size(); ++c) widths[c] = std::to_string(c - 1).size();
  for (const auto& row : cells) {
    for (size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], row[c].size());
  }
  std::string out = "  " + fmt::format("{:<{}}", "cycle", widths[0]);
  for (size_t c = 1; c < widths.size(); ++c) out += fmt::format("  {:>{}}", c - 1, widths[c]);
  out += "\n";
  for (const auto& row : cells) {
    out += "  " + fmt::format("{:<{}}", row[0], widths[0]);
    for (size_t c = 1; c < row.size(); ++c) out += fmt::format("  {:>{}}", row[c], widths[c]);
    out += "\n";
  }
  return out;
}

std::string witness_vcd(const Witness& witness, const std::string& top) {
  const auto id = [](size_t n) {
    std::string out;
    do {
      out += static_cast<char>('!' + n % 94);
      n /= 94;
    } while (n > 0);
    return out;
  };
  std::string out = "$timescale 1ns $end\n$scope module " + top + " $end\n";
  for (size_t s = 0; s < witness.signals.size(); ++s) {
    std::string name = witness.signals[s].name;
    std::replace(name.begin(), name.end(), ' ', '_');
    out += fmt::format("$var wire {} {} {} $end\n", witness.signals[s].width, id(s), name);
  }
  out += "$upscope $end\n$enddefinitions $end\n";
  for (size_t c = 0; c < witness.cycles.size(); ++c) {
    out += fmt::format("#{}\n", 10 * c);
    for (size_t s = 0; s < witness.signals.size(); ++s) {
      if (c > 0 && witness.cycles[c][s] == witness.cycles[c - 1][s]) continue;
      std::string bits;
      for (size_t i = witness.cycles[c][s].size(); i-- > 0;) bits += witness.cycles[c][s][i] ? '1' : '0';
      out += witness.signals[s].width == 1 ? bits + id(s) + "\n" : "b" + bits + " " + id(s) + "\n";
    }
  }
  return out + fmt::format("#{}\n", 10 * witness.cycles.size());
}

std::string witness_testbench(const Witness& witness, const std::string& top, const std::string& clock) {
  const size_t blank = clock.find(' ');
  const std::string clock_name = blank == std::string::npos ? "" : clock.substr(blank + 1);
  const bool falling = clock.starts_with("negedge");
  std::string out = "module callie_witness;\n";
  std::string ports;
  for (const Witness::Signal& signal : witness.signals) {
    if (signal.kind != Witness::Kind::kInput) continue;
    out += signal.width == 1 ? fmt::format("  logic {};\n", signal.name)
                             : fmt::format("  logic [{}:0] {};\n", signal.width - 1, signal.name);
    ports += (ports.empty() ? "" : ", ") + fmt::format(".{}({})", signal.name, signal.name);
  }
  out += fmt::format("  {} dut ({});\n  initial begin\n", top, ports);
  for (size_t c = 0; c < witness.cycles.size(); ++c) {
    if (!clock_name.empty() && c == 0) out += fmt::format("    {} = 1'b{};\n", clock_name, falling ? 1 : 0);
    for (size_t s = 0; s < witness.signals.size(); ++s) {
      const Witness::Signal& signal = witness.signals[s];
      if (signal.name == clock_name) continue;
      if (signal.kind == Witness::Kind::kInput) out += fmt::format("    {} = {};\n", signal.name, verilog_literal(witness.cycles[c][s]));
      else if (c == 0 && signal.kind == Witness::Kind::kRegister) out += fmt::format("    dut.{} = {};\n", signal.name, verilog_literal(witness.cycles[c][s]));
    }
    out += "    #5;\n";
    // The idle edge comes before the next inputs: an assertion on that edge sees this cycle's.
    if (!clock_name.empty()) out += fmt::format("    {0} = 1'b{1};\n    #5;\n    {0} = 1'b{2};\n    #5;\n", clock_name, falling ? 0 : 1, falling ? 1 : 0);
  }
  return out + "    $finish;\n  end\nendmodule\n";
}

}  // namespace callie::assertions
