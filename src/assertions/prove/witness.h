#pragma once

#include <string>

#include "assertions/prove/prove.h"
#include "core/json.h"

namespace callie::assertions {

/// "8'h1f".
std::string verilog_literal(const BitString& bits);
/// {"cycles": [{signal: value, ...}, ...]} of inputs and registers: integers up to 32 bits, Verilog literals above.
Json witness_json(const Witness& witness);
/// One row a signal, one column a cycle, values in hexadecimal; the last cycle is the failing one.
std::string witness_table(const Witness& witness);
/// A value change dump: 10 time units a cycle, a clock edge at its end.
std::string witness_vcd(const Witness& witness, const std::string& top);
/// A module `callie_witness` for `verilator --binary --assert`: sets the registers of the first cycle, drives the
/// inputs cycle by cycle through the clock edges, and finishes. `clock` is "posedge NAME" or "negedge NAME"; empty:
/// no clock is driven.
std::string witness_testbench(const Witness& witness, const std::string& top, const std::string& clock);

}  // namespace callie::assertions
