#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <iostream>

#include "cli/address.h"
#include "cli/constraint_options.h"
#include "cli/model_options.h"
#include "cli/number_checks.h"
#include "cli/prompt.h"
#include "cli/verbs.h"
#include "core/atomic_file.h"
#include "core/interrupt.h"
#include "core/json.h"
#include "decode/answer.h"
#include "decode/edge_cloud/calibration.h"
#include "decode/edge_cloud/model_draft.h"
#include "decode/edge_cloud/model_target.h"
#include "decode/speculative/draft_model.h"
#include "serve/api/keys.h"
#include "serve/edge_cloud/client.h"
#include "serve/edge_cloud/server.h"

namespace callie::cli {
namespace {

using edge_cloud::TokenId;

struct EdgeOptions {
  ModelOptions model;
  ContextOptions context;
  SamplingFlags sampling;
  ConstraintOptions constraint;
  serve::EdgeCloudClientOptions connection;
  PromptOptions input;
  std::string calibration;
  std::string api_key_file, mode = "adaptive", draft_len = "auto", offline = "stop";
  int64_t head_rows = decode::DraftModelOptions().head_rows;
  double lambda = 0, retry_s = 60;
  bool raw = false, json = false, ignore_eos = false, explain = false, pad = false;
};

StatusOr<edge_cloud::ClientOptions> client_options(const EdgeOptions& options) {
  constexpr int kFixedLength = 4, kLongestAdaptive = 8;
  edge_cloud::ClientOptions out;
  out.mode = *edge_cloud::mode_from_name(options.mode);
  out.draft_len = out.mode == edge_cloud::Mode::kAdaptive ? kLongestAdaptive : kFixedLength;
  if (options.draft_len != "auto") {
    char* end = nullptr;
    const long length = std::strtol(options.draft_len.c_str(), &end, 10);
    if (*end || length < 1 || length > 63) {
      return error(StatusCode::kUsage, "--draft-len: '{}' is neither auto nor a number in 1..63", options.draft_len);
    }
    out.draft_len = static_cast<int>(length);
  }
  out.server_price = options.lambda;
  out.retry_for = static_cast<edge_cloud::TimeNs>(options.retry_s * edge_cloud::kSecond);
  out.open_timeout = 300 * edge_cloud::kSecond;
  return out;
}

StatusOr<std::string> first_key(const std::string& path) {
  CALLIE_ASSIGN_OR_RETURN(const std::string text, read_text_file(path));
  std::vector<std::string> keys = serve::keys_in(text);
  if (keys.empty()) return invalid_argument("--api-key-file: {} holds no key", path);
  return std::move(keys.front());
}

// What the draft says on its own once the server is lost; never part of the answer.
std::string provisional_text(edge_cloud::DraftModel& draft, const Tokenizer& tokenizer, std::vector<TokenId> sequence,
                             int64_t n) {
  StreamingDetokenizer detokenizer(tokenizer);
  std::string text;
  draft.truncate(std::min<int>(draft.length(), static_cast<int>(sequence.size()) - 1));
  for (int64_t i = 0; i < n && !interrupted(); ++i) {
    const auto fresh = std::span(sequence).subspan(draft.length());
    const TokenId token = draft.extend(fresh).token;
    if (tokenizer.is_end_of_generation(token)) break;
    text += detokenizer.add(token);
    sequence.push_back(token);
  }
  return text + detokenizer.finish();
}

double rate(int64_t hits, int64_t of) { return of > 0 ? static_cast<double>(hits) / static_cast<double>(of) : 0; }

Json statistics(const edge_cloud::ClientStats& s) {
  // A streamed token is a pass of its own.
  const int64_t streamed = std::max<int64_t>(0, s.emitted - 1 - s.accepted - s.rounds);
  Json out;
  out["drafted"] = s.drafted;
  out["accepted"] = s.accepted;
  out["acceptance_length"] = rate(s.emitted - 1, s.rounds + streamed);
  out["rounds"] = s.rounds;
  out["streamed"] = streamed;
  out["ms_per_token"] = s.emitted > 1 ? static_cast<double>(s.last_token - s.first_token) * 1e-6 / (s.emitted - 1) : 0.0;
  out["hint_hit_rate"] = rate(s.hint_hits, s.rounds);
  out["own_guess_hit_rate"] = rate(s.guess_hits, s.rounds);
  out["optimistic_hit_rate"] = rate(s.optimistic_hits, s.optimistic_sent);
  out["wire_bytes_per_token"] = rate(s.bytes_up + s.bytes_down, s.emitted);
  out["server_busy_ms_per_token"] = rate(s.server_us, s.emitted - 1) * 1e-3;
  out["draft_steps"] = s.draft_steps;
  out["pre_draft_steps"] = s.pre_draft_steps;
  out["reconnects"] = s.reconnects;
  out["cold_resumes"] = s.cold_resumes;
  out["reopened"] = s.reopened;
  out["mode_switches"] = s.mode_switches;
  return out;
}

Status edge(const EdgeOptions& options) {
  install_interrupt_handler();
  if (options.input.prompt.empty()) return error(StatusCode::kUsage, "edge: give a PROMPT");
  std::string host;
  int port = 0;
  CALLIE_RETURN_IF_ERROR(parse_address("--cloud", options.connection.address, host, port));
  CALLIE_ASSIGN_OR_RETURN(edge_cloud::ClientOptions settings, client_options(options));
  if (!options.calibration.empty() && std::filesystem::exists(options.calibration)) {
    CALLIE_ASSIGN_OR_RETURN(settings.calibration, edge_cloud::read_calibration(options.calibration));
  }
  serve::EdgeCloudClientOptions connection_options = options.connection;
  connection_options.tls = !options.connection.tls_ca.empty() || !options.connection.tls_cert.empty();
  if (!options.api_key_file.empty()) {
    CALLIE_ASSIGN_OR_RETURN(connection_options.api_key, first_key(options.api_key_file));
  }
  decode::Generation result;
  std::unique_ptr<decode::Answer> answer;
  bool ended = false;
  CALLIE_ASSIGN_OR_RETURN(const auto connection,
                          serve::EdgeCloudConnection::create(connection_options, [&](std::span<const TokenId> tokens) {
                            for (const TokenId token : tokens) {
                              if (!ended) ended = !answer->add(token);
                            }
                            return !ended;
                          }));

  ThreadPool pool(options.model.thread_count());
  Context context{&pool};
  CALLIE_ASSIGN_OR_RETURN(const auto model, load_model(options.model, context));
  CALLIE_RETURN_IF_ERROR(options.sampling.sampling.validate(model->spec().vocab_size));
  const Tokenizer& tokenizer = model->tokenizer();
  CALLIE_ASSIGN_OR_RETURN(const std::vector<int32_t> prompt,
                          prompt_tokens(tokenizer, options.input.prompt, options.input.system, options.raw));
  CALLIE_ASSIGN_OR_RETURN(const SessionOptions session_options, options.context.session_options());
  CALLIE_ASSIGN_OR_RETURN(auto session, Session::create(model, session_options, pool));
  if (static_cast<int64_t>(prompt.size()) >= session->context()) {
    return resource_exhausted("the prompt has {} tokens and the context only {} (--ctx)", prompt.size(), session->context());
  }
  const int64_t max_new = std::min<int64_t>(options.input.n, session->context() - static_cast<int64_t>(prompt.size()));
  CALLIE_ASSIGN_OR_RETURN(auto constraint, options.constraint.load(tokenizer));
  const bool constrained = constraint.mask != nullptr;
  edge_cloud::ModelDraft draft(model, std::move(session), Sampler(options.sampling.sampling, std::move(constraint.mask)),
                               static_cast<int>(prompt.size()), options.head_rows);

  edge_cloud::Open request;
  request.tokenizer_hash = tokenizer.hash();
  request.template_hash = serve::template_hash(tokenizer);
  request.effective_vocab = static_cast<uint32_t>(tokenizer.vocab_size());
  request.sampling = edge_cloud::to_wire(options.sampling.sampling);
  request.sampling.stop = options.sampling.stops;
  if (constrained) {
    using Kind = edge_cloud::Constraint::Kind;
    const bool schema = constraint.kind == GrammarCompiler::Kind::kJsonSchema;
    request.sampling.constraint = {schema ? Kind::kJsonSchema : Kind::kLark, std::move(constraint.source)};
  }
  request.prompt_ids = prompt;
  request.max_new = static_cast<int>(max_new);
  request.pad = options.pad;
  request.ignore_end = options.ignore_eos;

  decode::GenerateOptions generate_options;
  generate_options.max_new = options.input.n;
  generate_options.stops = options.sampling.stops;
  generate_options.ignore_eos = options.ignore_eos;
  const decode::OnText print = [&](std::string_view text) {
    if (!options.json) {
      std::fwrite(text.data(), 1, text.size(), stdout);
      std::fflush(stdout);
    }
    return true;
  };
  answer = std::make_unique<decode::Answer>(tokenizer, generate_options, print, result);
  result.prompt_tokens = static_cast<int64_t>(prompt.size());
  edge_cloud::Client client(request, settings, draft, *connection, connection->clock(), [&](TokenId token) {
    return !options.ignore_eos && tokenizer.is_end_of_generation(token);
  });
  const edge_cloud::TimeNs begin = connection->clock().now();
  const Status status = connection->run(client);
  answer->finish();
  if (!ended) {
    const bool cancelled = interrupted() || !status.ok();
    result.finish_reason = cancelled ? decode::FinishReason::kCancelled : decode::FinishReason::kContext;
  }
  const edge_cloud::ClientStats& stats = client.stats();
  result.prompt_s = static_cast<double>(stats.first_token - begin) * 1e-9;
  result.decode_s = static_cast<double>(stats.last_token - stats.first_token) * 1e-9;

  if (!options.calibration.empty() && status.ok() && stats.rounds > 0) {
    CALLIE_RETURN_IF_ERROR(edge_cloud::write_calibration(options.calibration, client.controller().costs()));
  }

  std::string provisional;
  if (status.code() == StatusCode::kUnavailable && options.offline == "draft") {
    std::vector<TokenId> sequence = prompt;
    sequence.insert(sequence.end(), result.token_ids.begin(), result.token_ids.end());
    provisional = provisional_text(draft, tokenizer, std::move(sequence),
                                   max_new - static_cast<int64_t>(result.token_ids.size()));
  }
  if (options.explain) std::fprintf(stderr, "%s", client.controller().explain().c_str());
  if (options.json) {
    Json out;
    out["text"] = result.text;
    out["token_ids"] = result.token_ids;
    out["prompt_tokens"] = result.prompt_tokens;
    out["completion_tokens"] = result.token_ids.size();
    out["finish_reason"] = decode::finish_reason_name(result.finish_reason);
    out["prompt_tok_s"] = result.token_ids.empty() ? 0 : result.prompt_tok_s();
    out["decode_tok_s"] = result.token_ids.empty() ? 0 : result.decode_tok_s();
    out["load_s"] = model->load_s();
    out["logits_hash"] = fmt::format("{:016x}", client.logits_hash());
    out["mode"] = options.mode;
    // The closed form with what this session itself has measured.
    const double predicted = edge_cloud::predict(client.controller().costs(), settings.mode, settings.draft_len).seconds_per_token;
    out["predicted_ms_per_token"] = settings.mode == edge_cloud::Mode::kAdaptive ? Json() : Json(predicted * 1e3);
    out.update(statistics(stats));
    if (!provisional.empty()) out["provisional"] = provisional;
    std::cout << out.dump(-1, ' ', false, Json::error_handler_t::replace) << "\n";
  } else {
    if (status.ok() || !result.text.empty()) std::printf("\n");
    if (!provisional.empty()) {
      std::fprintf(stderr, "[offline: the small model alone, not verified]\n%s\n[end of what is not verified]\n",
                   provisional.c_str());
    }
    if (!result.token_ids.empty()) {
      std::fprintf(stderr, "[%s]\n",
                   fmt::format("{} prompt tokens, first after {:.2f} s, {} tokens {:.1f} tok/s, {} of {} drafted tokens "
                               "accepted, {:.2f} tokens a pass, {} reconnects",
                               result.prompt_tokens, result.prompt_s, result.token_ids.size(), result.decode_tok_s(),
                               stats.accepted, stats.drafted, statistics(stats)["acceptance_length"].get<double>(),
                               stats.reconnects)
                       .c_str());
    }
  }
  if (interrupted()) return Status(StatusCode::kCancelled, "");
  return status;
}

}  // namespace

void add_edge(CLI::App& app, Action& action) {
  CLI::App* verb = app.add_subcommand("edge", "generate with a small model here and a large one on a `callie cloud`");
  auto options = std::make_shared<EdgeOptions>();
  options->model.add_to(*verb);
  options->input.add_to(*verb);
  verb->add_option("--cloud", options->connection.address, "HOST:PORT of `callie cloud`")->required();
  options->sampling.add_to(*verb);
  options->context.add_to(*verb);
  options->constraint.add_to(*verb);
  std::vector<std::string> modes;
  for (const edge_cloud::Mode mode : edge_cloud::kAllModes) modes.emplace_back(edge_cloud::mode_name(mode));
  verb->add_option("--mode", options->mode, "how tokens are had: " + CLI::detail::join(modes, ", "))
      ->check(CLI::IsMember(modes))
      ->capture_default_str();
  verb->add_option("--draft-len", options->draft_len, "tokens of a draft (adaptive: at most), or auto")->capture_default_str();
  verb->add_option("--draft-head", options->head_rows, "tokens that the draft chooses from, the most frequent ones (0 = all)")
      ->check(non_negative_number())
      ->capture_default_str();
  verb->add_option("--lambda", options->lambda, "seconds of waiting that a second of the server's time is worth")
      ->check(non_negative_number())
      ->capture_default_str();
  verb->add_option("--calibration", options->calibration, "file with what earlier sessions measured: read if it exists, then written");
  verb->add_option("--retry-s", options->retry_s, "seconds for which a lost server is looked for")
      ->check(non_negative_number())
      ->capture_default_str();
  verb->add_option("--offline", options->offline, "when it stays lost: stop, or draft (go on alone, marked as not verified)")
      ->check(CLI::IsMember({"stop", "draft"}))
      ->capture_default_str();
  verb->add_option("--tls-ca", options->connection.tls_ca, "speak TLS and trust this authority, PEM");
  auto* certificate = verb->add_option("--tls-cert", options->connection.tls_cert, "certificate to show the server, PEM");
  auto* key = verb->add_option("--tls-key", options->connection.tls_key, "its private key, PEM")->needs(certificate);
  certificate->needs(key);
  verb->add_option("--api-key-file", options->api_key_file, "file with the key, on its first line");
  verb->add_flag("--pad", options->pad, "frames of one size, so that their lengths tell nothing");
  verb->add_flag("--explain", options->explain, "print the decision and the predictions it rests on");
  verb->add_flag("--raw", options->raw, "give the prompt to the model as it is, without its chat template");
  verb->add_flag("--ignore-eos", options->ignore_eos, "go on after the model's own end");
  verb->add_flag("--json", options->json, "one JSON object instead of text");
  verb->footer("Example: callie edge qwen2.5-coder-0.5b --cloud 127.0.0.1:50051 \"Write a haiku.\" -n 64");
  verb->final_callback([options, &action] { action = [options] { return edge(*options); }; });
}

}  // namespace callie::cli
