#include <cstddef>
#include <cstdint>
#include <string>

#include "assertions/syntax/parser.h"
#include "assertions/syntax/printer.h"

/// Preprocessor, parser and printer on any bytes.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace callie::assertions;
  if (size > 4096) return 0;
  SourceSet sources;
  PreprocessOptions options;
  options.missing_includes_are_errors = false;
  auto unit = parse_text(sources, "fuzz.sv", std::string(reinterpret_cast<const char*>(data), size), options);
  if (unit.ok()) (void)print(*unit);
  return 0;
}
