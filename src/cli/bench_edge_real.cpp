#include "cli/bench_edge_real.h"

#include <charconv>
#include <filesystem>
#include <map>

#include "cli/own_server.h"
#include "core/subprocess.h"
#include "serve/edge_cloud/delay_proxy.h"

namespace callie::cli {
namespace {

using edge_cloud::Mode;

// What `callie WORDS... --json` says.
StatusOr<Json> ask(std::vector<std::string> words) {
  words.insert(words.begin(), std::filesystem::read_symlink("/proc/self/exe").string());
  words.push_back("--json");
  SubprocessOptions options;
  options.keep_bytes = size_t{16} << 20;
  CALLIE_ASSIGN_OR_RETURN(const SubprocessResult done, run_subprocess(words, options));
  if (done.exit_code != 0) {
    std::string why = done.errors.substr(0, done.errors.find_last_not_of("\n") + 1);
    why.erase(0, why.rfind("error: ") == std::string::npos ? 0 : why.rfind("error: ") + 7);
    return error(StatusCode::kUnavailable, "callie {}: {}", words[1], why);
  }
  Json json = Json::parse(done.output, nullptr, false);
  if (!json.is_object()) return data_loss("callie {}: no JSON object", words[1]);
  return json;
}

void add_prompt(std::vector<std::string>& words, const FilePrompt& prompt, int max_new, const std::vector<std::string>& more) {
  words.insert(words.end(), {"-p", prompt.prompt, "-n", std::to_string(max_new)});
  if (prompt.raw) words.push_back("--raw");
  words.insert(words.end(), more.begin(), more.end());
}

// Sums over the answers of one mode at one round trip.
struct Sums {
  double tokens = 0, ms = 0, passes = 0, rounds = 0, hint_hits = 0, guess_hits = 0, optimistic = 0, bytes = 0, busy_ms = 0,
         predicted_ms = 0;
  bool equal = true;

  void add(const Json& answer, const Json& plain, int64_t wire_bytes) {
    equal &= answer["token_ids"] == plain["token_ids"] && answer["logits_hash"] == plain["logits_hash"];
    const double n = answer["completion_tokens"].get<double>() - 1;
    if (n <= 0) return;
    const auto number = [&](const char* key) { return answer[key].is_number() ? answer[key].get<double>() : 0; };
    const double r = number("rounds");
    tokens += n;
    ms += n * number("ms_per_token");
    passes += number("acceptance_length") > 0 ? n / number("acceptance_length") : 0;
    rounds += r;
    hint_hits += r * number("hint_hit_rate");
    guess_hits += r * number("own_guess_hit_rate");
    optimistic += n * number("optimistic_hit_rate");
    bytes += static_cast<double>(wire_bytes);
    busy_ms += n * number("server_busy_ms_per_token");
    predicted_ms += n * number("predicted_ms_per_token");
  }
};

Json row_of(Mode mode, double rtt_ms, const Sums& s, const std::map<Mode, double>& ms) {
  const double per_token = s.tokens > 0 ? 1 / s.tokens : 0, per_round = s.rounds > 0 ? 1 / s.rounds : 0;
  const auto ratio = [&](Mode base) {
    const auto found = ms.find(base);
    return found != ms.end() && s.ms > 0 ? found->second / (s.ms * per_token) : 0;
  };
  Json row;
  row["mode"] = edge_cloud::mode_name(mode);
  row["rtt_ms"] = rtt_ms;
  row["ms_per_token"] = s.ms * per_token;
  row["vs_per_call"] = ratio(Mode::kPerCall);
  row["vs_streaming"] = ratio(Mode::kStreaming);
  row["vs_sync_sd"] = ratio(Mode::kSync);
  row["acceptance_length"] = s.passes > 0 ? s.tokens / s.passes : 0;
  row["rounds"] = s.rounds;
  row["hint_hit_rate"] = s.hint_hits * per_round;
  row["own_guess_hit_rate"] = s.guess_hits * per_round;
  row["optimistic_hit_rate"] = s.optimistic * per_token;
  row["wire_bytes_per_token"] = s.bytes * per_token;
  row["server_busy_ms_per_token"] = s.busy_ms * per_token;
  row["tokens_equal"] = s.equal;
  row["predicted_ms_per_token"] = mode == Mode::kAdaptive ? Json() : Json(s.predicted_ms * per_token);
  row["clock"] = "real";
  row["tokens"] = s.tokens;
  return row;
}

}  // namespace

StatusOr<Json> bench_edge_real(const RealEdgeOptions& options, const std::vector<FilePrompt>& prompts) {
  std::vector<std::string> cloud = {"cloud", options.target, "--listen", "127.0.0.1:0"};
  cloud.insert(cloud.end(), options.server.begin(), options.server.end());
  CALLIE_ASSIGN_OR_RETURN(const auto server, OwnServer::start(cloud));
  const std::string port_text = server->address().substr(server->address().rfind(':') + 1);
  int port = 0;
  std::from_chars(port_text.data(), port_text.data() + port_text.size(), port);
  CALLIE_ASSIGN_OR_RETURN(const auto proxy, serve::DelayProxy::start(port));
  const std::string address = fmt::format("127.0.0.1:{}", proxy->port());

  const auto edge = [&](const FilePrompt& prompt, Mode mode, int max_new) {
    std::vector<std::string> words = {"edge", options.draft, "--cloud", address, "--mode", std::string(edge_cloud::mode_name(mode))};
    if (mode != Mode::kAdaptive) {
      words.insert(words.end(), {"--draft-len", std::to_string(options.draft_len)});
    }
    words.insert(words.end(), options.client.begin(), options.client.end());
    add_prompt(words, prompt, max_new, options.answer);
    return ask(std::move(words));
  };

  std::map<std::pair<double, Mode>, Sums> sums;
  for (size_t i = 0; i < prompts.size(); ++i) {
    std::vector<std::string> words = {"run", options.target};
    add_prompt(words, prompts[i], options.max_new, options.answer);
    CALLIE_ASSIGN_OR_RETURN(const Json plain, ask(std::move(words)));
    proxy->set_one_way(0);
    int64_t before = proxy->bytes();
    CALLIE_RETURN_IF_ERROR(edge(prompts[i], Mode::kStreaming, 1).status());
    const int64_t opening = proxy->bytes() - before;
    for (const double rtt : options.rtt_ms) {
      proxy->set_one_way(rtt * 0.5e-3);
      for (const Mode mode : options.modes) {
        before = proxy->bytes();
        CALLIE_ASSIGN_OR_RETURN(const Json answer, edge(prompts[i], mode, options.max_new));
        sums[{rtt, mode}].add(answer, plain, std::max<int64_t>(0, proxy->bytes() - before - opening));
        std::fprintf(stderr, "\rreal clock: prompt %zu of %zu, %g ms, %-12s", i + 1, prompts.size(), rtt,
                     std::string(edge_cloud::mode_name(mode)).c_str());
      }
    }
  }
  std::fprintf(stderr, "\n");
  Json rows = Json::array();
  for (const Mode mode : options.modes) {
    for (const double rtt : options.rtt_ms) {
      std::map<Mode, double> ms;
      for (const Mode other : options.modes) {
        const Sums& s = sums[{rtt, other}];
        if (s.tokens > 0) ms[other] = s.ms / s.tokens;
      }
      rows.push_back(row_of(mode, rtt, sums[{rtt, mode}], ms));
    }
  }
  return rows;
}

}  // namespace callie::cli
