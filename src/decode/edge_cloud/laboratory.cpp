#include "decode/edge_cloud/laboratory.h"

#include <algorithm>

#include "decode/edge_cloud/codec.h"
#include "decode/edge_cloud/model_draft.h"
#include "decode/edge_cloud/model_target.h"
#include "decode/edge_cloud/pass_table.h"
#include "decode/edge_cloud/simulation.h"
#include "decode/speculative/draft_model.h"

namespace callie::edge_cloud {
namespace {

constexpr size_t kTraced = 200;  // events of a time line

}  // namespace

StatusOr<std::unique_ptr<Laboratory>> Laboratory::create(std::shared_ptr<const Model> target,
                                                         std::shared_ptr<const Model> draft,
                                                         const LaboratoryOptions& options, ThreadPool& pool) {
  CALLIE_RETURN_IF_ERROR(decode::check_same_vocabulary(*draft, *target));
  std::unique_ptr<Laboratory> lab(new Laboratory());
  lab->options_ = options;
  lab->target_ = std::move(target);
  lab->draft_ = std::move(draft);
  lab->pool_ = &pool;
  SessionOptions session;
  session.context = options.context;
  CALLIE_ASSIGN_OR_RETURN(lab->session_, callie::Session::create(lab->target_, session, pool));
  lab->recording_ = std::make_unique<RecordingTarget>(*lab->session_, options.exits);
  CALLIE_ASSIGN_OR_RETURN(lab->table_us_, measure_passes(lab->target_, options.longest + 1, pool));
  for (const Mode mode : options.modes) {
    for (const double rtt : options.rtt_ms) {
      LaboratoryRow row;
      row.mode = mode;
      row.rtt_ms = rtt;
      row.costs.survival.assign(options.draft_len + 1, 0);
      lab->rows_.push_back(std::move(row));
    }
  }
  lab->traces_.resize(lab->rows_.size());
  return lab;
}

Status Laboratory::add(std::span<const TokenId> prompt) {
  SessionOptions session;
  session.context = options_.context + 16;
  CALLIE_ASSIGN_OR_RETURN(auto draft_session, callie::Session::create(draft_, session, *pool_));
  ModelDraft model(draft_, std::move(draft_session), Sampler(options_.sampling), static_cast<int>(prompt.size()),
                   options_.head_rows);
  RecordingDraft draft(model);
  recording_->clear();
  recording_->clear_log();
  reference_.clear();
  LaboratoryRow plain;
  plain.mode = Mode::kStreaming;
  std::vector<TraceEvent> ignored;
  CALLIE_RETURN_IF_ERROR(run(plain, prompt, draft, ignored));
  for (size_t i = 0; i < rows_.size(); ++i) {
    traces_[i].clear();
    CALLIE_RETURN_IF_ERROR(run(rows_[i], prompt, draft, traces_[i]));
  }
  for (const auto& [width, times] : recording_->log()) {
    if (static_cast<int>(passes_.size()) < width) passes_.resize(width);
    for (const TimeNs took : times) passes_[width - 1].first += static_cast<double>(took) * 1e-9;
    passes_[width - 1].second += static_cast<int64_t>(times.size());
  }
  for (const TimeNs took : draft.log()) draft_s_ += static_cast<double>(took) * 1e-9;
  draft_steps_ += static_cast<int64_t>(draft.log().size());
  ++prompts_;
  return ok_status();
}

Status Laboratory::run(LaboratoryRow& row, std::span<const TokenId> prompt, RecordingDraft& draft,
                       std::vector<TraceEvent>& trace) {
  LinkModel link;
  link.one_way = static_cast<TimeNs>(row.rtt_ms * 0.5 * kMillisecond);
  Simulation simulation(link, 1);
  ServerInfo info;
  info.effective_vocab = static_cast<uint32_t>(target_->tokenizer().vocab_size());
  info.table_us = table_us_;
  if (options_.exits) info.exit_permille = options_.exits->permille();
  ServerLimits limits;
  limits.max_context = static_cast<int>(options_.context);
  simulation.add_server(info, limits, *recording_, 1);
  Open open;
  open.effective_vocab = info.effective_vocab;
  open.sampling = to_wire(options_.sampling);
  open.prompt_ids.assign(prompt.begin(), prompt.end());
  open.max_new = options_.max_new;
  open.ignore_end = options_.ignore_end;
  ClientOptions client;
  client.mode = row.mode;
  client.draft_len = row.mode == Mode::kAdaptive ? options_.longest : options_.draft_len;
  client.server_price = options_.server_price;
  client.calibration = options_.calibration;
  client.reply_timeout = client.open_timeout = 600 * kSecond;
  draft.truncate(0);
  TimedDraft timed(draft, simulation.client_clock(0), [&draft](int) { return draft.last(); });
  const Tokenizer& tokenizer = target_->tokenizer();
  simulation.add_client(open, client, timed, [&](TokenId token) {
    return !options_.ignore_end && tokenizer.is_end_of_generation(token);
  });
  simulation.client(0).trace(&trace);
  CALLIE_RETURN_IF_ERROR(simulation.run());
  trace.resize(std::min(trace.size(), kTraced));

  const std::vector<TokenId>& emitted = simulation.emitted(0);
  if (reference_.empty()) reference_ = emitted;
  row.tokens_equal &= emitted == reference_;
  const ClientStats& s = simulation.client(0).stats();
  const auto n = static_cast<int64_t>(emitted.size()) - 1;
  if (n < 1) return ok_status();
  const double span = static_cast<double>(s.last_token - s.first_token) * 1e-9;
  row.tokens += n;
  row.span_s += span;
  row.ms.push_back(span * 1e3 / static_cast<double>(n));
  row.rounds += s.rounds;
  row.accepted += s.accepted;
  row.guess_hits += s.guess_hits;
  row.other_hits += s.other_hits;
  row.hint_hits += s.hint_hits;
  row.hint_only_hits += s.hint_only_hits;
  row.hints_early += s.hints_early;
  row.hint_lead_s += static_cast<double>(s.hint_lead_ns) * 1e-9;
  row.optimistic_sent += s.optimistic_sent;
  row.optimistic_hits += s.optimistic_hits;
  row.frames += simulation.frames() - 2;
  row.bytes += s.bytes_up + s.bytes_down - static_cast<int64_t>(encode(open).size());
  row.busy_s += static_cast<double>(s.server_us) * 1e-6;
  for (size_t k = 0; k < s.survived.size() && k + 1 < row.costs.survival.size(); ++k) {
    row.costs.survival[k + 1] += static_cast<double>(s.survived[k]);
  }
  return ok_status();
}

double Laboratory::draft_step_s() const { return draft_steps_ > 0 ? draft_s_ / static_cast<double>(draft_steps_) : 0; }

double Laboratory::exit_share() const {
  const TimeNs passes = recording_->exit_pass_time();
  return passes > 0 ? static_cast<double>(recording_->exit_time()) / static_cast<double>(passes) : 0;
}

Costs Laboratory::costs(const LaboratoryRow& row) const {
  Costs c = row.costs;
  const double rounds = static_cast<double>(std::max<int64_t>(1, row.rounds));
  for (double& s : c.survival) s /= rounds;
  c.survival[0] = 1;
  c.round_trip = row.rtt_ms * 1e-3;
  c.tokens_seen = row.tokens;
  c.draft_step = draft_step_s();
  c.guess_hit = static_cast<double>(row.guess_hits) / rounds;
  c.other_hit = static_cast<double>(row.other_hits) / rounds;
  c.hint_hit = static_cast<double>(row.hint_hits) / rounds;
  for (const auto& [seconds, count] : passes_) {
    const double previous = c.verify.empty() ? 0 : c.verify.back();
    c.verify.push_back(count > 0 ? seconds / static_cast<double>(count) : previous);
  }
  c.hint_not_guess = static_cast<double>(row.hint_only_hits) / rounds;
  c.exit_share = exit_share();
  const double pass = c.pass(options_.draft_len + 1) * (1 + c.exit_share);
  if (row.hint_hits > 0 && pass > 0) c.hint_at = std::max(0.0, 1 - row.hint_lead_s / static_cast<double>(row.hint_hits) / pass);
  return c;
}

}  // namespace callie::edge_cloud
