#include "io/http_json.h"

#include <curl/curl.h>

#include <chrono>
#include <memory>
#include <mutex>
#include <thread>

#include "core/interrupt.h"

namespace callie::io {
namespace {

size_t collect(char* data, size_t size, size_t count, void* to) {
  static_cast<std::string*>(to)->append(data, size * count);
  return size * count;
}

int stop_when_interrupted(void*, curl_off_t, curl_off_t, curl_off_t, curl_off_t) { return interrupted() ? 1 : 0; }

struct Reply {
  CURLcode code = CURLE_OK;
  long status = 0;
  std::string text;
};

Reply exchange(const std::string& url, const std::string* body, const HttpJsonOptions& options) {
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
  Reply out;
  const std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> curl(curl_easy_init(), curl_easy_cleanup);
  curl_slist* list = curl_slist_append(nullptr, "Content-Type: application/json");
  list = curl_slist_append(list, "Expect:");
  if (!options.api_key.empty()) list = curl_slist_append(list, ("Authorization: Bearer " + options.api_key).c_str());
  const std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)> headers(list, curl_slist_free_all);
  curl_easy_setopt(curl.get(), CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl.get(), CURLOPT_HTTPHEADER, headers.get());
  if (body) {
    curl_easy_setopt(curl.get(), CURLOPT_POSTFIELDS, body->c_str());
    curl_easy_setopt(curl.get(), CURLOPT_POSTFIELDSIZE, static_cast<long>(body->size()));
  }
  curl_easy_setopt(curl.get(), CURLOPT_WRITEFUNCTION, collect);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEDATA, &out.text);
  curl_easy_setopt(curl.get(), CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl.get(), CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(curl.get(), CURLOPT_XFERINFOFUNCTION, stop_when_interrupted);
  curl_easy_setopt(curl.get(), CURLOPT_TIMEOUT_MS, static_cast<long>(options.timeout_s * 1e3));
  out.code = curl_easy_perform(curl.get());
  curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &out.status);
  return out;
}

std::string message_of(const Reply& reply) {
  const Json json = Json::parse(reply.text, nullptr, false);
  if (json.is_object() && json.contains("error")) {
    const Json& error = json["error"];
    if (error.is_string()) return error.get<std::string>();
    if (error.is_object() && error.contains("message") && error["message"].is_string()) return error["message"].get<std::string>();
  }
  return reply.text.substr(0, 200);
}

}  // namespace

StatusOr<Json> http_json(const std::string& url, const Json& body, const HttpJsonOptions& options) {
  const std::string text = body.is_null() ? "" : body.dump(-1, ' ', false, Json::error_handler_t::replace);
  std::string last;
  for (int attempt = 0; attempt < options.attempts; ++attempt) {
    if (attempt > 0) std::this_thread::sleep_for(std::chrono::milliseconds(250 << attempt));
    if (interrupted()) return Status(StatusCode::kCancelled, "stopped");
    const Reply reply = exchange(url, body.is_null() ? nullptr : &text, options);
    if (interrupted()) return Status(StatusCode::kCancelled, "stopped");
    if (reply.code != CURLE_OK) {
      last = curl_easy_strerror(reply.code);
      continue;
    }
    if (reply.status == 429 || reply.status >= 500) {
      last = fmt::format("status {}: {}", reply.status, message_of(reply));
      continue;
    }
    if (reply.status >= 400) return invalid_argument("{}: status {}: {}", url, reply.status, message_of(reply));
    Json json = Json::parse(reply.text, nullptr, false);
    if (json.is_discarded()) return data_loss("{}: the reply is no JSON", url);
    return json;
  }
  return error(StatusCode::kUnavailable, "{}: {}", url, last);
}

}  // namespace callie::io
