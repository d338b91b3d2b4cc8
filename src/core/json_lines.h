#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>

#include "core/json.h"
#include "core/status.h"

namespace callie {

/// Calls read(row, number), which returns a Status, for each line of `text` that is not blank; lines count from 1.
/// Ends at the first error.
template <typename Read>
Status for_each_line(std::string_view text, Read&& read) {
  size_t at = 0;
  for (int number = 1; at < text.size(); ++number) {
    size_t end = text.find('\n', at);
    if (end == std::string_view::npos) end = text.size();
    const std::string_view row = text.substr(at, end - at);
    at = end + 1;
    if (row.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    CALLIE_RETURN_IF_ERROR(read(row, number));
  }
  return ok_status();
}

/// The same for JSON lines, each an object: read(json, number), where `json` may be moved from. Errors: kDataLoss
/// ("NAME:LINE: not a JSON object").
template <typename Read>
Status for_each_json_line(std::string_view text, std::string_view name, Read&& read) {
  return for_each_line(text, [&](std::string_view row, int number) -> Status {
    Json json = Json::parse(row, nullptr, false);
    if (json.is_discarded() || !json.is_object()) return data_loss("{}:{}: not a JSON object", name, number);
    return read(json, number);
  });
}

}  // namespace callie
