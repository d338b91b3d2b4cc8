#include "io/fetch.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <memory>
#include <string_view>
#include <thread>

#include "core/interrupt.h"
#include "core/progress.h"
#include "core/version.h"
#include "io/curl.h"
#include "io/partial_file.h"
#include "io/quote.h"

namespace callie::io {
namespace {

constexpr double kMaxWaitS = 30;
constexpr size_t kShaDigits = 64;

std::string lower(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  return result;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.back() == '\r' || text.back() == '\n' || text.back() == ' '))
    text.remove_suffix(1);
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  return text;
}

std::optional<uint64_t> number(std::string_view text) {
  uint64_t value = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (problem != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// What one response's headers say.
struct Headers {
  std::string etag, last_modified, linked_digest;
  std::optional<uint64_t> length, range_begin, range_total;

  void take(std::string_view name, std::string_view value) {
    if (name == "etag") etag = value;
    if (name == "last-modified") last_modified = value;
    if (name == "content-length") length = number(value);
    if (name == "content-range") take_range(value);
    if (name == "x-linked-etag") {
      // The hub names the digest of a large file before it redirects to where that lies.
      const std::string digest = lower(
          value.size() > 2 && value.front() == '"' ? value.substr(1, value.size() - 2) : value);
      if (digest.size() == kShaDigits &&
          digest.find_first_not_of("0123456789abcdef") == std::string::npos) {
        linked_digest = digest;
      }
    }
  }

  /// "bytes 5-9/10" or "bytes */10"
  void take_range(std::string_view value) {
    if (value.substr(0, 6) != "bytes ") return;
    value.remove_prefix(6);
    const size_t slash = value.find('/'), dash = value.find('-');
    if (slash == std::string_view::npos) return;
    range_total = number(value.substr(slash + 1));
    if (dash < slash) range_begin = number(value.substr(0, dash));
  }

  std::string validator() const {
    if (!etag.empty() && etag.substr(0, 2) != "W/")
      return etag;  // a weak one does not promise equal bytes
    return last_modified;
  }
};

enum class Outcome {
  kDone,     ///< all bytes are here
  kAgain,    ///< failed in a way that may pass
  kRestart,  ///< the server's file is another than the one begun; the partial file is empty now
  kFatal,
};

/// One download, over as many connections as it takes.
class Download {
 public:
  Download(const Curl& curl, std::string url, const FetchOptions& options, PartialFile file, Progress& progress)
      : curl_(curl), url_(std::move(url)), options_(options), file_(std::move(file)), progress_(progress) {}

  StatusOr<FetchResult> run() {
    CALLIE_RETURN_IF_ERROR(take_up());
    furthest_ = file_.size();
    int failures = 0;
    for (;;) {
      const Outcome outcome = connect();
      if (outcome == Outcome::kDone) {
        const Status checked = check_digest();
        if (checked.ok()) break;
        if (!resumed_ || checked.code() != StatusCode::kDataLoss) return checked;
        resumed_ = false;  // the begun part may have been the broken one: once more, from the start
        CALLIE_RETURN_IF_ERROR(begin_again());
        continue;
      }
      if (outcome == Outcome::kFatal) return problem_;
      if (outcome == Outcome::kRestart && restarts_++ < 3) continue;
      failures = file_.size() > furthest_ ? 1 : failures + 1;
      furthest_ = std::max(furthest_, file_.size());
      if (failures >= options_.attempts) return problem_;
      CALLIE_RETURN_IF_ERROR(wait(failures));
    }
    FetchResult result{file_.size(), transferred_, digest_};
    CALLIE_RETURN_IF_ERROR(file_.finish());
    return result;
  }

 private:
  /// Decides what of an earlier download is still good.
  Status take_up() {
    const auto source = file_.source();
    if (source && source->url == url_ && file_.size() > 0 &&
        (!source->validator.empty() || !options_.sha256.empty())) {
      source_ = *source;
      resumed_ = true;
      return ok_status();
    }
    return begin_again();
  }

  Status begin_again() {
    source_ = {.url = url_};
    return file_.truncate(0);
  }

  Status problem(StatusCode code, std::string_view message) const {
    return Status(code, fmt::format("{}: {}", url_, message));
  }
  Outcome again(std::string_view message) {
    problem_ = problem(StatusCode::kUnavailable, message);
    return Outcome::kAgain;
  }
  Outcome fatal(Status reason) {
    problem_ = std::move(reason);
    return Outcome::kFatal;
  }

  Outcome connect() {
    headers_ = {};
    body_ok_ = false;
    write_problem_ = {};
    const std::unique_ptr<CURL, decltype(curl_.easy_cleanup)> handle(curl_.easy_init(), curl_.easy_cleanup);
    if (!handle) return fatal(problem(StatusCode::kResourceExhausted, "cannot start a connection"));
    handle_ = handle.get();
    set_options();
    curl_slist* lines = nullptr;
    std::string range;
    if (file_.size() > 0) {
      range = fmt::format("{}-", file_.size());
      set(CURLOPT_RANGE, range.c_str());
      if (!source_.validator.empty())
        lines = curl_.slist_append(lines, ("If-Range: " + source_.validator).c_str());
    }
    set(CURLOPT_HTTPHEADER, lines);
    char detail[CURL_ERROR_SIZE] = "";
    set(CURLOPT_ERRORBUFFER, detail);
    const CURLcode code = curl_.easy_perform(handle_);
    curl_.slist_free_all(lines);
    return judge(code, detail[0] ? detail : curl_.easy_strerror(code));
  }

  template <class Value>
  void set(CURLoption option, Value value) {
    curl_.easy_setopt(handle_, option, value);
  }

  void set_options() {
    const bool secure = url_.rfind("https:", 0) == 0;
    set(CURLOPT_URL, url_.c_str());
    set(CURLOPT_PROTOCOLS_STR, "http,https");
    set(CURLOPT_REDIR_PROTOCOLS_STR, secure ? "https" : "http,https");
    set(CURLOPT_FOLLOWLOCATION, 1L);
    set(CURLOPT_MAXREDIRS, 10L);
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_CONNECTTIMEOUT_MS, 30000L);
    set(CURLOPT_LOW_SPEED_LIMIT, 1L);
    set(CURLOPT_LOW_SPEED_TIME, std::max(1L, std::lround(options_.stall_s)));
    set(CURLOPT_USERAGENT, fmt::format("callie/{}", kVersion).c_str());
    set(CURLOPT_HEADERFUNCTION, &Download::on_header);
    set(CURLOPT_HEADERDATA, this);
    set(CURLOPT_WRITEFUNCTION, &Download::on_body);
    set(CURLOPT_WRITEDATA, this);
    set(CURLOPT_NOPROGRESS, 0L);
    set(CURLOPT_XFERINFOFUNCTION, &Download::on_progress);
  }

  static int on_progress(void*, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
    return interrupted() ? 1 : 0;
  }

  static size_t on_header(const char* data, size_t, size_t size, void* self) {
    Headers& headers = static_cast<Download*>(self)->headers_;
    const std::string_view line(data, size);
    if (line.substr(0, 5) == "HTTP/") {
      headers = {.linked_digest = headers.linked_digest};  // of the next response, after a redirect
    } else if (const size_t colon = line.find(':'); colon != std::string_view::npos) {
      headers.take(lower(line.substr(0, colon)), trimmed(line.substr(colon + 1)));
    }
    return size;
  }

  static size_t on_body(const char* data, size_t, size_t size, void* self_pointer) {
    auto& self = *static_cast<Download*>(self_pointer);
    if (!self.body_ok_ && !self.begin_body()) return self.write_problem_.ok() ? size : 0;
    self.write_problem_ = self.file_.append({reinterpret_cast<const uint8_t*>(data), size});
    if (!self.write_problem_.ok()) return 0;
    self.transferred_ += size;
    self.progress_.update(static_cast<int64_t>(self.file_.size()));
    return size;
  }

  long status() const {
    long code = 0;
    curl_.easy_getinfo(handle_, CURLINFO_RESPONSE_CODE, &code);
    return code;
  }

  /// At the first byte of a response: whether it is content, and where it goes. Bodies of errors
  /// are passed over.
  bool begin_body() {
    const long code = status();
    if (code == 206) {
      const bool fits =
          headers_.range_begin == file_.size() &&
          (source_.total == 0 || !headers_.range_total || *headers_.range_total == source_.total);
      mismatch_ = !fits;
      body_ok_ = fits;
      return fits;
    }
    if (code != 200) return false;
    write_problem_ = begin_again();
    resumed_ = false;
    source_.validator = headers_.validator();
    source_.total = headers_.length.value_or(0);
    source_.sha256 = headers_.linked_digest;
    if (write_problem_.ok()) write_problem_ = file_.set_source(source_);
    progress_.set_total(static_cast<int64_t>(source_.total));
    body_ok_ = write_problem_.ok();
    return body_ok_;
  }

  Outcome judge(CURLcode code, const std::string& detail) {
    if (interrupted()) return fatal(problem(StatusCode::kCancelled, "interrupted"));
    if (!write_problem_.ok()) return fatal(write_problem_);
    const long http = status();
    if (std::exchange(mismatch_, false) || (http == 416 && headers_.range_total != file_.size())) {
      again("the file changed on the server while it was being fetched");
      const Status cut = begin_again();
      return cut.ok() ? Outcome::kRestart : fatal(cut);
    }
    if (http == 416) return Outcome::kDone;  // nothing is left to send
    if (code == CURLE_OK && (http == 200 || http == 206)) {
      if (http == 200 && !body_ok_ && !begin_body()) return fatal(write_problem_);  // an empty file
      if (source_.total == 0 || file_.size() == source_.total) return Outcome::kDone;
      return again(fmt::format("{} of {} bytes came", file_.size(), source_.total));
    }
    if (http >= 400) return judge_refusal(http);
    switch (code) {
      case CURLE_UNSUPPORTED_PROTOCOL:
      case CURLE_URL_MALFORMAT:
        return fatal(problem(StatusCode::kInvalidArgument, quote(detail, 200)));
      case CURLE_PEER_FAILED_VERIFICATION:
      case CURLE_TOO_MANY_REDIRECTS:
        return fatal(problem(StatusCode::kUnavailable, quote(detail, 200)));
      default:
        return again(quote(detail, 200));
    }
  }

  Outcome judge_refusal(long http) {
    curl_off_t seconds = 0;
    curl_.easy_getinfo(handle_, CURLINFO_RETRY_AFTER, &seconds);
    retry_after_s_ = static_cast<double>(seconds);
    if (http == 408 || http == 429 || http >= 500)
      return again(fmt::format("HTTP status {}", http));
    const char* hint =
        http == 401 || http == 403 ? " (it may need an account or an accepted licence)" : "";
    return fatal(problem(StatusCode::kNotFound, fmt::format("HTTP status {}{}", http, hint)));
  }

  Status check_digest() {
    const std::string expected = options_.sha256.empty() ? source_.sha256 : lower(options_.sha256);
    if (expected.empty()) return ok_status();
    CALLIE_ASSIGN_OR_RETURN(digest_, file_.sha256());
    if (digest_ == expected) return ok_status();
    if (!resumed_) file_.discard();
    return problem(StatusCode::kDataLoss,
                   fmt::format("sha256: is {}, expected {}", digest_, expected));
  }

  /// Sleeps before the next try, and wakes for Ctrl-C.
  Status wait(int failures) {
    double seconds = std::min(kMaxWaitS, options_.backoff_s * std::exp2(failures - 1));
    seconds = std::min(std::max(seconds, std::exchange(retry_after_s_, 0)), 4 * kMaxWaitS);
    const auto until = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
    while (std::chrono::steady_clock::now() < until) {
      if (interrupted()) return problem(StatusCode::kCancelled, "interrupted");
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    return ok_status();
  }

  const Curl& curl_;
  std::string url_;
  const FetchOptions& options_;
  PartialFile file_;
  Progress& progress_;
  PartialFile::Source source_;
  CURL* handle_ = nullptr;
  Headers headers_;
  Status problem_, write_problem_;
  std::string digest_;
  uint64_t transferred_ = 0, furthest_ = 0;
  double retry_after_s_ = 0;
  int restarts_ = 0;
  bool resumed_ = false, body_ok_ = false, mismatch_ = false;
};

}  // namespace

StatusOr<FetchResult> fetch_file(const std::string& url, const std::string& path,
                                 const FetchOptions& options) {
  if (url.rfind("http://", 0) != 0 && url.rfind("https://", 0) != 0) {
    return invalid_argument("{}: is no http or https address", quote(url, 200));
  }
  CALLIE_ASSIGN_OR_RETURN(const Curl* curl, Curl::get());
  CALLIE_ASSIGN_OR_RETURN(PartialFile file, PartialFile::open(path));
  const std::string label =
      options.label.empty() ? std::filesystem::path(path).filename().string() : options.label;
  const auto source = file.source();
  Progress progress(label, source ? static_cast<int64_t>(source->total) : 0, "MB", 1e6,
                    options.quiet);
  auto result = Download(*curl, url, options, std::move(file), progress).run();
  if (result.ok()) progress.finish();
  return result;
}

}  // namespace callie::io
