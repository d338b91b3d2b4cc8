#include "serve/load_generator.h"

#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <numeric>
#include <string_view>
#include <thread>

#include "core/json.h"
#include "core/philox.h"
#include "io/curl.h"

namespace callie::serve {
namespace {

using Clock = std::chrono::steady_clock;

double ms(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double, std::milli>(to - from).count();
}

struct Result {
  bool ok = false;
  std::string error;
  double ttft_ms = 0, tpot_ms = 0, e2e_ms = 0;
  int64_t prompt_tokens = 0, output_tokens = 0;
};

// Reads a stream of server-sent events and notes when tokens came. Servers end lines with "\n" or "\r\n"; each event of
// this API is one line.
struct Reader {
  std::string held, error;
  Clock::time_point first{}, last{};
  int64_t prompt_tokens = 0, output_tokens = 0;  // as the server counts them, else the pieces that came
  bool done = false, counted = false;

  void add(const char* data, size_t n) {
    held.append(data, n);
    size_t at = 0;
    for (size_t end; (end = held.find('\n', at)) != std::string::npos; at = end + 1) {
      std::string_view line = std::string_view(held).substr(at, end - at);
      if (line.ends_with('\r')) line.remove_suffix(1);
      if (!line.starts_with("data:")) continue;
      line.remove_prefix(line.starts_with("data: ") ? 6 : 5);
      if (line == "[DONE]") {
        done = true;
      } else {
        event(line);
      }
    }
    held.erase(0, at);
  }
  void event(std::string_view text) {
    const Json json = Json::parse(text, nullptr, false);
    if (!json.is_object()) return;
    if (json.contains("error") && !json["error"].is_null()) error = text;
    if (json.contains("usage") && json["usage"].is_object()) {
      counted = true;
      prompt_tokens = number_in(json["usage"], "prompt_tokens");
      output_tokens = number_in(json["usage"], "completion_tokens");
    }
    const bool has_choice = json.contains("choices") && json["choices"].is_array() && !json["choices"].empty();
    if (!has_choice || !json["choices"][0].contains("delta") || !shows_text(json["choices"][0]["delta"])) return;
    last = Clock::now();
    if (first == Clock::time_point{}) first = last;
    if (!counted) ++output_tokens;
  }
  static int64_t number_in(const Json& object, const char* name) {
    return object.contains(name) && object[name].is_number() ? object[name].get<int64_t>() : 0;
  }
  static bool shows_text(const Json& delta) {
    for (const char* name : {"content", "reasoning_content"}) {
      if (delta.contains(name) && delta[name].is_string() && delta[name] != "") return true;
    }
    return false;
  }
};

size_t on_data(char* data, size_t size, size_t n, void* reader) {
  static_cast<Reader*>(reader)->add(data, size * n);
  return size * n;
}

// Addresses are given with and without "/v1".
std::string base_of(std::string url) {
  while (url.ends_with('/')) url.pop_back();
  if (url.ends_with("/v1")) url.resize(url.size() - 3);
  return url;
}

class Client {
 public:
  Client(const io::Curl& curl, const LoadOptions& options) : curl_(curl), options_(options), handle_(curl.easy_init()) {
    headers_ = curl_.slist_append(headers_, "Content-Type: application/json");
    headers_ = curl_.slist_append(headers_, "Expect:");
    if (!options.api_key.empty()) {
      headers_ = curl_.slist_append(headers_, ("Authorization: Bearer " + options.api_key).c_str());
    }
  }
  ~Client() {
    curl_.slist_free_all(headers_);
    curl_.easy_cleanup(handle_);
  }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  Result run(int index, Clock::time_point due) {
    const std::string& prompt = options_.prompts[static_cast<size_t>(index) % options_.prompts.size()];
    Json body = {{"messages", Json::array({{{"role", "user"}, {"content", prompt}}})},
                 {"max_tokens", options_.max_tokens},
                 {"temperature", options_.temperature},
                 {"seed", options_.seed + static_cast<uint64_t>(index)},
                 {"stream", true},
                 {"stream_options", {{"include_usage", true}}}};
    if (options_.ignore_eos) body["ignore_eos"] = true;  // not every endpoint knows it
    if (!options_.model.empty()) body["model"] = options_.model;
    const std::string text = body.dump(-1, ' ', false, Json::error_handler_t::replace);
    Reader reader;
    const std::string url = base_of(options_.url) + "/v1/chat/completions";
    const auto set = [this](CURLoption option, auto value) { curl_.easy_setopt(handle_, option, value); };
    set(CURLOPT_URL, url.c_str());
    set(CURLOPT_HTTPHEADER, headers_);
    set(CURLOPT_POSTFIELDS, text.c_str());
    set(CURLOPT_POSTFIELDSIZE, static_cast<long>(text.size()));
    set(CURLOPT_WRITEFUNCTION, on_data);
    set(CURLOPT_WRITEDATA, &reader);
    set(CURLOPT_NOSIGNAL, 1L);
    const CURLcode code = curl_.easy_perform(handle_);
    long status = 0;
    curl_.easy_getinfo(handle_, CURLINFO_RESPONSE_CODE, &status);
    Result result;
    if (code != CURLE_OK) {
      result.error = curl_.easy_strerror(code);
    } else if (status != 200) {
      result.error = fmt::format("HTTP {}: {}", status, reader.held.substr(0, 200));
      std::replace(result.error.begin(), result.error.end(), '\n', ' ');
    } else if (!reader.error.empty() || !reader.done || reader.first == Clock::time_point{}) {
      result.error = reader.error.empty() ? "the stream ended early" : reader.error;
    } else {
      result.ok = true;
      result.ttft_ms = ms(due, reader.first);
      result.e2e_ms = ms(due, reader.last);
      result.prompt_tokens = reader.prompt_tokens;
      result.output_tokens = reader.output_tokens;
      if (result.output_tokens > 1) {
        result.tpot_ms = ms(reader.first, reader.last) / static_cast<double>(result.output_tokens - 1);
      }
    }
    return result;
  }

