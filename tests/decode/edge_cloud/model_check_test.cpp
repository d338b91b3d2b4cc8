// Random schedules of messages and faults on the virtual clock: after every event all invariants hold, and in the end
// every client has the target's tokens, each once.

#include <gtest/gtest.h>

#include <cstdlib>

#include "decode/edge_cloud/closing_line.h"
#include "decode/edge_cloud/toy_world.h"

namespace callie::edge_cloud {
namespace {

using toy::Language;
using toy::World;

struct Schedule {
  LinkModel link;
  ServerLimits limits;
  ClientOptions options;
  Open open;
  Language language;
  double draft_share, exit_share;
  int64_t restart_after;
  TimeNs step;
  std::vector<TimeNs> pass_cost;
};

Schedule random_schedule(uint64_t seed) {
  SequentialRng rng(seed, Purpose::kTest, 9);
  const auto maybe = [&](double most) { return rng.next_below(3) == 0 ? most * rng.next_double() : 0; };
  Schedule s;
  s.link.one_way = static_cast<TimeNs>(rng.next_below(40)) * kMillisecond;
  s.link.jitter = rng.next_below(2) ? static_cast<TimeNs>(1 + rng.next_below(20 * kMillisecond)) : 0;
  s.link.drop = maybe(0.1);
  s.link.duplicate = maybe(0.3);
  s.link.reorder = maybe(0.3);
  s.link.stall = maybe(0.1);
  s.link.disconnect = maybe(0.1);
  s.link.connect_failure = maybe(0.3);
  s.link.reorder_time = 60 * kMillisecond;
  s.limits.max_draft = 1 + static_cast<int>(rng.next_below(5));
  s.limits.warm_ttl = rng.next_below(2) ? 40 * kMillisecond : 60 * kSecond;
  s.limits.cold_ttl = rng.next_below(4) ? 600 * kSecond : 70 * kMillisecond;
  s.limits.max_sessions_per_client = 64;
  s.options.mode = kAllModes[rng.next_below(std::size(kAllModes))];
  s.options.draft_len = 1 + static_cast<int>(rng.next_below(5));
  s.options.reply_timeout = s.options.open_timeout = 400 * kMillisecond;
  s.options.retry_for = 3600 * kSecond;
  s.options.max_outcomes = 1 + static_cast<int>(rng.next_below(3));
  s.options.catch_up_chunk = 1 + static_cast<int>(rng.next_below(8));
  s.options.min_probability = rng.next_below(2) ? 0.4f : 0.0f;
  s.language = {seed, rng.next_below(2) ? 0.05 : 0.0};
  s.open = World::request(1 + static_cast<int>(rng.next_below(16)), seed);
  s.open.pad = rng.next_below(2);
  s.draft_share = rng.next_below(8) ? rng.next_double() : -1;
  s.exit_share = rng.next_double();
  s.restart_after = rng.next_below(8) ? 0 : static_cast<int64_t>(1 + rng.next_below(20));
  s.step = static_cast<TimeNs>(1 + rng.next_below(12 * kMillisecond));
  s.pass_cost.clear();
  for (int m = 0; m < 6; ++m) {
    s.pass_cost.push_back(static_cast<TimeNs>(5 * kMillisecond + rng.next_below(30 * kMillisecond)));
  }
  return s;
}

testing::AssertionResult check(uint64_t seed, int64_t* frames) {
  const Schedule s = random_schedule(seed);
  World world(s.language, s.draft_share, s.exit_share, s.link, seed, s.limits);
  world.target.pass_cost = s.pass_cost;
  world.simulation.check_always(true);
  world.simulation.restart_after(s.restart_after);
  world.add(s.open, s.options, s.step);
  const Status status = world.simulation.run(7200 * kSecond);
  *frames += world.simulation.frames();
  const auto fail = [&](const std::string& why) {
    return testing::AssertionFailure() << "schedule " << seed << " (" << mode_name(s.options.mode) << "): " << why;
  };
  if (!status.ok()) return fail(status.message());
  if (!world.target.broken.empty()) return fail(world.target.broken);
  if (world.simulation.emitted(0) != toy::plain(s.language, s.open.prompt_ids, s.open.max_new)) {
    return fail("other tokens than plain decoding");
  }
  return testing::AssertionSuccess();
}

TEST(EdgeCloudModelCheck, RandomSchedules) {
  const char* wanted = std::getenv("CALLIE_SCHEDULES");
  const uint64_t schedules = wanted ? std::strtoull(wanted, nullptr, 10) : 100'000;
  int64_t frames = 0;
  for (uint64_t seed = 1; seed <= schedules; ++seed) ASSERT_TRUE(check(seed, &frames));
  closing_line(5, "random schedules", {{"schedules", schedules}, {"frames", frames}, {"violations", 0}});
}

// All drafts right or wrong at every position, all places of a cut, for a short sequence: every (accepted, cut) pair.
TEST(EdgeCloudModelCheck, ExhaustiveSmall) {
  int64_t cases = 0;
  for (Mode mode : {Mode::kSync, Mode::kHint, Mode::kOwnGuess, Mode::kOptimistic, Mode::kFull}) {
    for (int draft_len : {1, 2, 3}) {
      for (int max_new = 1; max_new <= 7; ++max_new) {
        for (double share : {0.0, 0.35, 0.7, 1.0}) {
          for (int64_t cut = 0; cut <= 24; ++cut) {
            Language language{static_cast<uint64_t>(max_new * 7 + draft_len), 0.08};
            World world(language, share, 0.5, {}, 2);
            ClientOptions options;
            options.mode = mode;
            options.draft_len = draft_len;
            world.simulation.check_always(true);
            world.simulation.cut_after(cut);
            const Open open = World::request(max_new, static_cast<uint64_t>(cut));
            world.add(open, options);
            const Status status = world.simulation.run(600 * kSecond);
            ASSERT_TRUE(status.ok()) << status.message();
            ASSERT_EQ(world.simulation.emitted(0), toy::plain(language, open.prompt_ids, max_new));
            ++cases;
            if (cut > world.simulation.frames()) break;
          }
        }
      }
    }
  }
  EXPECT_GT(cases, 2500);
}

}  // namespace
}  // namespace callie::edge_cloud
