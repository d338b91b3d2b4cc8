#include "decode/edge_cloud/recording.h"

#include <algorithm>

#include "decode/edge_cloud/model_target.h"

namespace callie::edge_cloud {

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
  const TimeNs begin = clock_.now();
  const auto logits = session_.append(std::span(tokens).subspan(session_.size()),
                                      opening ? callie::Session::Logits::kLast : callie::Session::Logits::kAll);
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
  pass.ended = ends(pass.outcome.next);
  return pass;
}

TimeNs RecordingTarget::run(std::span<PassJob> jobs, const std::function<void(const ExitReport&)>&) {
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
    job.result.verify_us = static_cast<uint32_t>(pass.took / kMicrosecond);
    total += pass.took;
    if (static_cast<int>(job.committed.size()) > job.first_new) log_[job.result.width].push_back(pass.took);
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
