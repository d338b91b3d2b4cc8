#include "assertions/dataset/task.h"

#include <map>
#include <set>

#include "assertions/dataset/csv.h"
#include "core/atomic_file.h"
#include "core/json_lines.h"

namespace callie::assertions {
namespace {

/// A JSON object and the line it begins on.
struct Record {
  Json json;
  int line = 0;
};

// The objects of a JSON array with their lines: the array is cut at its top-level braces, outside of strings.
Status split_array(const std::string& name, std::string_view text, std::vector<Record>& out) {
  int line = 1, depth = 0, object_line = 1;
  size_t begin = 0;
  bool in_string = false;
  for (size_t i = text.find('[') + 1; i < text.size(); ++i) {
    const char c = text[i];
    line += c == '\n';
    if (in_string) {
      if (c == '\\') ++i;
      else if (c == '"') in_string = false;
      continue;
    }
    if (c == '"') in_string = true;
    else if (c == '{' && depth++ == 0) {
      begin = i;
      object_line = line;
    } else if (c == '}' && depth > 0 && --depth == 0) {
      Json json = Json::parse(text.substr(begin, i + 1 - begin), nullptr, false);
      if (json.is_discarded()) return data_loss("{}:{}: not a JSON object", name, object_line);
      out.push_back({std::move(json), object_line});
    } else if (c == ']' && depth == 0) {
      return ok_status();
    }
  }
  return data_loss("{}:{}: the JSON array has no end", name, line);
}

StatusOr<std::vector<Record>> records_of(const std::string& name, std::string_view text) {
  std::vector<Record> out;
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first != std::string_view::npos && text[first] == '[') {
    CALLIE_RETURN_IF_ERROR(split_array(name, text, out));
    return out;
  }
  CALLIE_RETURN_IF_ERROR(for_each_json_line(text, name, [&](Json& json, int line) {
    out.push_back({std::move(json), line});
    return ok_status();
  }));
  return out;
}

bool has(const Json& json, const char* key) { return json.is_object() && json.contains(key) && !json[key].is_null(); }

StatusOr<std::string> text_of(const Json& json, const char* key) {
  if (!has(json, key)) return data_loss("'{}' is missing", key);
  if (!json[key].is_string()) return data_loss("'{}' is not text", key);
  return json[key].get<std::string>();
}

// A directive takes the rest of its line; designs on a single line would vanish behind one.
std::string end_directives(std::string text) {
  for (size_t at = text.find("`timescale"); at != std::string::npos; at = text.find("`timescale", at + 1)) {
    size_t i = at + 10;
    for (int part = 0; part < 2; ++part) {
      while (i < text.size() && !std::isalpha(static_cast<unsigned char>(text[i])) && text[i] != '\n') ++i;
      while (i < text.size() && std::isalpha(static_cast<unsigned char>(text[i]))) ++i;
    }
    if (i < text.size() && text[i] != '\n') text.insert(i, 1, '\n');
  }
  return text;
}

StatusOr<Task> task_from(const Json& json, int number) {
  Task out;
  if (has(json, "verilog_design")) {  // AssertionBench
    CALLIE_ASSIGN_OR_RETURN(out.id, text_of(json, "file_name"));
    if (const size_t dot = out.id.rfind('.'); dot != std::string::npos) out.id.resize(dot);
    CALLIE_ASSIGN_OR_RETURN(out.module, text_of(json, "verilog_design"));
    out.module = end_directives(std::move(out.module));
    out.code = out.module;
    return out;
  }
  if (has(json, "task_id") && has(json, "canonical_solution")) {  // VerilogEval
    CALLIE_ASSIGN_OR_RETURN(out.id, text_of(json, "task_id"));
    CALLIE_ASSIGN_OR_RETURN(out.module, text_of(json, "prompt"));
    CALLIE_ASSIGN_OR_RETURN(const std::string rest, text_of(json, "canonical_solution"));
    out.module += rest;
    out.code = out.module;
    return out;
  }
  CALLIE_ASSIGN_OR_RETURN(const Pair pair, pair_from_json(json));
  out = task_of(pair);
  if (has(json, "Code") && !has(json, "id") && !has(json, "module")) {  // VERT's own
    out.id = fmt::format("vert-{}", number);
    out.module = wrap_snippet(out.code, out.synchronous, out.clock_text);
    return out;
  }
  for (const char* key : {"id", "module", "Assertion"}) {
    if (!has(json, key)) return data_loss("'{}' is missing", key);
  }
  return out;
}

StatusOr<std::vector<Task>> tasks_of_csv(const std::string& name, std::string_view text) {
  StatusOr<std::vector<CsvRow>> rows = parse_csv(text);
  if (!rows.ok()) return data_loss("{}:{}", name, rows.status().message());
  if (rows->empty()) return data_loss("{}:1: no header", name);
  std::map<std::string, size_t> columns;
  for (size_t i = 0; i < (*rows)[0].cells.size(); ++i) {
    if (!columns.emplace((*rows)[0].cells[i], i).second) return data_loss("{}:1: two columns '{}'", name, (*rows)[0].cells[i]);
  }
  for (const char* column : {"design_name", "task_id", "prompt", "testbench"}) {
    if (!columns.contains(column)) return data_loss("{}:1: no column '{}'", name, column);
  }
  std::vector<Task> out;
  for (size_t r = 1; r < rows->size(); ++r) {
    const CsvRow& row = (*rows)[r];
    if (row.cells.size() != columns.size()) {
      return data_loss("{}:{}: {} cells where the header has {}", name, row.line, row.cells.size(), columns.size());
    }
    const auto cell = [&](const char* column) { return columns.contains(column) ? row.cells[columns[column]] : std::string(); };
    Task task;
    task.line = row.line;
    task.id = cell("design_name") + "/" + cell("task_id");
    task.module = cell("testbench");
    task.code = task.module;
    task.request = cell("prompt");
    task.assertion = cell("ref_solution");
    out.push_back(std::move(task));
  }
  return out;
}

}  // namespace

