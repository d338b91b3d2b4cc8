#include "tasks/prompt_file.h"

#include <zlib.h>

#include <cstdlib>

#include "chat/prompt_tokens.h"
#include "core/json_lines.h"

namespace callie {
namespace {

int64_t task_number(const Json& line) {
  if (!line.contains("task_id") || !line["task_id"].is_string()) return -1;
  const std::string id = line["task_id"].get<std::string>();
  const size_t at = id.find_last_not_of("0123456789");
  const std::string digits = at == std::string::npos ? id : id.substr(at + 1);
  return digits.empty() ? -1 : std::atoll(digits.c_str());
}

}  // namespace

StatusOr<std::vector<int32_t>> FilePrompt::tokens(const Tokenizer& tokenizer) const {
  return prompt_tokens(tokenizer, prompt, "", raw);
}

StatusOr<std::string> read_maybe_gzipped(const std::string& flag, const std::string& path) {
  const gzFile file = gzopen(path.c_str(), "rb");
  if (!file) return not_found("{}: {} cannot be read", flag, path);
  std::string text(1 << 16, '\0'), out;
  int n = 0;
  while ((n = gzread(file, text.data(), static_cast<unsigned>(text.size()))) > 0) out.append(text, 0, n);
  gzclose(file);
  if (n < 0) return data_loss("{}: {} is broken", flag, path);
  return out;
}

StatusOr<std::vector<FilePrompt>> read_prompt_file(const std::string& flag, const std::string& path) {
  CALLIE_ASSIGN_OR_RETURN(const std::string text, read_maybe_gzipped(flag, path));
  std::vector<FilePrompt> out;
  CALLIE_RETURN_IF_ERROR(for_each_json_line(text, path, [&](const Json& line, int number) -> Status {
    FilePrompt& p = out.emplace_back();
    p.raw = line.contains("prompt");
    const Json* field = p.raw                        ? &line["prompt"]
                        : line.contains("turns")     ? &line["turns"]
                        : line.contains("question")  ? &line["question"]
                                                     : &line;
    if (field->is_array() && !field->empty()) field = &(*field)[0];
    if (!field->is_string()) return data_loss("{}:{}: no prompt, turns or question", path, number);
    p.prompt = field->get<std::string>();
    for (const char* key : {"canonical_solution", "answer"}) {
      if (line.contains(key) && line[key].is_string()) p.answer = line[key].get<std::string>();
    }
    p.number = task_number(line);
    return ok_status();
  }));
  if (out.empty()) return data_loss("{}: no prompts", path);
  return out;
}

}  // namespace callie
