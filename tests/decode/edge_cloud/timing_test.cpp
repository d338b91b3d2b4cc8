// The delay algebra on the virtual clock: the closed forms against runs, and the shapes that theory asks for.

#include <gtest/gtest.h>

#include <cmath>

#include "decode/edge_cloud/calibration.h"
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
  std::string explanation;
  Costs measured;  // what the client knows at the end
};

Result run(Mode mode, int draft_len, double share, double exit_share, TimeNs round_trip, double price = 0,
        int max_new = 3000, TimeNs change_at = 0, TimeNs new_one_way = 0, std::optional<Costs> calibration = {}) {
  LinkModel link;
  link.one_way = round_trip / 2;
  World world(Language{21, 0}, share, exit_share, link, 1);
  world.target.exit_depths = {0.5};
  ClientOptions options;
  options.mode = mode;
  options.draft_len = draft_len;
  options.max_outcomes = 1;
  options.server_price = price;
  options.calibration = std::move(calibration);
  if (change_at) world.simulation.change_delay(change_at, new_one_way);
  world.add(World::request(max_new), options);
  Result r;
  world.simulation.client(0).trace(&r.trace);
  const Status status = world.simulation.run();
  EXPECT_TRUE(status.ok()) << status.message();
  r.ms = world.ms_per_token();
  r.measured = world.simulation.client(0).controller().costs();
  r.explanation = world.simulation.client(0).controller().explain();
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
  std::printf("{\"check\":\"predicted_vs_virtual\",\"worst_error_pct\":%.2f}\n", worst * 100);
}

TEST(EdgeCloudTiming, ShapesOfTheTheory) {
  double per_call_gain = 0, stream_gain = 1e9, hint_gain = 1e9;
  for (TimeNs trip : {5, 20, 50, 100, 200}) {
    const TimeNs R = trip * kMillisecond;
    const double sync = run(Mode::kSync, 5, 0.85, 0.6, R).ms;
    const double hint = run(Mode::kHint, 5, 0.85, 0.6, R).ms;
    const double full = run(Mode::kFull, 5, 0.85, 0.6, R).ms;
    const double call = run(Mode::kPerCall, 1, 0.85, 0.6, R, 0, 300).ms;
    const double stream = run(Mode::kStreaming, 1, 0.85, 0.6, R, 0, 300).ms;
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
  for (TimeNs trip : {0, 5, 20, 50, 100}) {
    for (double exit_share : {0.0, 0.3, 0.9}) {
      const double sync = run(Mode::kSync, 5, 0.7, exit_share, trip * kMillisecond).ms;
      for (Mode mode : {Mode::kHint, Mode::kOwnGuess, Mode::kFull}) {
        EXPECT_LE(run(mode, 5, 0.7, exit_share, trip * kMillisecond).ms, sync * 1.03)
            << mode_name(mode) << " R=" << trip << " exit share " << exit_share;
      }
    }
  }
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
}

// Milliseconds a token of the best mode and draft length that stay as they are.
double best_fixed_ms(double share, TimeNs R) {
  double best = run(Mode::kStreaming, 1, share, 0.6, R).ms;
  for (int g = 1; g <= 8; ++g) {
    for (Mode mode : {Mode::kOptimistic, Mode::kFull}) best = std::min(best, run(mode, g, share, 0.6, R).ms);
  }
  return best;
}

TEST(EdgeCloudTiming, AdaptiveIsCloseToTheBestFixedChoice) {
  double worst = 0;
  for (double share : {0.5, 0.85}) {
    for (TimeNs trip : {0, 5, 20, 50, 100, 200}) {
      const TimeNs R = trip * kMillisecond;
      const double best = best_fixed_ms(share, R);
      const Result chosen = run(Mode::kAdaptive, 8, share, 0.6, R);
      const double adaptive = chosen.ms;
      worst = std::max(worst, adaptive / best - 1);
      EXPECT_LE(adaptive, best * 1.05) << "share " << share << " R=" << trip << "\n" << chosen.explanation;
    }
  }
  std::printf("{\"check\":\"adaptive_vs_best_fixed\",\"worst_pct\":%.2f}\n", worst * 100);
}

TEST(EdgeCloudTiming, ASavedCalibrationIsWithinThreePercentOfTheBestFixedChoice) {
  double worst = 0;
  for (double share : {0.5, 0.85}) {
    for (TimeNs trip : {0, 5, 20, 50, 100, 200}) {
      const TimeNs R = trip * kMillisecond;
      const double best = best_fixed_ms(share, R);
      // What a session before this one has measured, through the file.
      const Result earlier = run(Mode::kAdaptive, 8, share, 0.6, R);
      const std::string path = testing::TempDir() + "/calibration.json";
      ASSERT_TRUE(write_calibration(path, earlier.measured).ok());
      const auto saved = read_calibration(path);
      ASSERT_TRUE(saved.ok()) << saved.status().message();
      const Result chosen = run(Mode::kAdaptive, 8, share, 0.6, R, 0, 3000, 0, 0, *saved);
      worst = std::max(worst, chosen.ms / best - 1);
      EXPECT_LE(chosen.ms, best * 1.03) << "share " << share << " R=" << trip << "\n" << chosen.explanation;
    }
  }
  std::printf("{\"check\":\"calibrated_vs_best_fixed\",\"worst_pct\":%.2f}\n", worst * 100);
}

TEST(EdgeCloudTiming, AdaptiveStreamsWhenFarAndSpeculatesWhenServerTimeCosts) {
  const Result free = run(Mode::kAdaptive, 6, 0.6, 0.6, 300 * kMillisecond);
  EXPECT_GT(free.busy_ms, 29);  // streams: one pass a token
  const Result dear = run(Mode::kAdaptive, 6, 0.6, 0.6, 300 * kMillisecond, 50);
  EXPECT_LT(dear.busy_ms, 25);
}

TEST(EdgeCloudTiming, AdaptiveFollowsAStepOfTheRoundTrip) {
  // Near at first, far later: after the change the tokens come as fast as in a session that was far all along.
  const TimeNs change = 20 * kSecond;
  LinkModel link;
  link.one_way = 2 * kMillisecond;
  World world(Language{21, 0}, 0.6, 0.6, link, 1);
  ClientOptions options;
  options.draft_len = 8;
  world.simulation.change_delay(change, 150 * kMillisecond);
  world.add(World::request(3000), options);
  std::vector<TraceEvent> trace;
  world.simulation.client(0).trace(&trace);
  ASSERT_TRUE(world.simulation.run().ok());
  int rounds = 0;
  for (const TraceEvent& e : trace) rounds += e.kind == TraceEvent::Kind::kVerdict && e.begin > change;
  EXPECT_LE(rounds, 30);
}

}  // namespace
}  // namespace callie::edge_cloud
