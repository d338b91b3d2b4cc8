#include "plan/workload/importers.h"

/// Workload traces: CSV and JSONL of every format, recognised by their first line.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto trace = callie::plan::import_trace_text(text, "trace", "");
  if (trace.ok()) {
    for (const auto& row : trace->rows) {
      if (row.prompt < 0 || row.output < 0 || !(row.arrival_s >= 0)) __builtin_trap();
    }
  }
  return 0;
}
