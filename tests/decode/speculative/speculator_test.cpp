// The choice of source and length, on a virtual clock with made-up costs: as fast as the best fixed length, and never
// slower than plain decoding, whatever the draft is like and whatever the first passes were like.

#include "decode/speculative/speculator.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "core/philox.h"

namespace callie::decode {
namespace {

struct World {
  double pass_s = 0.016;        // T(1)
  double row_s = 0.0012;        // up to the fifth row
  double late_row_s = 0.0026;   // behind it
  double draft_s = 0.0044;
  double draft_row_s = 0.0002;
  double prompt_row_s = 0.001;  // of the draft's pass over a prompt
  double easy = 0.95, hard = 0.7;  // how often guesses stand, in stretches
  double stretch = 40;             // tokens
  double first_draft = 1, first_pass = 1;  // how much longer the first ones take
  double noise = 0.04;

  double pass(int64_t rows) const {
    const auto n = static_cast<double>(rows);
    return pass_s + row_s * std::min(4.0, n - 1) + late_row_s * std::max(0.0, n - 5);
  }
};

// The target's text and the draft's guesses for it, both functions of the position.
class Text {
 public:
  Text(uint64_t seed, const World& world) : rng_(seed, Purpose::kTest), world_(world) {}
  int32_t token(int64_t at) const { return 1000 + static_cast<int32_t>(rng_.words(at, 0)[0] % 100000); }
  double chance(int64_t at) const {
    const auto stretch = static_cast<uint64_t>(static_cast<double>(at) / world_.stretch);
    return rng_.words(stretch, 1)[0] % 2 ? world_.easy : world_.hard;
  }
  bool stands(int64_t at) const { return CounterRng::uniform(rng_.words(at, 2)[0]) < chance(at); }
  // Surer where it stands, but not reliably.
  float margin(int64_t at) const { return 5 * CounterRng::uniform(rng_.words(at, 3)[0]) + (stands(at) ? 3 : 0); }

 private:
  CounterRng rng_;
  const World& world_;
};

class Machine {
 public:
  explicit Machine(const World& world, uint64_t seed) : world_(world), rng_(seed, Purpose::kTest) {}
  void take(double seconds) {
    double share = 1 + world_.noise * (rng_.next_double() - 0.3);
    if (rng_.next_u32() % 32 == 0) share *= 1.5;  // something else ran
    now_ += seconds * share;
  }
  double now() const { return now_; }
  const World& world() const { return world_; }

 private:
  const World& world_;
  SequentialRng rng_;
  double now_ = 0;
};

class ScriptedDrafter : public Drafter {
 public:
  ScriptedDrafter(Machine& machine, const std::map<uint64_t, Text>& texts) : machine_(machine), texts_(texts) {}

  Status follow(uint64_t sequence, std::span<const int32_t> tokens) override {
    Lane& lane = lanes_[sequence];
    lane.size = static_cast<int64_t>(tokens.size());
    lane.computed = std::min(lane.computed, lane.size - 1);
    lane.right = true;
    return ok_status();
  }
  void forget(uint64_t sequence) override { lanes_.erase(sequence); }
  int64_t lag(uint64_t sequence, std::span<const int32_t> tokens) const override {
    const auto lane = lanes_.find(sequence);
    return static_cast<int64_t>(tokens.size()) - (lane == lanes_.end() ? 0 : lane->second.computed);
  }
  void extend(std::span<Extension> extensions) override {
    int64_t rows = 0;
    for (Extension& extension : extensions) {
      Lane& lane = lanes_[extension.sequence];
      const Text& text = texts_.at(extension.sequence);
      rows += lane.size - lane.computed + static_cast<int64_t>(extension.hints.size());
      const bool stands = text.stands(lane.size);
      lane.right = lane.right && stands;
      const int32_t guess = lane.right ? text.token(lane.size) : 500;
      EXPECT_TRUE(extension.sampler->accept(guess).ok());
      extension.tokens.push_back(guess);
      extension.margins.push_back(text.margin(lane.size));
      lane.computed = lane.size++;
    }
    const World& world = machine_.world();
    const double seconds = world.draft_s + world.draft_row_s * static_cast<double>(rows - 1);
    machine_.take(seconds * (std::exchange(passes_, passes_ + 1) == 0 ? world.first_draft : 1));
  }
  void catch_up(uint64_t sequence, int64_t most) override {
    lanes_[sequence].computed += most;
    machine_.take(machine_.world().prompt_row_s * static_cast<double>(most));
  }
  bool ends(int32_t) const override { return false; }
  int64_t step_bytes() const override { return 30; }

