#include "plan/study/reference_cases.h"

#include <cmath>

#include "plan/study/small_systems.h"

namespace callie::plan {
namespace {

GroupSpec engine(double step_us, int max_seqs, int budget, int blocks) {
  return linear_group({.base_us = step_us}, "vllm1", max_seqs, budget, blocks);
}

GroupSpec exponential_station(Role role, int servers, double mean_ms) {
  return station(role, servers, fmt::format("exponential({})", mean_ms));
}

/// One sequence at a time, one token per millisecond: the service time is the output length, 10 ms in the mean.
ReferenceCase one_server(bool geometric, double rho) {
  constexpr double kMean = 10, kStepS = 1e-3;
  const double lambda = rho / (kMean * kStepS);
  // Geometric on 1, 2, ...: variance m (m - 1).
  const double second = geometric ? kMean * kMean + kMean * (kMean - 1) : kMean * kMean;
  ReferenceCase out;
  out.name = fmt::format("M/{}/1 at load {}", geometric ? "G" : "D", rho);
  out.theory = lambda * second * kStepS * kStepS / (2 * (1 - rho));
  out.bound = rho > 0.8 ? 0.02 : 0.01;
  out.make = [=](uint64_t seed, int64_t requests) {
    SimSpec spec;
    spec.groups = {engine(1000, 1, 2048, 1 << 16)};
    spec.pipeline = kGenerate;
    poisson(spec, lambda, requests, "1", geometric ? "geometric(10)" : "10", seed);
    return spec;
  };
  out.measure = [](const SimResult& r) { return r.all.queue_ms.mean() / 1e3; };
  return out;
}

double stay_s(const SimResult& r) { return r.all.e2e_ms.mean() / 1e3; }

ReferenceCase many_servers(int servers, double rho) {
  const double mu = 100, lambda = servers * mu * rho;
  const double theory = erlang_c(servers, lambda / mu) / (servers * mu - lambda) + 1 / mu;
  return {fmt::format("M/M/{} at load {}", servers, rho), theory, 0.02,
          [=](uint64_t seed, int64_t requests) {
            SimSpec spec;
            spec.groups = {exponential_station(Role::kPreprocess, servers, 1000 / mu)};
            spec.pipeline = {{StageKind::kPreprocess}};
            poisson(spec, lambda, requests, "1", "1", seed);
            return spec;
          },
          stay_s};
}

/// KV transfers share a link: the mean stay of an M/G/1 processor-sharing queue is S / (1 - rho) for any law of sizes.
ReferenceCase shared_link(const std::string& prompt) {
  constexpr double kTokens = 1000, kBytes = 1000, kGbs = 1, kRho = 0.7;
  const double service = kTokens * kBytes / (kGbs * 1e9);
  return {fmt::format("processor-sharing link, {} tokens", prompt), service / (1 - kRho), 0.02,
          [=](uint64_t seed, int64_t requests) {
            SimSpec spec;
            spec.groups = {engine(0.001, 4096, 1 << 20, 1 << 20), engine(0.001, 4096, 1 << 20, 1 << 20)};
            spec.groups[0].role = Role::kPrefill;
            spec.groups[1].role = Role::kDecode;
            spec.groups[1].name = "dec";
            spec.links = {{.name = "link", .from = 0, .to = 1, .gbs = kGbs}};
            spec.pipeline = kGenerate;
            poisson(spec, kRho / service, requests / 2, prompt, "2", seed);
            return spec;
          },
          [](const SimResult& r) { return r.all.stage_ms[5] / static_cast<double>(r.all.finished) / 1e3; }};
}

/// Each stage of a feed-forward Jackson network behaves as an independent M/M/c queue (Burke).
ReferenceCase jackson() {
  const double lambda = 70, mu1 = 100, mu2 = 50, mu3 = 90;
  const double theory = 1 / (mu1 - lambda) + erlang_c(2, lambda / mu2) / (2 * mu2 - lambda) + 1 / mu2 + 1 / (mu3 - lambda);
  return {"three-stage Jackson network", theory, 0.02,
          [=](uint64_t seed, int64_t requests) {
            SimSpec spec;
            spec.groups = {exponential_station(Role::kPreprocess, 1, 1000 / mu1), exponential_station(Role::kRag, 2, 1000 / mu2),
                           exponential_station(Role::kPostprocess, 1, 1000 / mu3)};
            spec.pipeline = {{StageKind::kPreprocess}, {StageKind::kRag}, {StageKind::kPostprocess}};
            poisson(spec, lambda, requests, "1", "1", seed);
            return spec;
          },
          stay_s};
}

/// As many requests in the system as servers: the M/M/c/c loss system.
ReferenceCase loss_system() {
  const int c = 4;
  const double mu = 100, lambda = 300, offered = lambda / mu;
  double blocked = 1;
  for (int k = 1; k <= c; ++k) blocked = offered * blocked / (k + offered * blocked);
  return {"admission control as M/M/4/4", blocked, 0.02,
          [=](uint64_t seed, int64_t requests) {
            SimSpec spec;
            spec.groups = {exponential_station(Role::kPreprocess, c, 1000 / mu)};
            spec.pipeline = {{StageKind::kPreprocess}};
            spec.admission.max_live = c;
            poisson(spec, lambda, requests, "1", "1", seed);
            return spec;
          },
          [](const SimResult& r) { return static_cast<double>(r.rejected) / static_cast<double>(r.arrived); }};
}

}  // namespace

double erlang_c(int c, double offered) {
  double term = 1, sum = 1;
  for (int k = 1; k < c; ++k) sum += term *= offered / k;
  term *= offered / c;
  const double waiting = term / (1 - offered / c);
  return waiting / (sum + waiting);
}

std::vector<ReferenceCase> reference_cases() {
  std::vector<ReferenceCase> out;
  for (const bool geometric : {true, false}) {
    for (const double rho : {0.3, 0.5, 0.7, 0.85}) out.push_back(one_server(geometric, rho));
  }
  out.push_back(many_servers(2, 0.7));
  out.push_back(many_servers(4, 0.8));
  out.push_back(many_servers(16, 0.9));
  out.push_back(shared_link("geometric(1000)"));
  out.push_back(shared_link("1000"));
  out.push_back(jackson());
  out.push_back(loss_system());
  return out;
}

StatusOr<SeedEstimate> over_ten_seeds(const ReferenceCase& reference, int64_t requests) {
  std::vector<double> values;
  SeedEstimate e;
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    const SimSpec spec = reference.make(seed, requests);
    CALLIE_ASSIGN_OR_RETURN(const SimResult r, simulate(spec));
    // Both sides are sums of integers: exact, not within a tolerance.
    if (r.rejected == 0) e.little &= r.inside_s == r.stay_s;
    for (const ClientResult& c : r.clients) e.little &= r.rejected > 0 || c.inside_s == c.stay_s;
    values.push_back(reference.measure(r));
  }
  for (const double v : values) e.mean += v / 10;
  double variance = 0;
  for (const double v : values) variance += (v - e.mean) * (v - e.mean) / 9;
  e.half_width = 3.2498 * std::sqrt(variance / 10);
  return e;
}

}  // namespace callie::plan