 private:
  const io::Curl& curl_;
  const LoadOptions& options_;
  CURL* handle_;
  curl_slist* headers_ = nullptr;
};

double cpu_s() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         1e-6 * static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

// When each request of an open loop is due, in seconds; empty for a closed loop.
std::vector<double> schedule(const LoadOptions& options) {
  if (!options.arrivals_s.empty() || options.rate <= 0) return options.arrivals_s;
  SequentialRng rng(options.seed, Purpose::kWorkload);
  std::vector<double> due;
  double t = 0;
  for (int i = 0; i < options.requests; ++i) due.push_back(t += -std::log(rng.next_double()) / options.rate);
  return due;
}

// Sends request i when due[i] seconds have passed. A thread is added when a request is due and all of them are waiting for
// answers.
void open_loop(const io::Curl& curl, const LoadOptions& options, const std::vector<double>& due, std::vector<Result>& results) {
  const Clock::time_point start = Clock::now();
  const auto moment = [&](size_t i) {
    return start + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(due[i]));
  };
  std::vector<size_t> order(due.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return due[a] < due[b]; });
  std::mutex mutex;
  std::condition_variable sent;
  std::deque<size_t> ready;  // guarded by mutex, like the next two
  size_t idle = 0;
  bool all_sent = false;
  std::vector<std::thread> threads;
  for (size_t i : order) {
    std::this_thread::sleep_until(moment(i));
    std::lock_guard lock(mutex);
    ready.push_back(i);
    sent.notify_one();
    if (idle >= ready.size()) continue;
    threads.emplace_back([&] {
      Client client(curl, options);
      std::unique_lock lock(mutex);
      for (;;) {
        ++idle;
        sent.wait(lock, [&] { return all_sent || !ready.empty(); });
        --idle;
        if (ready.empty()) return;
        const size_t mine = ready.front();
        ready.pop_front();
        lock.unlock();
        results[mine] = client.run(static_cast<int>(mine), moment(mine));
        lock.lock();
      }
    });
  }
  {
    std::lock_guard lock(mutex);
    all_sent = true;
  }
  sent.notify_all();
  for (std::thread& thread : threads) thread.join();
}

void closed_loop(const io::Curl& curl, const LoadOptions& options, std::vector<Result>& results) {
  const int n = static_cast<int>(results.size());
  std::atomic<int> next{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < std::min(options.clients, n); ++t) {
    threads.emplace_back([&] {
      Client client(curl, options);
      for (int i; (i = next++) < n;) results[i] = client.run(i, Clock::now());
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace

Percentiles percentiles(std::vector<double> values) {
  Percentiles out;
  if (values.empty()) return out;
  std::sort(values.begin(), values.end());
  for (double value : values) out.mean += value / static_cast<double>(values.size());
  const auto at = [&](double q) {
    const double rank = q * static_cast<double>(values.size() - 1);
    const auto low = static_cast<size_t>(rank);
    const size_t high = std::min(low + 1, values.size() - 1);
    return values[low] + (rank - static_cast<double>(low)) * (values[high] - values[low]);
  };
  out.p50 = at(0.5);
  out.p90 = at(0.9);
  out.p99 = at(0.99);
  return out;
}

StatusOr<LoadReport> generate_load(const LoadOptions& options) {
  if (options.prompts.empty()) return invalid_argument("prompts: none");
  const std::vector<double> due = schedule(options);
  const int n = due.empty() ? options.requests : static_cast<int>(due.size());
  if (n < 1) return invalid_argument("requests: {} is below 1", n);
  CALLIE_ASSIGN_OR_RETURN(const io::Curl* curl, io::Curl::get());
  std::vector<Result> results(n);
  const double cpu_before = cpu_s();
  const Clock::time_point start = Clock::now();
  if (due.empty()) {
    closed_loop(*curl, options, results);
  } else {
    open_loop(*curl, options, due, results);
  }
  LoadReport report;
  report.wall_s = std::chrono::duration<double>(Clock::now() - start).count();
  report.client_cpu_share = (cpu_s() - cpu_before) / report.wall_s;
  report.requests = n;
  std::vector<double> ttft, tpot, e2e;
  int64_t output = 0, prompt = 0;
  int good = 0;
  for (const Result& result : results) {
    if (!result.ok) {
      ++report.failed;
      if (report.first_error.empty()) report.first_error = result.error;
      continue;
    }
    ttft.push_back(result.ttft_ms);
    e2e.push_back(result.e2e_ms);
    if (result.output_tokens > 1) tpot.push_back(result.tpot_ms);
    output += result.output_tokens;
    prompt += result.prompt_tokens;
    good += (options.slo_ttft_ms <= 0 || result.ttft_ms <= options.slo_ttft_ms) &&
            (options.slo_tpot_ms <= 0 || result.tpot_ms <= options.slo_tpot_ms);
  }
  report.output_tok_s = static_cast<double>(output) / report.wall_s;
  report.total_tok_s = static_cast<double>(output + prompt) / report.wall_s;
  report.goodput_req_s = good / report.wall_s;
  report.ttft_ms = percentiles(std::move(ttft));
  report.tpot_ms = percentiles(std::move(tpot));
  report.e2e_ms = percentiles(std::move(e2e));
  return report;
}

}  // namespace callie::serve
