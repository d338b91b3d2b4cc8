// The law of what rejection sampling emits, against the target's own; a wrong residual is found out.

#include "decode/edge_cloud/rejection.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "core/philox.h"

namespace callie::edge_cloud {
namespace {

using Law = std::vector<float>;

Law random_law(int vocab, SequentialRng& rng, double zeros = 0) {
  Law law(vocab);
  double sum = 0;
  for (float& x : law) sum += x = rng.next_double() < zeros ? 0.0f : static_cast<float>(std::pow(rng.next_double(), 3) + 1e-3);
  for (float& x : law) x /= static_cast<float>(sum);
  return law;
}

TokenId draw(std::span<const float> law, SequentialRng& rng) {
  double left = rng.next_double();
  int last = 0;
  for (int t = 0; t < static_cast<int>(law.size()); ++t) {
    if (law[t] <= 0) continue;
    last = t;
    if ((left -= law[t]) < 0) break;
  }
  return last;
}

struct Fit {
  double z = 0;  // of the chi-square by Wilson and Hilferty; 3.1 is p = 0.001
  double tv = 0;
};

Fit fit(const std::vector<int64_t>& counts, const std::vector<double>& law, int64_t n) {
  double chi = 0, tv = 0;
  int df = -1;
  for (size_t t = 0; t < counts.size(); ++t) {
    const double expected = law[t] * static_cast<double>(n);
    tv += 0.5 * std::abs(static_cast<double>(counts[t]) / static_cast<double>(n) - law[t]);
    if (expected < 1e-9) {
      if (counts[t] > 0) return {1e9, 1};
      continue;
    }
    chi += (static_cast<double>(counts[t]) - expected) * (static_cast<double>(counts[t]) - expected) / expected;
    ++df;
  }
  if (df < 1) return {0, tv};
  const double v = 2.0 / (9.0 * df);
  return {(std::cbrt(chi / df) - (1 - v)) / std::sqrt(v), tv};
}

constexpr int64_t kDraws = 200000;

using Rule = std::function<Outcome(std::span<const TokenId>, std::span<const float>, std::span<const float>, int,
                                   const std::function<double()>&)>;

// The first emitted token of many rounds with one drafted token.
Fit first_token(const Law& p, const Law& q, const Rule& rule, uint64_t seed) {
  const auto vocab = static_cast<int>(p.size());
  SequentialRng rng(seed, Purpose::kTest);
  Law both = p;
  both.insert(both.end(), p.begin(), p.end());
  std::vector<int64_t> counts(vocab);
  for (int64_t i = 0; i < kDraws; ++i) {
    const TokenId drafted = draw(q, rng);
    const Outcome outcome = rule({&drafted, 1}, q, both, vocab, [&] { return rng.next_double(); });
    ++counts[outcome.accepted > 0 ? drafted : outcome.next];
  }
  return fit(counts, {p.begin(), p.end()}, kDraws);
}

TEST(RejectionSampling, EmitsTheTargetsLaw) {
  SequentialRng rng(3, Purpose::kTest);
  for (int vocab : {8, 16, 32, 64}) {
    const Law p = random_law(vocab, rng), q = random_law(vocab, rng);
    Law disjoint_p(vocab), disjoint_q(vocab);
    for (int t = 0; t < vocab; ++t) (t % 2 ? disjoint_p : disjoint_q)[t] = 2.0f / static_cast<float>(vocab);
    const std::pair<Law, Law> cases[] = {
        {p, q}, {p, p}, {p, random_law(vocab, rng, 0.5)}, {random_law(vocab, rng, 0.5), q}, {disjoint_p, disjoint_q}};
    for (size_t k = 0; k < std::size(cases); ++k) {
      const Fit f = first_token(cases[k].first, cases[k].second, reject_and_resample, 10 * vocab + k);
      EXPECT_LT(f.z, 3.1) << "vocabulary " << vocab << ", case " << k;
      EXPECT_LT(f.tv, std::sqrt(static_cast<double>(vocab) / kDraws)) << "vocabulary " << vocab << ", case " << k;
    }
  }
}

TEST(RejectionSampling, TheBonusTokenFollowsTheLastRow) {
  SequentialRng rng(4, Purpose::kTest);
  constexpr int kVocab = 16;
  const Law q = random_law(kVocab, rng), last = random_law(kVocab, rng);
  Law p = q;
  p.insert(p.end(), q.begin(), q.end());
  p.insert(p.end(), last.begin(), last.end());
  Law rows = q;
  rows.insert(rows.end(), q.begin(), q.end());
  std::vector<int64_t> counts(kVocab);
  for (int64_t i = 0; i < kDraws; ++i) {
    const TokenId draft[] = {draw(q, rng), draw(q, rng)};
    const Outcome outcome = reject_and_resample(draft, rows, p, kVocab, [&] { return rng.next_double(); });
    ASSERT_EQ(outcome.accepted, 2);  // p = q is never rejected
    ++counts[outcome.next];
  }
  EXPECT_LT(fit(counts, {last.begin(), last.end()}, kDraws).z, 3.1);
}

// Two tokens whose second depends on the first: the joint law of the first two emitted tokens.
TEST(RejectionSampling, TwoTokensFollowTheJointLaw) {
  SequentialRng rng(5, Purpose::kTest);
  constexpr int kVocab = 8;
  const Law p0 = random_law(kVocab, rng), q0 = random_law(kVocab, rng);
  std::vector<Law> p1, q1, p2;
  for (int t = 0; t < kVocab; ++t) {
    p1.push_back(random_law(kVocab, rng));
    q1.push_back(random_law(kVocab, rng));
    p2.push_back(random_law(kVocab, rng));
  }
  std::vector<int64_t> counts(kVocab * kVocab);
  std::vector<double> law(kVocab * kVocab);
  for (int a = 0; a < kVocab; ++a) {
    for (int b = 0; b < kVocab; ++b) law[a * kVocab + b] = static_cast<double>(p0[a]) * p1[a][b];
  }
  for (int64_t i = 0; i < kDraws; ++i) {
    const TokenId a = draw(q0, rng), b = draw(q1[a], rng);
    const TokenId draft[] = {a, b};
    Law q = q0, p = p0;
    q.insert(q.end(), q1[a].begin(), q1[a].end());
    p.insert(p.end(), p1[a].begin(), p1[a].end());
    p.insert(p.end(), p2[b].begin(), p2[b].end());
    const Outcome outcome = reject_and_resample(draft, q, p, kVocab, [&] { return rng.next_double(); });
    const int first = outcome.accepted > 0 ? a : outcome.next;
    const int second = outcome.accepted > 1 ? b : outcome.accepted == 1 ? outcome.next : draw(p1[first], rng);
    ++counts[first * kVocab + second];
  }
  EXPECT_LT(fit(counts, law, kDraws).z, 3.1);
}

TEST(RejectionSampling, AWrongResidualIsFoundOut) {
  SequentialRng rng(6, Purpose::kTest);
  const Law p = random_law(16, rng), q = random_law(16, rng);
  const Rule wrong = [](std::span<const TokenId> draft, std::span<const float> rows, std::span<const float> target, int vocab,
                        const std::function<double()>& uniform) -> Outcome {
    if (uniform() * rows[draft[0]] < target[draft[0]]) return {1, draft[0]};
    double left = uniform();  // from p instead of the residual
    for (int t = 0; t < vocab; ++t) {
      if ((left -= target[t]) < 0) return {0, t};
    }
    return {0, vocab - 1};
  };
  EXPECT_GT(first_token(p, q, wrong, 7).z, 10);
}

}  // namespace
}  // namespace callie::edge_cloud
