#include "io/http_json.h"

#include <chrono>
#include <memory>
#include <thread>

#include "core/interrupt.h"
#include "io/curl.h"

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

Reply exchange(const Curl& curl, const std::string& url, const std::string* body, const HttpOptions& options) {
  Reply out;
  const std::unique_ptr<CURL, decltype(curl.easy_cleanup)> handle(curl.easy_init(), curl.easy_cleanup);
  const auto set = [&](CURLoption option, auto value) { curl.easy_setopt(handle.get(), option, value); };
  curl_slist* list = curl.slist_append(nullptr, "Content-Type: application/json");
  list = curl.slist_append(list, "Expect:");
  if (!options.api_key.empty()) list = curl.slist_append(list, ("Authorization: Bearer " + options.api_key).c_str());
  const std::unique_ptr<curl_slist, decltype(curl.slist_free_all)> headers(list, curl.slist_free_all);
  set(CURLOPT_URL, url.c_str());
  set(CURLOPT_HTTPHEADER, headers.get());
  if (body) {
    set(CURLOPT_POSTFIELDS, body->c_str());
    set(CURLOPT_POSTFIELDSIZE, static_cast<long>(body->size()));
  }
  set(CURLOPT_WRITEFUNCTION, collect);
  set(CURLOPT_WRITEDATA, &out.text);
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_NOPROGRESS, 0L);
  set(CURLOPT_XFERINFOFUNCTION, stop_when_interrupted);
  set(CURLOPT_TIMEOUT_MS, static_cast<long>(options.timeout_s * 1e3));
  out.code = curl.easy_perform(handle.get());
  curl.easy_getinfo(handle.get(), CURLINFO_RESPONSE_CODE, &out.status);
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

/// The text of a reply below 400.
StatusOr<std::string> request(const std::string& url, const std::string* body, const HttpOptions& options) {
  CALLIE_ASSIGN_OR_RETURN(const Curl* curl, Curl::get());
  std::string last;
  for (int attempt = 0; attempt < options.attempts; ++attempt) {
    if (attempt > 0) std::this_thread::sleep_for(std::chrono::milliseconds(250 << attempt));
    if (interrupted()) return Status(StatusCode::kCancelled, "stopped");
    Reply reply = exchange(*curl, url, body, options);
    if (interrupted()) return Status(StatusCode::kCancelled, "stopped");
    if (reply.code != CURLE_OK) {
      last = curl->easy_strerror(reply.code);
      continue;
    }
    if (reply.status == 429 || reply.status >= 500) {
      last = fmt::format("status {}: {}", reply.status, message_of(reply));
      continue;
    }
    if (reply.status >= 400) return invalid_argument("{}: status {}: {}", url, reply.status, message_of(reply));
    return std::move(reply.text);
  }
  return error(StatusCode::kUnavailable, "{}: {}", url, last);
}

}  // namespace

StatusOr<std::string> http_get(const std::string& url, const HttpOptions& options) { return request(url, nullptr, options); }

StatusOr<Json> http_json(const std::string& url, const Json& body, const HttpOptions& options) {
  const std::string text = body.is_null() ? "" : body.dump(-1, ' ', false, Json::error_handler_t::replace);
  CALLIE_ASSIGN_OR_RETURN(const std::string reply, request(url, body.is_null() ? nullptr : &text, options));
  Json json = Json::parse(reply, nullptr, false);
  if (json.is_discarded()) return data_loss("{}: the reply is no JSON", url);
  return json;
}

}  // namespace callie::io
