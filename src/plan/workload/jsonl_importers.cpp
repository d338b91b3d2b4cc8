#include "plan/workload/jsonl_importers.h"

#include <simdjson.h>

#include <cmath>

#include "core/hash.h"
#include "core/json_lines.h"

namespace callie::plan {
namespace {

constexpr double kMostTokens = 1e8;

/// One line as an object, with errors that name the line and the field.
class Line {
 public:
  Line(simdjson::dom::element element, std::string place) : element_(element), place_(std::move(place)) {}

  bool has(const char* key) const {
    simdjson::dom::element found;
    return element_[key].get(found) == simdjson::SUCCESS && !found.is_null();
  }
  StatusOr<double> number(const char* key, double low, double high) const {
    simdjson::dom::element found;
    if (element_[key].get(found) != simdjson::SUCCESS) return data_loss("{}: {}: missing", place_, key);
    double value = 0;
    if (found.get(value) != simdjson::SUCCESS) return data_loss("{}: {}: not a number", place_, key);
    if (!std::isfinite(value) || value < low || value > high) {
      return data_loss("{}: {}: {} is outside {}..{}", place_, key, value, low, high);
    }
    return value;
  }
  StatusOr<int32_t> tokens(const char* key) const {
    CALLIE_ASSIGN_OR_RETURN(const double value, number(key, 1, kMostTokens));
    if (value != std::floor(value)) return data_loss("{}: {}: {} is not a whole number", place_, key, value);
    return static_cast<int32_t>(value);
  }
  /// Appends the hashes of an array field. Numbers are hashed, so that 0 is a block like any other.
  Status hashes(const char* key, Trace& trace, Trace::Row& row) const {
    simdjson::dom::array array;
    if (element_[key].get(array) != simdjson::SUCCESS) return data_loss("{}: {}: not an array", place_, key);
    row.first_hash = static_cast<uint32_t>(trace.hashes.size());
    for (const simdjson::dom::element entry : array) {
      uint64_t value = 0;
      int64_t negative = 0;
      std::string_view text;
      if (entry.get(value) == simdjson::SUCCESS) {
      } else if (entry.get(negative) == simdjson::SUCCESS) {
        value = static_cast<uint64_t>(negative);
      } else if (entry.get(text) == simdjson::SUCCESS) {
        value = xxh64({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
      } else {
        return data_loss("{}: {}: not a list of numbers or texts", place_, key);
      }
      value = (value + 1) * 0x9E3779B97F4A7C15u;
      trace.hashes.push_back((value ^ (value >> 29)) | 1);
    }
    if (trace.hashes.size() > 1'000'000'000) return data_loss("{}: {}: more than a thousand million hashes", place_, key);
    row.hash_count = static_cast<uint32_t>(trace.hashes.size()) - row.first_hash;
    return ok_status();
  }
  const std::string& place() const { return place_; }

 private:
  simdjson::dom::element element_;
  std::string place_;
};

StatusOr<bool> read_mooncake(const Line& line, Trace& trace, Trace::Row& row) {
  trace.hash_block = 512;
  CALLIE_ASSIGN_OR_RETURN(const double ms, line.number("timestamp", 0, 1e15));
  row.arrival_s = ms / 1e3;
  CALLIE_ASSIGN_OR_RETURN(row.prompt, line.tokens("input_length"));
  CALLIE_ASSIGN_OR_RETURN(row.output, line.tokens("output_length"));
  if (line.has("hash_ids")) {
    CALLIE_RETURN_IF_ERROR(line.hashes("hash_ids", trace, row));
    // The last block of a prompt is rarely full: it has an id all the same, which nobody can share.
    row.hash_count = std::min<uint32_t>(row.hash_count, static_cast<uint32_t>(row.prompt / trace.hash_block));
  }
  return true;
}

StatusOr<bool> read_llmservingsim(const Line& line, Trace& trace, Trace::Row& row) {
  (void)trace;
  CALLIE_ASSIGN_OR_RETURN(row.prompt, line.tokens("input_toks"));
  CALLIE_ASSIGN_OR_RETURN(row.output, line.tokens("output_toks"));
  if (line.has("arrival_time_ns")) {
    CALLIE_ASSIGN_OR_RETURN(const double ns, line.number("arrival_time_ns", 0, 1e19));
    row.arrival_s = ns / 1e9;
  } else {
    CALLIE_ASSIGN_OR_RETURN(row.arrival_s, line.number("arrival_time", 0, 1e12));
  }
  return true;
}

StatusOr<bool> read_callie(const Line& line, Trace& trace, Trace::Row& row) {
  if (line.has("blocks")) {  // the header
    CALLIE_ASSIGN_OR_RETURN(const double block, line.number("block_size", 1, 1e6));
    trace.hash_block = static_cast<int32_t>(block);
    return false;
  }
  CALLIE_ASSIGN_OR_RETURN(row.arrival_s, line.number("arrival_s", 0, 1e12));
  CALLIE_ASSIGN_OR_RETURN(row.prompt, line.tokens("prompt_tokens"));
  CALLIE_ASSIGN_OR_RETURN(const double output, line.number("output_tokens", 0, kMostTokens));
  if (output < 1) return false;  // cancelled before its first token
  row.output = static_cast<int32_t>(output);
  if (line.has("max_tokens")) {
    CALLIE_ASSIGN_OR_RETURN(row.max_tokens, line.tokens("max_tokens"));
    row.max_tokens = std::max(row.max_tokens, row.output);
  }
  if (line.has("priority")) {
    CALLIE_ASSIGN_OR_RETURN(const double priority, line.number("priority", -1000, 1000));
    row.priority = static_cast<int16_t>(priority);
  }
  if (line.has("prompt_block_hashes") && trace.hash_block > 0) {
    CALLIE_RETURN_IF_ERROR(line.hashes("prompt_block_hashes", trace, row));
    row.hash_count = std::min<uint32_t>(row.hash_count, static_cast<uint32_t>(row.prompt / trace.hash_block));
  }
  return true;
}

}  // namespace

std::string recognise_jsonl(std::string_view line) {
  const auto has = [&](const char* word) { return line.find(word) != std::string_view::npos; };
  if (has("\"input_length\"") && has("\"output_length\"")) return "mooncake";
  if (has("\"input_toks\"") && has("\"output_toks\"")) return "llmservingsim";
  if (has("\"block_size\"") || has("\"prompt_tokens\"")) return "callie";
  return "";
}

StatusOr<Trace> import_jsonl(const std::string& text, const std::string& name, const std::string& format) {
  StatusOr<bool> (*read)(const Line&, Trace&, Trace::Row&) = nullptr;
  if (format == "mooncake") read = read_mooncake;
  if (format == "llmservingsim") read = read_llmservingsim;
  if (format == "callie") read = read_callie;
  if (!read) return invalid_argument("trace format \"{}\" does not exist", format);
  Trace trace;
  trace.source = name;
  simdjson::dom::parser parser;
  CALLIE_RETURN_IF_ERROR(for_each_line(text, [&](std::string_view row_text, int number) -> Status {
    const std::string place = fmt::format("{}:{}", name, number);
    simdjson::dom::element element;
    const auto problem = parser.parse(row_text.data(), row_text.size(), true).get(element);
    if (problem != simdjson::SUCCESS) return data_loss("{}: not JSON: {}", place, simdjson::error_message(problem));
    if (!element.is_object()) return data_loss("{}: not a JSON object", place);
    Trace::Row row;
    CALLIE_ASSIGN_OR_RETURN(const bool keep, read(Line(element, place), trace, row));
    if (keep) trace.rows.push_back(row);
    return ok_status();
  }));
  if (trace.hashes.empty()) trace.hash_block = 0;
  return trace;
}

}  // namespace callie::plan
