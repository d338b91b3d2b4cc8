#include "serve/api/keys.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <algorithm>
#include <fstream>
#include <sstream>

namespace callie::serve {
namespace {

std::array<uint8_t, 32> digest_of(std::string_view key) {
  std::array<uint8_t, 32> digest;
  SHA256(reinterpret_cast<const uint8_t*>(key.data()), key.size(), digest.data());
  return digest;
}

}  // namespace

std::vector<std::string> keys_in(std::string_view text) {
  std::vector<std::string> keys;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    std::string_view line = text.substr(begin, end - begin);
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.remove_suffix(1);
    if (!line.empty() && line[0] != '#') keys.emplace_back(line);
    begin = end + 1;
  }
  return keys;
}

StatusOr<ApiKeys> ApiKeys::read(const std::string& path) {
  std::ifstream file(path);
  if (!file) return not_found("api-key-file: {} cannot be read", path);
  std::stringstream text;
  text << file.rdbuf();
  ApiKeys keys;
  for (const std::string& key : keys_in(text.str())) keys.add(key);
  if (keys.empty()) return invalid_argument("api-key-file: {} holds no key", path);
  return keys;
}

void ApiKeys::add(std::string_view key) { digests_.push_back(digest_of(key)); }

bool ApiKeys::allow(std::string_view authorization) const {
  if (digests_.empty()) return true;
  constexpr std::string_view kScheme = "Bearer ";
  if (!authorization.starts_with(kScheme)) return false;
  const Digest shown = digest_of(authorization.substr(kScheme.size()));
  bool found = false;
  for (const Digest& digest : digests_) found |= CRYPTO_memcmp(digest.data(), shown.data(), digest.size()) == 0;
  return found;
}

}  // namespace callie::serve
