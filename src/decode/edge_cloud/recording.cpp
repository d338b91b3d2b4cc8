#include "decode/edge_cloud/recording.h"

#include <algorithm>

#include "decode/edge_cloud/model_target.h"

namespace callie::edge_cloud {

RecordingTarget::RecordingTarget(callie::Session& session, std::shared_ptr<const ExitHeads> exits) : session_(session) {
  if (!exits) return;
  exit_layers_.assign(session.model().spec().layers.size(), 0);
  for (const nn::ExitHead& head : exits->heads()) exit_layers_[head.layer] = 1;
  judge_.emplace(std::move(exits));
  taps_.exits = judge_->heads().heads();
  taps_.wanted_layers = exit_layers_.data();
}

TimeNs RecordingTarget::Pass::plain() const {
  TimeNs time = took;
  for (const Exit& exit : exits) time -= exit.cost;
  return time;
}

// Sets the taps of a pass over a draft: they note when an exit begins and ends, and what it says.
void RecordingTarget::listen(const PassJob& job, const Sampler& sampler, TimeNs begin, Pass& pass) {
  const auto entered = std::make_shared<TimeNs>(begin);
  taps_.after_layer = [this, entered](int layer, std::span<float>) {
    if (layer >= 0) *entered = clock_.now();
  };
  taps_.on_exit = [this, &job, &sampler, begin, &pass, entered](int exit, const nn::ExitRows& rows) {
    const Tokenizer& tokenizer = session_.model().tokenizer();
    const auto guess = judge_->judge(exit, rows, 0, job.draft, sampler, [&](TokenId token) {
      return !ignore_end_ && tokenizer.is_end_of_generation(token);
    });
    const TimeNs now = clock_.now();
    if (guess.ok()) pass.exits.push_back({*guess, now - begin, now - *entered});
  };
}

Status RecordingTarget::open(SessionId, const Open& request) {
  sampling_ = from_wire(request.sampling);
  ignore_end_ = request.ignore_end;
  return ok_status();
}

RecordingTarget::Pass RecordingTarget::measure(const PassJob& job) {
  Pass pass;
  std::vector<TokenId> tokens = job.committed;
  tokens.insert(tokens.end(), job.draft.begin(), job.draft.end());
  const auto base = static_cast<int64_t>(job.committed.size()) - 1;
  const auto held = session_.tokens();
  const int64_t common = std::mismatch(held.begin(), held.end(), tokens.begin(), tokens.end()).first - held.begin();
  // The opening pass computes the prompt and is timed with it; every other one finds its cache.
  const bool opening = base + 1 == job.first_new;
  session_.truncate(opening ? 0 : std::min(common, base));
  if (!opening && session_.size() < base) {
    pass.status = session_.append(std::span(tokens).subspan(session_.size(), base - session_.size()),
                                  callie::Session::Logits::kNone).status();
    if (!pass.status.ok()) return pass;
  }
  Sampler sampler(sampling_);
  for (size_t i = job.first_new; i < job.committed.size(); ++i) {
    pass.status = sampler.accept(job.committed[i]);
    if (!pass.status.ok()) return pass;
  }
  const Tokenizer& tokenizer = session_.model().tokenizer();
  const int64_t vocab = session_.runner().vocab_size();
  const bool exits = judge_ && !opening && !job.draft.empty();
  const TimeNs begin = clock_.now();
  if (exits) listen(job, sampler, begin, pass);
  const auto logits = session_.append(std::span(tokens).subspan(session_.size()),
                                      opening ? callie::Session::Logits::kLast : callie::Session::Logits::kAll,
                                      exits ? &taps_ : nullptr);
  pass.status = logits.status();
  if (!pass.status.ok()) return pass;
  const auto ends = [&](TokenId token) { return !ignore_end_ && tokenizer.is_end_of_generation(token); };
  pass.outcome = accept(
      job.draft,
      [&](int row) {
        const auto token = sampler.choose(logits->subspan(row * vocab, vocab));
        if (pass.status.ok()) pass.status = token.status();
        if (token.ok() && pass.status.ok()) pass.status = sampler.accept(*token);
        return token.ok() ? *token : -1;
      },
      ends);
  pass.took = clock_.now() - begin;
  if (exits) {
    judge_->learn(static_cast<int>(job.draft.size()), pass.outcome.accepted);
    exit_time_ += pass.took - pass.plain();
    exit_pass_time_ += pass.plain();
  }
  pass.ended = ends(pass.outcome.next);
  return pass;
}

TimeNs RecordingTarget::run(std::span<PassJob> jobs, const std::function<void(const ExitReport&)>& on_exit) {
  TimeNs total = 0;
  for (PassJob& job : jobs) {
    uint64_t hash = HashedTokens().hash();
    for (const TokenId token : job.committed) hash = HashedTokens::next_hash(hash, token);
    uint64_t with_draft = hash;
    for (const TokenId token : job.draft) with_draft = HashedTokens::next_hash(with_draft, token);
    const auto key = std::pair(hash, with_draft);
    auto found = passes_.find(key);
    if (found == passes_.end()) found = passes_.emplace(key, measure(job)).first;
    const Pass& pass = found->second;
    job.result.status = pass.status;
    job.result.outcome = pass.outcome;
    job.result.ended = pass.ended;
    job.result.width = static_cast<int>(job.draft.size()) + 1;
    const TimeNs took = job.exits ? pass.took : pass.plain();
    job.result.verify_us = static_cast<uint32_t>(took / kMicrosecond);
    for (size_t e = 0; job.exits && e < pass.exits.size(); ++e) {
      const Pass::Exit& exit = pass.exits[e];
      job.result.exit_us.push_back(static_cast<uint32_t>(exit.at / kMicrosecond));
      on_exit({job.pass, static_cast<int>(e), exit.guess.outcome, exit.guess.confidence, total + exit.at});
    }
    total += took;
    if (static_cast<int>(job.committed.size()) > job.first_new) log_[job.result.width].push_back(pass.plain());
  }
  return total;
}

Guess RecordingDraft::extend(std::span<const TokenId> tokens) {
  tokens_.append(tokens);
  const auto n = static_cast<int>(tokens.size());
  const auto key = std::pair(tokens_.hash(), n);
  auto found = steps_.find(key);
  if (found == steps_.end()) {
    const auto all = tokens_.tokens();
    const int before = tokens_.length() - n;
    int common = static_cast<int>(std::mismatch(fed_.begin(), fed_.end(), all.begin(), all.end()).first - fed_.begin());
    common = std::min(common, before);
    model_.truncate(common);
    if (common < before) model_.extend(all.subspan(common, before - common));
    const TimeNs begin = clock_.now();
    const Guess guess = model_.extend(tokens);
    found = steps_.emplace(key, std::pair(guess, clock_.now() - begin)).first;
    fed_.assign(all.begin(), all.end());
  }
  last_ = found->second.second;
  if (n <= 2) log_.push_back(last_);
  return found->second.first;
}

}  // namespace callie::edge_cloud
