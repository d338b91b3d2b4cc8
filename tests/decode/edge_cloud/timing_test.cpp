// The delay algebra on the virtual clock: the closed forms against runs, and the shapes that theory asks for.

#include <gtest/gtest.h>

#include <cmath>

#include "decode/edge_cloud/closing_line.h"
#include "decode/edge_cloud/toy_world.h"

namespace callie::edge_cloud {
namespace {

using toy::Language;
using toy::World;

struct Result {
  double ms;
  Costs costs;
  ClientStats stats;
  double busy_ms;
  std::vector<TraceEvent> trace;
};

Result run(Mode mode, int draft_len, double share, double exit_share, TimeNs round_trip,
           int max_new = 3000) {
  LinkModel link;
  link.one_way = round_trip / 2;
  World world(Language{21, 0}, share, exit_share, link, 1);
  world.target.exit_depths = {0.5};
  ClientOptions options;
  options.mode = mode;
  options.draft_len = draft_len;
  options.max_outcomes = 1;
  world.add(World::request(max_new), options);
  Result r;
  world.simulation.client(0).trace(&r.trace);
  const Status status = world.simulation.run();
  EXPECT_TRUE(status.ok()) << status.message();
  r.ms = world.ms_per_token();
  r.stats = world.simulation.client(0).stats();
  r.busy_ms = static_cast<double>(world.simulation.server_busy()) * 1e-6 / static_cast<double>(r.stats.emitted);
  Costs& c = r.costs;
  c.round_trip = static_cast<double>(round_trip) * 1e-9;
  c.draft_step = 3e-3;
  for (TimeNs t : world.target.pass_cost) c.verify.push_back(static_cast<double>(t) * 1e-9);
  c.survival = {1};
  for (int k = 0; k < draft_len; ++k) {
    c.survival.push_back(r.stats.tried.empty() || !r.stats.tried[k]
                             ? 0
                             : static_cast<double>(r.stats.survived[k]) / static_cast<double>(r.stats.tried[k]));
  }
  const double rounds = static_cast<double>(std::max<int64_t>(1, r.stats.rounds));
  c.hint_at = 0.5;
  c.hint_hit = static_cast<double>(r.stats.hint_hits) / rounds;
  c.guess_hit = static_cast<double>(r.stats.guess_hits) / rounds;
  return r;
}

TEST(EdgeCloudTiming, PredictionMatchesTheVirtualClockWithinOnePercent) {
  double worst = 0;
  for (Mode mode : {Mode::kPerCall, Mode::kStreaming, Mode::kSync, Mode::kHint, Mode::kOwnGuess, Mode::kOptimistic}) {
    for (TimeNs trip : {0, 5, 20, 50, 100, 200}) {
      for (double share : {0.7, 0.9}) {
        const int draft_len = 4;
        const Result r = run(mode, draft_len, share, 0.7, trip * kMillisecond);
        const double predicted = predict(r.costs, mode, draft_len).seconds_per_token * 1e3;
        const double error = r.ms / predicted - 1;
        worst = std::max(worst, std::abs(error));
        EXPECT_NEAR(error, 0, 0.01) << mode_name(mode) << " R=" << trip << " share=" << share << ": " << r.ms << " vs "
                                    << predicted;
      }
    }
  }
  closing_line(8, "closed forms against the virtual clock", {{"worst_error_pct", worst * 100}});
}

TEST(EdgeCloudTiming, ShapesOfTheTheory) {
  double per_call_gain = 0, stream_gain = 1e9, hint_gain = 1e9;
  for (TimeNs trip : {5, 20, 50, 100, 200}) {
    const TimeNs R = trip * kMillisecond;
    const double sync = run(Mode::kSync, 5, 0.85, 0.6, R).ms;
    const double hint = run(Mode::kHint, 5, 0.85, 0.6, R).ms;
    const double full = run(Mode::kFull, 5, 0.85, 0.6, R).ms;
    const double call = run(Mode::kPerCall, 1, 0.85, 0.6, R, 300).ms;
    const double stream = run(Mode::kStreaming, 1, 0.85, 0.6, R, 300).ms;
    EXPECT_GT(call / sync, per_call_gain);
    EXPECT_LT(stream / sync, stream_gain);
    EXPECT_LE(sync / hint, hint_gain * 1.005);
    EXPECT_GE(sync / hint, 1.0);
    EXPECT_GE(sync / full, sync / hint);
    per_call_gain = call / sync;
    stream_gain = stream / sync;
    hint_gain = sync / hint;
  }
}

TEST(EdgeCloudTiming, HintsAreNeverAHarm) {
  double worst = -1;
  for (TimeNs trip : {0, 5, 20, 50, 100}) {
    for (double exit_share : {0.0, 0.3, 0.9}) {
      const double sync = run(Mode::kSync, 5, 0.7, exit_share, trip * kMillisecond).ms;
      for (Mode mode : {Mode::kHint, Mode::kOwnGuess, Mode::kFull}) {
        const double ms = run(mode, 5, 0.7, exit_share, trip * kMillisecond).ms;
        EXPECT_LE(ms, sync * 1.03) << mode_name(mode) << " R=" << trip << " exit share " << exit_share;
        worst = std::max(worst, ms / sync - 1);
      }
    }
  }
  closing_line(10, "modes with hints against sync, hints right 0 to 90 %", {{"worst_pct", worst * 100}});
}

TEST(EdgeCloudTiming, DraftStepsLieBetweenHintAndVerdict) {
  const Result r = run(Mode::kHint, 4, 0.8, 0.8, 20 * kMillisecond);
  int64_t overlapping = 0, rounds = 0;
  TimeNs hint = -1;
  for (const TraceEvent& e : r.trace) {
    if (e.kind == TraceEvent::Kind::kHint) hint = e.begin;
    if (e.kind == TraceEvent::Kind::kPreDraftStep && hint >= 0 && e.begin >= hint) ++overlapping;
    if (e.kind == TraceEvent::Kind::kVerdict) {
      ++rounds;
      hint = -1;
    }
  }
  EXPECT_GT(overlapping, rounds);
  closing_line(11, "draft steps between hint and verdict", {{"steps", overlapping}, {"rounds", rounds}});
}

TEST(EdgeCloudTiming, ServerBusyTimeIsThatOfThePassesAndBelowAutoregression) {
  double most = 0;
  for (Mode mode : {Mode::kSync, Mode::kOwnGuess, Mode::kOptimistic, Mode::kFull}) {
    for (TimeNs trip : {0, 5, 20, 50, 100, 200}) {
      const Result r = run(mode, 4, 0.85, 0.6, trip * kMillisecond);
      const double tokens = static_cast<double>(r.stats.emitted - 1);
      const double passes = static_cast<double>(r.stats.server_us) * 1e-3;  // as verdicts report them, without the opening
      EXPECT_NEAR(passes, r.busy_ms * static_cast<double>(r.stats.emitted) - 30, 1) << mode_name(mode) << " R=" << trip;
      EXPECT_LT(passes / tokens, 30) << mode_name(mode) << " R=" << trip;
      most = std::max(most, passes / tokens / 30);
    }
  }
  closing_line(18, "server-busy time over autoregression's", {{"most", most}});
}

}  // namespace
}  // namespace callie::edge_cloud
