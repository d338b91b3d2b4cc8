#include <cstdint>

#include "assertions/dataset/task.h"
#include "assertions/judge/judge.h"

/// Data sets and answers: the readers of JSON lines, arrays and CSV, and the judge's parser of answers.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace callie::assertions;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)parse_tasks("f.jsonl", text);
  (void)parse_tasks("f.csv", text);
  (void)parse_answers("a.jsonl", text);
  callie::assertions::SourceSet sources;
  (void)parse_answer(sources, "answer", text, "answer$", {"clk", "q"});
  return 0;
}
