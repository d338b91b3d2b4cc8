#include "core/environment.h"

#include <charconv>
#include <cstdlib>
#include <string_view>

namespace callie {
namespace {

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

std::string without_slash(std::string text) {
  while (text.size() > 1 && text.back() == '/') text.pop_back();
  return text;
}

/// "123", "64K", "512M", "20G", "1T".
bool parse_bytes(std::string_view text, uint64_t& bytes) {
  uint64_t unit = 1;
  const size_t at =
      text.empty() ? std::string_view::npos : std::string_view("KMGT").find(text.back());
  if (at != std::string_view::npos) {
    unit = uint64_t{1} << (10 * (at + 1));
    text.remove_suffix(1);
  }
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), bytes);
  if (problem != std::errc() || end != text.data() + text.size() || bytes > UINT64_MAX / unit)
    return false;
  bytes *= unit;
  return true;
}

}  // namespace

StatusOr<Environment> Environment::from_process() {
  Environment environment;
  environment.cache_folder = without_slash(variable("CALLIE_CACHE"));
  if (environment.cache_folder.empty()) {
    const std::string xdg = without_slash(variable("XDG_CACHE_HOME")),
                      home = without_slash(variable("HOME"));
    if (xdg.empty() && home.empty())
      return invalid_argument("HOME: not set; set CALLIE_CACHE to a folder");
    environment.cache_folder = xdg.empty() ? home + "/.cache/callie" : xdg + "/callie";
  }
  environment.models_folder = without_slash(variable("CALLIE_MODELS"));
  environment.hub = without_slash(variable("HF_ENDPOINT"));
  if (environment.hub.empty()) environment.hub = "https://huggingface.co";
  const std::string limit = variable("CALLIE_PACKED_LIMIT");
  if (!limit.empty() && !parse_bytes(limit, environment.packed_limit_bytes)) {
    return invalid_argument("CALLIE_PACKED_LIMIT: '{}' is not a size such as 20G", limit);
  }
  return environment;
}

}  // namespace callie