 private:
  struct Lane {
    int64_t size = 0, computed = 0;
    bool right = true;
  };
  Machine& machine_;
  const std::map<uint64_t, Text>& texts_;
  std::map<uint64_t, Lane> lanes_;
  int passes_ = 0;
};

struct Setting {
  int clients = 1;
  int64_t prompt = 200, answer = 160;
  int requests = 1;  // of each client, one after the other
};

// Seconds of virtual time that all answers take. `length`: a fixed one, 0 = plain, kAutomatic.
double decode_s(const World& world, const Setting& setting, int length, uint64_t seed) {
  Machine machine(world, seed);
  std::map<uint64_t, Text> texts;
  Speculator speculator({.draft_len = length, .catch_up = setting.clients > 1 ? 128 : 0},
                        std::make_unique<ScriptedDrafter>(machine, texts), 100, [&] { return machine.now(); });
  bool first = true;
  for (int request = 0; request < setting.requests; ++request) {
    std::map<uint64_t, std::vector<int32_t>> running;
    std::map<uint64_t, Sampler> samplers;
    for (int client = 0; client < setting.clients; ++client) {
      const uint64_t name = 100 * request + client;
      const Text& text = texts.try_emplace(name, Text(1000 * seed + name, world)).first->second;
      for (int64_t i = 0; i < setting.prompt; ++i) running[name].push_back(text.token(i));
      samplers.try_emplace(name, SamplingOptions{.temperature = 0});
    }
    while (!running.empty()) {
      std::vector<Speculator::Request> requests;
      for (auto& [name, tokens] : running) {
        const int64_t left = setting.prompt + setting.answer - static_cast<int64_t>(tokens.size());
        requests.push_back({.sequence = name, .tokens = tokens, .sampler = &samplers.at(name), .most = left - 1});
      }
      if (length != 0) speculator.propose(requests);
      auto rows = static_cast<int64_t>(requests.size());
      for (const auto& r : requests) rows += static_cast<int64_t>(r.draft.size());
      const double start = machine.now();
      machine.take(world.pass(rows) * (std::exchange(first, false) ? world.first_pass : 1));
      speculator.passed(rows, machine.now() - start);
      for (const auto& r : requests) {
        std::vector<int32_t>& tokens = running.at(r.sequence);
        const Text& text = texts.at(r.sequence);
        size_t k = 0;
        do {
          tokens.push_back(text.token(static_cast<int64_t>(tokens.size())));
        } while (k < r.draft.size() && r.draft[k++] == tokens.back());
        if (static_cast<int64_t>(tokens.size()) == setting.prompt + setting.answer) {
          if (length != 0) speculator.forget(r.sequence);
          running.erase(r.sequence);
        }
      }
    }
  }
  return machine.now();
}

struct Comparison {
  double best_fixed = 0, plain = 0, automatic = 0;
};

Comparison compare(const World& world, const Setting& setting) {
  Comparison sums;
  std::map<int, double> fixed;
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    sums.automatic += decode_s(world, setting, SpeculationOptions::kAutomatic, seed);
    sums.plain += decode_s(world, setting, 0, seed);
    for (const int length : {1, 2, 3, 4, 6, 8, 12}) fixed[length] += decode_s(world, setting, length, seed);
  }
  sums.best_fixed = std::min_element(fixed.begin(), fixed.end(), [](auto& a, auto& b) { return a.second < b.second; })->second;
  return sums;
}

TEST(Speculator, AsFastAsTheBestFixedLengthForEveryDraft) {
  for (const double hard : {0.5, 0.7, 0.85}) {
    for (const double draft_s : {0.002, 0.0044, 0.007}) {
      World world;
      world.hard = hard;
      world.draft_s = draft_s;
      const Comparison c = compare(world, {});
      EXPECT_LT(c.automatic, 1.03 * c.best_fixed) << hard << " " << draft_s;
      EXPECT_LT(c.automatic, 1.02 * c.plain) << hard << " " << draft_s;
    }
  }
}

TEST(Speculator, SlowFirstPassesAreForgotten) {
  for (const double first : {3.0, 10.0, 30.0}) {
    World world;
    world.first_draft = first;
    world.first_pass = first / 3;
    const Comparison c = compare(world, {});
    EXPECT_LT(c.automatic, 1.03 * c.best_fixed) << first;
  }
}

TEST(Speculator, AUselessOrDearDraftCostsNoMoreThanItsTrials) {
  World useless;
  useless.easy = useless.hard = 0.1;
  World dear;
  dear.draft_s = 0.02;
  for (const World& world : {useless, dear}) {
    const Comparison c = compare(world, {.answer = 400, .requests = 3});
    EXPECT_LT(c.automatic, 1.02 * c.plain) << world.draft_s;
  }
}

TEST(Speculator, ManyClientsAreNeverSlowerThanPlain) {
  World dear_rows;  // eight rows are no longer bound by memory
  dear_rows.row_s = dear_rows.late_row_s = 0.003;
  for (const World& world : {World(), dear_rows}) {
    for (const int clients : {2, 4, 8, 16}) {
      const Comparison c = compare(world, {.clients = clients, .prompt = 180, .answer = 96, .requests = 2});
      EXPECT_LT(c.automatic, 1.02 * c.plain) << clients << " clients, row " << world.row_s << ", fixed " << c.best_fixed;
    }
  }
}

}  // namespace
}  // namespace callie::decode
