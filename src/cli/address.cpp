#include "cli/address.h"

#include <charconv>

namespace callie::cli {

Status parse_address(const std::string& flag, const std::string& text, std::string& host, int& port) {
  const size_t colon = text.rfind(':');
  const char* end = text.data() + text.size();
  const auto [last, code] = colon == std::string::npos ? std::from_chars_result{end, std::errc::invalid_argument}
                                                       : std::from_chars(text.data() + colon + 1, end, port);
  if (colon == std::string::npos || colon == 0 || code != std::errc() || last != end || port < 0 || port > 65535) {
    return error(StatusCode::kUsage, "{}: '{}' is not HOST:PORT", flag, text);
  }
  host = text.substr(0, colon);
  return ok_status();
}

}  // namespace callie::cli
