#pragma once

#include <memory>

#include "decode/edge_cloud/simulation.h"
#include "decode/edge_cloud/toy_models.h"

namespace callie::edge_cloud::toy {

/// One client, one server and toy models on the virtual clock.
struct World {
  Language language;
  ToyTarget target;
  ToyDraft draft;
  Simulation simulation;
  std::unique_ptr<TimedDraft> timed;
  TimeNs step = 3 * kMillisecond;

  static ServerInfo info() { return {"toy", 11, 22, kVocab, {500, 750}, {30000, 33000, 36000, 39000, 42000, 45000, 48000, 51000, 54000}}; }
  static Open request(int max_new, uint64_t seed = 5) {
    Open open;
    open.tokenizer_hash = 11;
    open.template_hash = 22;
    open.effective_vocab = kVocab;
    SequentialRng rng(seed, Purpose::kTest);
    for (int i = 0; i < 4; ++i) open.prompt_ids.push_back(static_cast<TokenId>(10 + rng.next_below(kVocab - 10)));
    open.max_new = max_new;
    return open;
  }

  World(Language lang, double draft_share, double exit_share, LinkModel link, uint64_t seed, ServerLimits limits = {})
      : language(lang), target(lang, exit_share), draft(lang, draft_share), simulation(link, seed) {
    simulation.add_server(info(), limits, target);
  }

  void add(Open request, ClientOptions options, TimeNs step_cost = 3 * kMillisecond) {
    step = step_cost;
    ManualClock& clock = simulation.client_clock(0);
    timed = std::make_unique<TimedDraft>(draft, clock, [this](int) { return step; });
    simulation.add_client(std::move(request), options, *timed, [](TokenId t) { return t == kEnd; });
  }

  double ms_per_token() const {
    const ClientStats& s = simulation.client(0).stats();
    return static_cast<double>(s.last_token - s.first_token) * 1e-6 / static_cast<double>(s.emitted - 1);
  }
};

}  // namespace callie::edge_cloud::toy
