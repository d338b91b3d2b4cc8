#include <CLI/CLI.hpp>
#include <cmath>
#include <iostream>

#include "cli/bench_edge_real.h"
#include "cli/exit_options.h"
#include "cli/model_options.h"
#include "cli/number_checks.h"
#include "cli/verbs.h"
#include "core/atomic_file.h"
#include "core/interrupt.h"
#include "core/json.h"
#include "decode/edge_cloud/calibration.h"
#include "decode/edge_cloud/laboratory.h"
#include "report/html.h"
#include "tasks/prompt_file.h"

namespace callie::cli {
namespace {

using edge_cloud::Laboratory;
using edge_cloud::LaboratoryRow;
using edge_cloud::Mode;
using edge_cloud::TokenId;

struct BenchEdgeOptions {
  ModelOptions target, draft;
  edge_cloud::LaboratoryOptions lab;
  std::string prompts, modes = "all", report, calibration, save_calibration;
  ExitOptions exits;
  int64_t skip = 0, limit = 0;
  std::string clock = "virtual";
  bool even = false, json = false;
};

// Bytes that a frame costs on the wire beside its own: gRPC 5, HTTP/2 9, TLS 22, TCP/IP and its acknowledgement 52.
constexpr int kFrameOverhead = 88;

StatusOr<std::vector<FilePrompt>> read_prompts(const BenchEdgeOptions& options) {
  CALLIE_ASSIGN_OR_RETURN(const auto prompts, read_prompt_file("--prompts", options.prompts));
  std::vector<FilePrompt> out;
  int64_t taken = 0;
  for (const FilePrompt& prompt : prompts) {
    if (options.even && prompt.number % 2 != 0) continue;
    if (taken++ < options.skip) continue;
    out.push_back(prompt);
    if (options.limit > 0 && static_cast<int64_t>(out.size()) >= options.limit) break;
  }
  if (out.empty()) return data_loss("{}: no prompts", options.prompts);
  return out;
}

StatusOr<std::vector<Mode>> parse_modes(const std::string& text) {
  std::vector<Mode> modes;
  if (text == "all") {
    modes.assign(std::begin(edge_cloud::kAllModes), std::end(edge_cloud::kAllModes));
    return modes;
  }
  for (const std::string& name : CLI::detail::split(text, ',')) {
    const auto mode = edge_cloud::mode_from_name(name);
    if (!mode) return error(StatusCode::kUsage, "--modes: '{}' is no mode", name);
    modes.push_back(*mode);
  }
  return modes;
}

const LaboratoryRow* find(const Laboratory& lab, Mode mode, double rtt) {
  for (const LaboratoryRow& row : lab.rows()) {
    if (row.mode == mode && row.rtt_ms == rtt) return &row;
  }
  return nullptr;
}

double ratio(const LaboratoryRow* base, const LaboratoryRow& row) {
  return base && row.ms_per_token() > 0 ? base->ms_per_token() / row.ms_per_token() : 0;
}

// 95 % interval of a paired ratio over prompts: of the mean of its logarithm, by the normal approximation.
Json interval(const LaboratoryRow* base, const LaboratoryRow& row) {
  if (!base || base->ms.size() != row.ms.size() || row.ms.size() < 2) return nullptr;
  double mean = 0, square = 0;
  const auto n = static_cast<double>(row.ms.size());
  for (size_t i = 0; i < row.ms.size(); ++i) {
    const double x = std::log(base->ms[i] / row.ms[i]);
    mean += x / n;
    square += x * x / n;
  }
  const double half = 1.96 * std::sqrt(std::max(0.0, square - mean * mean) / (n - 1));
  return {std::exp(mean - half), std::exp(mean + half)};
}

double rate(int64_t hits, int64_t of) { return of > 0 ? static_cast<double>(hits) / static_cast<double>(of) : 0; }

double predicted_ms(const Laboratory& lab, const LaboratoryRow& row, int draft_len) {
  if (row.mode == Mode::kAdaptive) return 0;
  return edge_cloud::predict(lab.costs(row), row.mode, draft_len).seconds_per_token * 1e3;
}

Json json_of(const Laboratory& lab, const BenchEdgeOptions& options) {
  Json out;
  Json results = Json::array();
  for (const LaboratoryRow& row : lab.rows()) {
    const LaboratoryRow* call = find(lab, Mode::kPerCall, row.rtt_ms);
    const LaboratoryRow* stream = find(lab, Mode::kStreaming, row.rtt_ms);
    const LaboratoryRow* sync = find(lab, Mode::kSync, row.rtt_ms);
    Json r;
    r["mode"] = edge_cloud::mode_name(row.mode);
    r["rtt_ms"] = row.rtt_ms;
    r["ms_per_token"] = row.ms_per_token();
    r["vs_per_call"] = ratio(call, row);
    r["vs_streaming"] = ratio(stream, row);
    r["vs_sync_sd"] = ratio(sync, row);
    r["vs_per_call_ci95"] = interval(call, row);
    r["vs_streaming_ci95"] = interval(stream, row);
    r["vs_sync_sd_ci95"] = interval(sync, row);
    const int64_t streamed = std::max<int64_t>(0, row.tokens - row.accepted - row.rounds);
    r["acceptance_length"] = rate(row.tokens, row.rounds + streamed);
    r["rounds"] = row.rounds;
    r["hints_early_rate"] = rate(row.hints_early, row.rounds);
    r["hint_only_hit_rate"] = rate(row.hint_only_hits, row.rounds);
    r["hint_hit_rate"] = rate(row.hint_hits, row.rounds);
    r["own_guess_hit_rate"] = rate(row.guess_hits, row.rounds);
    r["optimistic_hit_rate"] = rate(row.optimistic_hits, row.optimistic_sent);
    r["wire_bytes_per_token"] = rate(row.bytes + kFrameOverhead * row.frames, row.tokens);
    r["server_busy_ms_per_token"] = row.tokens > 0 ? row.busy_s * 1e3 / static_cast<double>(row.tokens) : 0;
    r["tokens_equal"] = row.tokens_equal;
    const double predicted = predicted_ms(lab, row, options.lab.draft_len);
    r["predicted_ms_per_token"] = predicted > 0 ? Json(predicted) : Json();
    r["clock"] = "virtual";
    r["tokens"] = row.tokens;
    r["ms_per_token_by_prompt"] = row.ms;
    results.push_back(std::move(r));
  }
  out["results"] = std::move(results);
  out["prompts"] = lab.prompts();
  out["draft_len"] = options.lab.draft_len;
  out["exits"] = options.lab.exits != nullptr;
  out["exit_overhead"] = lab.exit_share();
  out["draft_step_ms"] = lab.draft_step_s() * 1e3;
  Json table = Json::object();
  const edge_cloud::Costs costs = lab.costs(lab.rows().front());
  for (size_t m = 0; m < costs.verify.size(); ++m) table[std::to_string(m + 1)] = costs.verify[m] * 1e3;
  out["pass_ms"] = std::move(table);
  if (const LaboratoryRow* sync = find(lab, Mode::kSync, options.lab.rtt_ms.front())) {
    const edge_cloud::Costs sync_costs = lab.costs(*sync);
    out["survival"] = sync_costs.survival;
    out["break_even_rtt_ms"] = edge_cloud::break_even_round_trip(sync_costs, options.lab.draft_len) * 1e3;
  }
  return out;
}

// Measured and predicted of the real clock's rows, a line a mode.
std::vector<report::Series> real_lines(const Json& json) {
  std::vector<report::Series> lines;
  for (const char* key : {"ms_per_token", "predicted_ms_per_token"}) {
    const bool predicted = std::string_view(key) != "ms_per_token";
    std::string last;
    for (const Json& r : json["results"]) {
      if (r["clock"] != "real" || r[key].is_null()) continue;
      const auto mode = r["mode"].get<std::string>();
      if (mode != last) lines.push_back({mode + (predicted ? ", predicted" : ""), {}, {}, predicted});
      last = mode;
      lines.back().x.push_back(r["rtt_ms"].get<double>());
      lines.back().y.push_back(r[key].get<double>());
    }
  }
  return lines;
}

RealEdgeOptions real_options(const BenchEdgeOptions& options) {
  RealEdgeOptions real;
  real.target = options.target.model;
  real.draft = options.draft.model;
  real.modes = options.lab.modes;
  real.rtt_ms = options.lab.rtt_ms;
  real.draft_len = options.lab.draft_len;
  real.max_new = options.lab.max_new;
  real.answer = {"--temp", "0", "--ctx", std::to_string(options.lab.context), "--threads", std::to_string(options.target.thread_count())};
  if (options.lab.ignore_end) real.answer.push_back("--ignore-eos");
  real.client = {"--draft-head", std::to_string(options.lab.head_rows), "--lambda", fmt::format("{}", options.lab.server_price)};
  real.server = {"--threads", std::to_string(options.target.thread_count()), "--ctx", std::to_string(options.lab.context)};
  if (!options.exits.file.empty()) real.server.insert(real.server.end(), {"--exits", options.exits.file});
  if (!options.exits.layers.empty()) real.server.push_back("--exit-layers");
  for (const int layer : options.exits.layers) real.server.push_back(std::to_string(layer));
  return real;
}

std::string html_of(const Laboratory& lab, const BenchEdgeOptions& options, const Json& json) {
  report::Page page("Edge-cloud speculation: " + options.target.model + " with " + options.draft.model);
  page.paragraph(fmt::format("{} prompts, up to {} tokens each, draft length {}. Times of passes and draft steps were "
                             "measured alone, {} thread(s) a side, and played back on a virtual clock.",
                             lab.prompts(), options.lab.max_new, options.lab.draft_len, options.target.thread_count()));
  page.figures({{"draft step, ms", report::short_number(lab.draft_step_s() * 1e3)},
                {"pass of 1, ms", report::short_number(lab.costs(lab.rows().front()).pass(1) * 1e3)},
                {"pass of a block, ms", report::short_number(lab.costs(lab.rows().front()).pass(options.lab.draft_len + 1) * 1e3)},
                {"break-even with streaming, ms", json.contains("break_even_rtt_ms")
                                                      ? report::short_number(json["break_even_rtt_ms"].get<double>())
                                                      : "not run"}});
  std::vector<report::Series> measured, gains, bytes, busy;
  for (size_t i = 0; i < lab.rows().size(); ++i) {
    const LaboratoryRow& row = lab.rows()[i];
    const std::string name(edge_cloud::mode_name(row.mode));
    if (i == 0 || row.mode != lab.rows()[i - 1].mode) {
      measured.push_back({name, {}, {}});
      if (row.mode != Mode::kAdaptive) measured.push_back({name + ", predicted", {}, {}, true});
      gains.push_back({name, {}, {}});
      bytes.push_back({name, {}, {}});
      busy.push_back({name, {}, {}});
    }
    report::Series& line = measured[measured.size() - (row.mode != Mode::kAdaptive ? 2 : 1)];
    line.x.push_back(row.rtt_ms);
    line.y.push_back(row.ms_per_token());
    if (row.mode != Mode::kAdaptive) {
      measured.back().x.push_back(row.rtt_ms);
      measured.back().y.push_back(predicted_ms(lab, row, options.lab.draft_len));
    }
    const auto add = [&](report::Series& series, double y) {
      series.x.push_back(row.rtt_ms);
      series.y.push_back(y);
    };
    add(gains.back(), 100 * (1 - 1 / std::max(1e-9, ratio(find(lab, Mode::kSync, row.rtt_ms), row))));
    add(bytes.back(), rate(row.bytes + kFrameOverhead * row.frames, row.tokens));
    add(busy.back(), row.tokens > 0 ? row.busy_s * 1e3 / static_cast<double>(row.tokens) : 0);
  }
  page.heading("Latency against the round trip");
  page.raw(report::line_chart({"Time per token", "round trip, ms", "ms per token"}, measured));
  if (options.clock == "both") {
    page.paragraph("The same prompts by a server and a client as processes of their own on this machine, behind a delay proxy: where "
                   "both compute at once they share its memory. Predicted are the closed forms with what each session measured.");
    page.raw(report::line_chart({"Time per token, real processes", "round trip, ms", "ms per token"}, real_lines(json)));
  }
  page.heading("Gain over synchronous speculation");
  page.raw(report::line_chart({"Own guess, optimistic upload and hints apart", "round trip, ms", "% less time"}, gains));
  page.heading("Cost");
  page.raw(report::line_chart({"Bytes on the wire", "round trip, ms", "bytes per token"}, bytes));
  page.raw(report::line_chart({"Server-busy time", "round trip, ms", "ms per token"}, busy));

  page.heading("A few rounds");
  for (size_t i = 0; i < lab.rows().size(); ++i) {
    const LaboratoryRow& row = lab.rows()[i];
    if (row.rtt_ms != options.lab.rtt_ms[options.lab.rtt_ms.size() / 2]) continue;
    const bool shown = row.mode == Mode::kSync || row.mode == Mode::kOptimistic || (options.lab.exits && row.mode == Mode::kFull);
    if (!shown) continue;
    std::vector<report::Interval> bars;
    edge_cloud::TimeNs start = -1, sent = 0;
    int rounds = 0;
    for (const edge_cloud::TraceEvent& e : lab.trace(i)) {
      using Kind = edge_cloud::TraceEvent::Kind;
      if (start < 0) start = e.begin;
      const auto at = [&](edge_cloud::TimeNs t) { return static_cast<double>(t - start) * 1e-6; };
      if (e.kind == Kind::kDraftStep) bars.push_back({0, at(e.begin), at(e.end), 0, "draft"});
      if (e.kind == Kind::kPreDraftStep) bars.push_back({0, at(e.begin), at(e.end), 1, "pre-draft"});
      if (e.kind == Kind::kSendDraft || e.kind == Kind::kSendOptimistic) sent = e.begin;
      if (e.kind == Kind::kHint) bars.push_back({1, at(e.begin), at(e.begin) + 0.5, 3, fmt::format("hint, {} accepted", e.value)});
      if (e.kind == Kind::kVerdict) {
        bars.push_back({1, at(sent), at(e.begin), 2, fmt::format("sent to verdict, {} accepted", e.value)});
        sent = e.begin;
        if (++rounds == 6) break;
      }
    }
    page.raw(report::gantt_chart({fmt::format("{} at {} ms", edge_cloud::mode_name(row.mode), row.rtt_ms), "ms", ""},
                                 {"device", "network and server"}, bars));
  }
  page.heading("Figures");
  std::vector<std::vector<std::string>> cells;
  for (const Json& r : json["results"]) {
    cells.push_back({r["clock"].get<std::string>(), r["mode"].get<std::string>(), report::short_number(r["rtt_ms"].get<double>()),
                     fmt::format("{:.2f}", r["ms_per_token"].get<double>()),
                     r["predicted_ms_per_token"].is_null() ? "" : fmt::format("{:.2f}", r["predicted_ms_per_token"].get<double>()),
                     fmt::format("{:.2f}", r["vs_per_call"].get<double>()), fmt::format("{:.2f}", r["vs_streaming"].get<double>()),
                     fmt::format("{:.2f}", r["vs_sync_sd"].get<double>()), fmt::format("{:.2f}", r["acceptance_length"].get<double>()),
                     fmt::format("{:.0f}", r["wire_bytes_per_token"].get<double>()),
                     fmt::format("{:.1f}", r["server_busy_ms_per_token"].get<double>()), r["tokens_equal"].get<bool>() ? "yes" : "NO"});
  }
  page.table({"clock", "mode", "round trip, ms", "ms/token", "predicted", "vs per call", "vs streaming", "vs sync", "tokens a pass",
              "bytes/token", "server ms/token", "tokens equal"},
             cells);
  return page.html();
}

Status bench_edge(BenchEdgeOptions options) {
  install_interrupt_handler();
  CALLIE_ASSIGN_OR_RETURN(options.lab.modes, parse_modes(options.modes));
  ThreadPool pool(options.target.thread_count());
  Context context{&pool};
  options.draft.threads = options.target.threads;
  options.draft.no_cache = options.target.no_cache;
  CALLIE_ASSIGN_OR_RETURN(const auto target, load_model(options.target, context));
  CALLIE_ASSIGN_OR_RETURN(const auto draft, load_model(options.draft, context));
  CALLIE_ASSIGN_OR_RETURN(options.lab.exits, options.exits.load(target, context));
  if (!options.calibration.empty()) {
    CALLIE_ASSIGN_OR_RETURN(options.lab.calibration, edge_cloud::read_calibration(options.calibration));
  }
  CALLIE_ASSIGN_OR_RETURN(const std::vector<FilePrompt> prompts, read_prompts(options));
  CALLIE_ASSIGN_OR_RETURN(const auto lab, Laboratory::create(target, draft, options.lab, pool));
  for (size_t i = 0; i < prompts.size(); ++i) {
    if (interrupted()) return Status(StatusCode::kCancelled, "");
    CALLIE_ASSIGN_OR_RETURN(const std::vector<TokenId> tokens, prompts[i].tokens(target->tokenizer()));
    const Status added = lab->add(tokens);
    if (!added.ok()) return added.with_context(fmt::format("prompt {}", i + 1));
    std::fprintf(stderr, "%s%zu of %zu prompts", i ? "\r" : "", i + 1, prompts.size());
  }
  std::fprintf(stderr, "\n");
  if (!options.save_calibration.empty()) {
    const LaboratoryRow* row = nullptr;
    for (const Mode mode : {Mode::kFull, Mode::kOptimistic, Mode::kOwnGuess, Mode::kHint, Mode::kSync}) {
      if (!row) row = find(*lab, mode, options.lab.rtt_ms.front());
    }
    if (!row) return error(StatusCode::kUsage, "--save-calibration needs a mode that drafts");
    CALLIE_RETURN_IF_ERROR(edge_cloud::write_calibration(options.save_calibration, lab->costs(*row)));
  }
  Json json = json_of(*lab, options);
  if (options.clock == "both") {
    CALLIE_ASSIGN_OR_RETURN(const Json real, bench_edge_real(real_options(options), prompts));
    json["results"].insert(json["results"].end(), real.begin(), real.end());
  }
  if (!options.report.empty()) CALLIE_RETURN_IF_ERROR(write_text_file(options.report, html_of(*lab, options, json)));
  if (options.json) {
    std::cout << json.dump() << "\n";
    return ok_status();
  }
  std::cout << fmt::format("{:<7} {:<10} {:>7} {:>9} {:>9} {:>8} {:>9} {:>7} {:>6}\n", "clock", "mode", "rtt ms", "ms/token",
                           "predicted", "vs call", "vs stream", "vs sync", "equal");
  for (const Json& r : json["results"]) {
    std::cout << fmt::format("{:<7} {:<10} {:>7.0f} {:>9.2f} {:>9} {:>8.2f} {:>9.2f} {:>7.2f} {:>6}\n",
                             r["clock"].get<std::string>(), r["mode"].get<std::string>(),
                             r["rtt_ms"].get<double>(), r["ms_per_token"].get<double>(),
                             r["predicted_ms_per_token"].is_null() ? "-" : fmt::format("{:.2f}", r["predicted_ms_per_token"].get<double>()),
                             r["vs_per_call"].get<double>(), r["vs_streaming"].get<double>(), r["vs_sync_sd"].get<double>(),
                             r["tokens_equal"].get<bool>() ? "yes" : "NO");
  }
  if (json.contains("break_even_rtt_ms")) {
    std::cout << fmt::format("break-even of synchronous speculation with streaming: {:.1f} ms\n", json["break_even_rtt_ms"].get<double>());
  }
  return ok_status();
}

}  // namespace

void add_bench_edge(CLI::App& bench, Action& action) {
  auto options = std::make_shared<BenchEdgeOptions>();
  CLI::App* verb = bench.add_subcommand("edge", "edge-cloud speculation at several round trips, on a virtual clock");
  verb->add_option("BIG", options->target.model, "the large model")->required();
  verb->add_option("SMALL", options->draft.model, "the small model")->required();
  verb->add_option("--prompts", options->prompts, "JSON lines with prompt, turns or question; may be gzipped")->required();
  verb->add_option("--rtt", options->lab.rtt_ms, "round trips in ms")->delimiter(',')->check(CLI::Range(0.0, 60000.0))->capture_default_str();
  verb->add_option("--modes", options->modes, "all, or names with commas")->capture_default_str();
  verb->add_option("-n", options->lab.max_new, "tokens a prompt at most")->check(CLI::Range(2, 1 << 20))->capture_default_str();
  verb->add_option("--draft-len", options->lab.draft_len, "tokens of a draft in the fixed modes")->check(CLI::Range(1, 16))->capture_default_str();
  verb->add_option("--draft-head", options->lab.head_rows, "tokens that the draft chooses from (0 = all)")->check(non_negative_number())->capture_default_str();
  verb->add_option("--lambda", options->lab.server_price, "price of server time, for adaptive")->check(non_negative_number())->capture_default_str();
  verb->add_option("--ctx", options->lab.context, "context in tokens")->check(CLI::Range(16, 1 << 20))->capture_default_str();
  options->exits.add_to(*verb, "early exits of BIG (callie tune exits): modes with hints get them");
  verb->add_option("--calibration", options->calibration, "what an earlier run measured, for adaptive's first plans");
  verb->add_option("--save-calibration", options->save_calibration, "file to write what this run measured to");
  verb->add_option("--skip", options->skip, "prompts to leave out first")->check(non_negative_number());
  verb->add_option("--limit", options->limit, "prompts at most (0 = all)")->check(non_negative_number());
  verb->add_option("--clock", options->clock, "virtual, or both: real processes behind a delay proxy as well")
      ->check(CLI::IsMember({"virtual", "both"}))
      ->capture_default_str();
  verb->add_flag("--even", options->even, "only lines whose task_id ends in an even number");
  verb->add_flag("--ignore-eos", options->lab.ignore_end, "go on after the model's own end");
  verb->add_option("--threads", options->target.threads, "threads of either side, which never run together")->check(CLI::Range(0, 1024))->default_val(1);
  verb->add_flag("--no-cache", options->target.no_cache, "neither read nor write the cache of packed weights");
  verb->add_option("--report", options->report, "HTML file to write");
  verb->add_flag("--json", options->json, "JSON on stdout");
  options->lab.sampling.temperature = 0;
  verb->final_callback([options, &action] { action = [options] { return bench_edge(*options); }; });
}

}  // namespace callie::cli