Task task_of(const Pair& pair) {
  Task out;
  out.id = pair.id;
  out.code = pair.code.empty() ? pair.module : pair.code;
  out.synchronous = pair.synchronous;
  out.clock_text = pair.clock_text;
  out.module = pair.module;
  out.assertion = pair.assertion;
  for (const Pair::Mutant& mutant : pair.mutants) {
    if (mutant.kind.starts_with("design") && mutant.verdict == "refuted") out.wrong_modules.push_back(mutant.text);
  }
  return out;
}

StatusOr<std::vector<Task>> parse_tasks(const std::string& name, std::string_view text) {
  std::vector<Task> out;
  if (name.ends_with(".csv")) {
    CALLIE_ASSIGN_OR_RETURN(out, tasks_of_csv(name, text));
  } else {
    CALLIE_ASSIGN_OR_RETURN(const std::vector<Record> records, records_of(name, text));
    for (size_t i = 0; i < records.size(); ++i) {
      StatusOr<Task> task = task_from(records[i].json, static_cast<int>(i) + 1);
      if (!task.ok()) return data_loss("{}:{}: {}", name, records[i].line, task.status().message());
      task->line = records[i].line;
      out.push_back(std::move(*task));
    }
  }
  std::map<std::string, int> seen;
  for (const Task& task : out) {
    const auto [it, fresh] = seen.emplace(task.id, task.line);
    if (!fresh) return data_loss("{}:{}: id '{}' is repeated (first on line {})", name, task.line, task.id, it->second);
  }
  return out;
}

StatusOr<std::vector<Task>> read_tasks(const std::string& path) {
  CALLIE_ASSIGN_OR_RETURN(const std::string text, read_text_file(path));
  CALLIE_ASSIGN_OR_RETURN(std::vector<Task> out, parse_tasks(path, text));
  if (out.empty()) return data_loss("{}:1: no records", path);
  return out;
}

Status add_mined_assertions(const std::string& path, std::vector<Task>& tasks) {
  CALLIE_ASSIGN_OR_RETURN(const std::string text, read_text_file(path));
  CALLIE_ASSIGN_OR_RETURN(const std::vector<Record> records, records_of(path, text));
  for (const Record& record : records) {
    for (const auto& [key, list] : record.json.items()) {
      if (!list.is_array()) return data_loss("{}:{}: '{}' is not a list", path, record.line, key);
      const std::string design = key.substr(0, key.rfind('_'));
      for (Task& task : tasks) {
        if (task.id != design && task.id != key) continue;
        for (const Json& one : list) {
          if (!one.is_string()) return data_loss("{}:{}: '{}' holds something that is not text", path, record.line, key);
          std::string property = one.get<std::string>();
          while (!property.empty() && (property.back() == ';' || std::isspace(static_cast<unsigned char>(property.back())))) property.pop_back();
          task.obligations.push_back(fmt::format("assert property ({});", property));
          task.assertion += task.obligations.back() + "\n";
        }
      }
    }
  }
  return ok_status();
}

StatusOr<std::vector<AnswerLine>> parse_answers(const std::string& name, std::string_view text) {
  CALLIE_ASSIGN_OR_RETURN(const std::vector<Record> records, records_of(name, text));
  std::vector<AnswerLine> out;
  std::map<std::string, int> next;
  for (const Record& record : records) {
    AnswerLine answer;
    answer.line = record.line;
    for (const auto& [key, to] : {std::pair{"id", &answer.id}, std::pair{"Assertion", &answer.text}}) {
      StatusOr<std::string> value = text_of(record.json, key);
      if (!value.ok()) return data_loss("{}:{}: {}", name, record.line, value.status().message());
      *to = std::move(*value);
    }
    answer.sample = next[answer.id]++;
    if (has(record.json, "sample")) {
      const Json& sample = record.json["sample"];
      if (!sample.is_number_integer() || sample.get<int64_t>() < 0 || sample.get<int64_t>() > 1000000000) {
        return data_loss("{}:{}: 'sample' is not a whole number", name, record.line);
      }
      answer.sample = sample.get<int>();
    }
    out.push_back(std::move(answer));
  }
  return out;
}

StatusOr<std::vector<AnswerLine>> read_answers(const std::string& path) {
  CALLIE_ASSIGN_OR_RETURN(const std::string text, read_text_file(path));
  return parse_answers(path, text);
}

std::string write_answer(const AnswerLine& answer) {
  return Json{{"id", answer.id}, {"sample", answer.sample}, {"Assertion", answer.text}}.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace callie::assertions
