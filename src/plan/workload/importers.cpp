#include "plan/workload/importers.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>

#include "plan/table_file.h"
#include "plan/workload/jsonl_importers.h"

namespace callie::plan {
namespace {

constexpr int64_t kMostTokens = 100'000'000;

/// Seconds since 1970 of "2023-11-16 18:17:03.9799600", also with T and a zone letter; or a plain number of seconds.
StatusOr<double> parse_time(const TableFile& file, int column) {
  const std::string_view text = file.cell(column);
  int year = 0, month = 0, day = 0, hour = 0, minute = 0;
  double second = 0;
  const auto integer = [&](size_t at, size_t n, int& out) {
    return at + n <= text.size() && std::from_chars(text.data() + at, text.data() + at + n, out).ptr == text.data() + at + n;
  };
  if (text.size() >= 19 && text[4] == '-' && text[7] == '-' && integer(0, 4, year) && integer(5, 2, month) &&
      integer(8, 2, day) && integer(11, 2, hour) && integer(14, 2, minute)) {
    const auto [end, problem] = std::from_chars(text.data() + 17, text.data() + text.size(), second);
    if (problem != std::errc() || month < 1 || month > 12 || day < 1 || day > 31 || hour < 0 || hour > 23 || minute < 0 ||
        minute > 59 || !(second >= 0 && second < 61)) {
      return file.bad_cell(column, "not a time");
    }
    // Days from civil, proleptic Gregorian.
    const int y = year - (month <= 2);
    const int era = (y >= 0 ? y : y - 399) / 400;
    const int yoe = y - era * 400, doy = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    const int64_t days = int64_t{era} * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
    return static_cast<double>(days * 86400 + hour * 3600 + minute * 60) + second;
  }
  return file.number(column);
}

/// A CSV trace: which columns hold what.
struct CsvForm {
  const char* name;
  const char* time;      ///< nullptr: no arrival times
  double time_unit;      ///< seconds
  const char* prompt;
  const char* output;
  const char* klass;     ///< nullptr: one class
  bool skip_empty;       ///< rows without an output are failures of the recorded service: left out
};

constexpr CsvForm kCsvForms[] = {
    {"azure", "TIMESTAMP", 1, "ContextTokens", "GeneratedTokens", nullptr, false},
    {"vidur", "arrived_at", 1, "num_prefill_tokens", "num_decode_tokens", nullptr, false},
    {"splitwise", "arrival_timestamp", 1, "prompt_size", "token_size", nullptr, false},
    {"burstgpt", "Timestamp", 1, "Request tokens", "Response tokens", "Model", true},
    {"tracev2", "arrival_time_us", 1e-6, "input_tokens", "output_tokens", "slo_class", true},
    {"servegen", "timestamp", 1, "input_tokens", "output_tokens", nullptr, false},
};

StatusOr<Trace> import_csv(TableFile& file, const CsvForm& form) {
  Trace trace;
  trace.source = file.path();
  const int time = form.time ? file.find_column(form.time) : -1;
  if (time < 0 && std::string_view(form.name) != "vidur") {
    return data_loss("{}:1: no column \"{}\"", file.path(), form.time);
  }
  trace.has_arrivals = time >= 0;
  CALLIE_ASSIGN_OR_RETURN(const int prompt, file.column(form.prompt));
  CALLIE_ASSIGN_OR_RETURN(const int output, file.column(form.output));
  const int klass = form.klass ? file.find_column(form.klass) : -1;
  std::map<std::string, int16_t, std::less<>> classes;
  while (true) {
    CALLIE_ASSIGN_OR_RETURN(const bool more, file.next());
    if (!more) break;
    Trace::Row row;
    CALLIE_ASSIGN_OR_RETURN(const int64_t p, file.integer(prompt, 0, kMostTokens));
    CALLIE_ASSIGN_OR_RETURN(const int64_t o, file.integer(output, 0, kMostTokens));
    if (form.skip_empty && (o == 0 || p == 0)) continue;
    if (p == 0) return file.bad_cell(prompt, "a request without a prompt");
    if (o == 0) return file.bad_cell(output, "a request without output");
    row.prompt = static_cast<int32_t>(p);
    row.output = static_cast<int32_t>(o);
    if (time >= 0) {
      CALLIE_ASSIGN_OR_RETURN(const double t, parse_time(file, time));
      if (t < 0) return file.bad_cell(time, "negative");
      row.arrival_s = t * form.time_unit;
    }
    if (klass >= 0) {
      auto found = classes.find(file.cell(klass));
      if (found == classes.end()) {
        if (trace.classes.size() >= 1000) return file.bad_cell(klass, "more than a thousand classes");
        found = classes.emplace(file.cell(klass), static_cast<int16_t>(trace.classes.size())).first;
        trace.classes.emplace_back(file.cell(klass));
      }
      row.klass = found->second;
    }
    trace.rows.push_back(row);
  }
  return trace;
}

std::string_view first_line(const std::string& text) {
  std::string_view line(text.data(), std::min(text.find('\n'), text.size()));
  if (line.starts_with("\xEF\xBB\xBF")) line.remove_prefix(3);
  return line;
}

std::string recognise(const std::string& text) {
  const std::string_view line = first_line(text);
  const auto has = [&](const char* word) { return line.find(word) != std::string_view::npos; };
  if (line.starts_with("{")) return recognise_jsonl(line);
  for (const CsvForm& form : kCsvForms) {
    if (has(form.prompt) && has(form.output)) {
      if (std::string_view(form.name) == "tracev2" && !has("arrival_time_us")) continue;
      return form.name;
    }
  }
  return "";
}

Status normalise(Trace& trace) {
  if (trace.rows.empty()) return data_loss("{}: no requests", trace.source);
  std::stable_sort(trace.rows.begin(), trace.rows.end(),
                   [](const Trace::Row& a, const Trace::Row& b) { return a.arrival_s < b.arrival_s; });
  const double start = trace.rows.front().arrival_s;
  for (Trace::Row& row : trace.rows) row.arrival_s -= start;
  if (!(trace.rows.back().arrival_s < 1e9)) return data_loss("{}: the trace spans more than 30 years", trace.source);
  return ok_status();
}

}  // namespace

std::vector<std::string> trace_formats() {
  std::vector<std::string> names;
  for (const CsvForm& form : kCsvForms) names.emplace_back(form.name);
  for (const char* name : {"mooncake", "llmservingsim", "callie"}) names.emplace_back(name);
  return names;
}

StatusOr<Trace> import_trace_text(const std::string& text, const std::string& name, const std::string& wanted) {
  const std::string format = wanted.empty() ? recognise(text) : wanted;
  if (format.empty()) {
    return data_loss("{}:1: not a trace of a known format: \"{}\"", name, first_line(text).substr(0, 60));
  }
  for (const CsvForm& form : kCsvForms) {
    if (format != form.name) continue;
    CALLIE_ASSIGN_OR_RETURN(TableFile file, TableFile::parse(text, name));
    CALLIE_ASSIGN_OR_RETURN(Trace trace, import_csv(file, form));
    CALLIE_RETURN_IF_ERROR(normalise(trace));
    return trace;
  }
  CALLIE_ASSIGN_OR_RETURN(Trace trace, import_jsonl(text, name, format));
  CALLIE_RETURN_IF_ERROR(normalise(trace));
  return trace;
}

StatusOr<Trace> import_trace(const std::string& path, const std::string& format) {
  CALLIE_ASSIGN_OR_RETURN(const std::string text, read_maybe_gzip(path));
  return import_trace_text(text, path, format);
}

}  // namespace callie::plan
