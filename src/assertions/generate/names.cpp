#include "assertions/generate/names.h"

#include <fmt/format.h>

#include <iterator>
#include <vector>

namespace callie::assertions {
namespace {

// Every fourth word of a list is of the test split.
constexpr const char* kData[] = {
    "data", "addr", "count", "payload", "value", "result", "operand", "offset", "word", "token", "sample", "level",
    "acc", "limit", "base", "mask", "pattern", "byte_lane", "timer", "tag", "index", "threshold", "period", "rdata",
    "wdata", "digest", "credit", "key_share", "opcode", "immediate", "target_pc", "cause", "epoch", "budget", "weight", "sum",
    "lfsr", "crc", "nonce", "block_len", "burst", "quota", "score", "vector", "window", "depth", "stride", "checksum",
    "gain", "phase", "duty", "coeff", "balance", "length", "position", "snapshot"};
constexpr const char* kControl[] = {
    "valid", "ready", "enable", "busy", "start", "done", "error", "flush", "stall", "grant", "request", "ack",
    "hit", "miss", "full", "empty", "push", "pop", "load", "clear", "irq", "wake", "lock", "fault",
    "commit", "retry", "abort", "idle", "wr_en", "rd_en", "trigger", "match", "last", "first", "parity_ok", "sync",
    "armed", "halt", "resume", "expired", "tx_fire", "rx_fire", "overrun", "underrun", "taken", "squash", "alert", "debug_req"};
constexpr const char* kSelect[] = {
    "sel", "mode", "op", "cmd", "kind", "lane", "bank", "prio", "channel", "size_code", "region", "way",
    "func", "route", "source_id", "port_sel", "class_id", "format", "stage", "slot", "unit_sel", "access_type", "hart", "width_code"};
constexpr const char* kClock[] = {"clk", "clock", "aclk", "sys_clk", "core_clk", "bus_clk", "mclk", "pclk",
                                  "hclk", "clk_sys", "clk_io", "ref_clk", "fclk", "tck", "clk_main", "sclk"};
constexpr const char* kReset[] = {"rst", "reset", "arst", "sys_rst", "core_rst", "rst_sys", "por", "mrst",
                                  "hreset", "rst_io", "presetn_src", "clear_all"};
constexpr const char* kState[] = {
    "IDLE", "WAIT", "RUN", "STOP", "LOAD", "STORE", "FETCH", "DECODE", "SEND", "RECV", "DRAIN", "FLUSH",
    "ARM", "FIRE", "HOLD", "LOCKED", "CHECK", "FAIL", "RETRY", "RELEASE", "INIT", "SETUP", "ACCESS", "FINISH",
    "HEAD", "BODY", "TAIL", "PAUSE", "SLEEP", "WAKE", "GRANT", "BACKOFF"};
constexpr const char* kBlock[] = {"update", "decide", "steer", "choose", "advance", "arbiter", "control", "datapath",
                                  "router", "tracker", "monitor_unit", "sequencer", "engine", "filter", "encoder", "mapper",
                                  "counter_unit", "queue_ctl", "adapter", "bridge", "scheduler", "translator", "guard", "merger"};
constexpr const char* kPrefix[] = {"tx_", "rx_", "mem_", "bus_", "cfg_", "reg_", "spi_", "dma_", "alu_", "lsu_", "if_", "ex_",
                                   "uart_", "gpio_", "tlb_", "pmp_", "hw_", "sw_", "ch_", "q_"};

template <size_t N>
std::string root(const char* const (&list)[N], Dice& dice, bool test) {
  const int tests = static_cast<int>((N + 3) / 4);
  if (test) return list[static_cast<size_t>(dice.below(tests)) * 4];
  const int n = dice.below(static_cast<int>(N) - tests);
  return list[static_cast<size_t>(n / 3 * 4 + n % 3 + 1)];
}

}  // namespace

Names::Names(Dice& dice, bool test) : dice_(dice), test_(test), style_(dice.below(4)) {
  if (dice.chance(30)) prefix_ = dice.pick(kPrefix);
}

std::string Names::fresh(const std::string& base) {
  std::string out = base;
  if (dice_.chance(style_ == 0 ? 70 : 10)) out += fmt::format("_{}", dice_.between(1, 20));
  for (int n = 2; used_.contains(out); ++n) out = fmt::format("{}_{}", base, n + 18);
  used_.insert(out);
  return out;
}

std::string Names::take(Role role, bool is_output) {
  switch (role) {
    case Role::kClock: return fresh(root(kClock, dice_, test_) + (style_ == 1 ? "_i" : ""));
    case Role::kReset: return fresh(root(kReset, dice_, test_));
    case Role::kState: return fresh(root(kState, dice_, test_));
    case Role::kBlock: return fresh(root(kBlock, dice_, test_));
    default: break;
  }
  std::string base = role == Role::kData      ? root(kData, dice_, test_)
                     : role == Role::kControl ? root(kControl, dice_, test_)
                                              : root(kSelect, dice_, test_);
  base = prefix_ + base;
  if (style_ == 1) base += is_output ? "_o" : "_i";
  if (style_ == 2 && is_output) base += "_q";
  return fresh(base);
}

std::string Names::take_reset(bool active_low) {
  const std::string name = root(kReset, dice_, test_);
  return fresh(name + (active_low ? (style_ == 1 ? "_ni" : "_n") : style_ == 1 ? "_i" : ""));
}

}  // namespace callie::assertions
