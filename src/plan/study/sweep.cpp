#include "plan/study/sweep.h"

#include <atomic>
#include <cmath>
#include <cstdio>
#include <map>
#include <mutex>

#include "core/interrupt.h"
#include "core/progress.h"
#include "core/thread_pool.h"
#include "plan/output/summary.h"
#include "plan/sim/simulator.h"
#include "plan/table_file.h"

namespace callie::plan {
namespace {

constexpr const char* kHeader =
    "changes,requests_per_s,output_tokens_per_s,goodput_per_s,ttft_p99_ms,tpot_p99_ms,e2e_p99_ms,"
    "usd_per_million_tokens,joules_per_token,usd_per_hour,slo_met,saturated,error";

std::string key_of(const std::vector<Override>& changes) {
  std::string key;
  for (const auto& [place, value] : changes) key += (key.empty() ? "" : ";") + place + "=" + value;
  for (char& c : key) {
    if (c == ',' || c == '"' || c == '\n') c = ' ';
  }
  return key;
}

bool feasible(const SimSpec& spec, const SimResult& result) {
  return check_slo(spec, result).all_met && result.rejected + result.failed + result.unfinished == 0 &&
         !find_bottleneck(spec, result).saturated;
}

void measure(const Config& config, SweepPoint& point) {
  auto result = simulate(config.spec);
  if (!result.ok()) {
    point.error = result.status().message();
    return;
  }
  const SimResult& r = *result;
  const double seconds = std::max(r.measured_s, 1e-9), tokens = static_cast<double>(std::max<int64_t>(r.all.output_tokens, 1));
  point.throughput = static_cast<double>(r.all.finished) / seconds;
  point.output_tokens = static_cast<double>(r.all.output_tokens) / seconds;
  point.goodput = check_slo(config.spec, r).goodput;
  point.ttft_p99 = r.all.ttft_ms.percentile(.99);
  point.tpot_p99 = r.all.tpot_ms.percentile(.99);
  point.e2e_p99 = r.all.e2e_ms.percentile(.99);
  point.usd_per_million = r.cost_usd / tokens * 1e6;
  point.joules_per_token = r.energy_j / tokens;
  point.usd_per_hour = r.elapsed_s > 0 ? r.cost_usd / r.elapsed_s * 3600 : 0;
  point.saturated = find_bottleneck(config.spec, r).saturated;
  point.slo_met = feasible(config.spec, r);
}

std::string row_of(const SweepPoint& p) {
  std::string error = p.error;
  for (char& c : error) {
    if (c == ',' || c == '"' || c == '\n') c = ' ';
  }
  return fmt::format("{},{:.6g},{:.6g},{:.6g},{:.6g},{:.6g},{:.6g},{:.6g},{:.6g},{:.6g},{},{},{}\n", key_of(p.changes),
                     p.throughput, p.output_tokens, p.goodput, p.ttft_p99, p.tpot_p99, p.e2e_p99, p.usd_per_million,
                     p.joules_per_token, p.usd_per_hour, int{p.slo_met}, int{p.saturated}, error);
}

Status read_done(const std::string& csv, std::map<std::string, SweepPoint>& done) {
  CALLIE_ASSIGN_OR_RETURN(TableFile file, TableFile::open(csv));
  if (file.columns().size() != 13) return data_loss("{}:1: not a sweep of this version", csv);
  while (true) {
    CALLIE_ASSIGN_OR_RETURN(const bool more, file.next());
    if (!more) return ok_status();
    SweepPoint p;
    double* const fields[9] = {&p.throughput, &p.output_tokens, &p.goodput,          &p.ttft_p99,    &p.tpot_p99,
                               &p.e2e_p99,    &p.usd_per_million, &p.joules_per_token, &p.usd_per_hour};
    for (int i = 0; i < 9; ++i) {
      CALLIE_ASSIGN_OR_RETURN(*fields[i], file.number(i + 1));
    }
    p.slo_met = file.cell(10) == "1";
    p.saturated = file.cell(11) == "1";
    p.error = std::string(file.cell(12));
    done[std::string(file.cell(0))] = p;
  }
}

}  // namespace

StatusOr<std::vector<SweepPoint>> sweep(const std::string& path, const std::string& csv, bool resume, int threads,
                                        bool quiet) {
  ConfigLoader loader;
  CALLIE_ASSIGN_OR_RETURN(const Config base, loader.load(path));
  std::vector<SweepPoint> points(1);
  for (const auto& [place, values] : base.sweep.grid) {
    std::vector<SweepPoint> next;
    for (const SweepPoint& p : points) {
      for (const std::string& value : values) {
        next.push_back(p);
        next.back().changes.emplace_back(place, value);
      }
    }
    if (next.size() > 1'000'000) return invalid_argument("{}: sweep.grid has more than a million combinations", path);
    points = std::move(next);
  }
  std::map<std::string, SweepPoint> done;
  if (resume) CALLIE_RETURN_IF_ERROR(read_done(csv, done));
  std::vector<size_t> todo;
  std::vector<Config> configs;
  for (size_t i = 0; i < points.size(); ++i) {
    const auto found = done.find(key_of(points[i].changes));
    if (found != done.end()) {
      const auto changes = points[i].changes;
      points[i] = found->second;
      points[i].changes = changes;
      continue;
    }
    auto config = loader.load(path, points[i].changes);
    if (!config.ok()) {
      points[i].error = config.status().message();
      continue;
    }
    todo.push_back(i);
    configs.push_back(std::move(config).value());
  }
  std::FILE* file = csv.empty() ? nullptr : std::fopen(csv.c_str(), resume ? "a" : "w");
  if (!csv.empty() && !file) return invalid_argument("{}: cannot be written", csv);
  if (file && !resume) std::fprintf(file, "%s\n", kHeader);
  std::mutex mutex;
  std::atomic<size_t> next{0};
  Progress progress("sweep", static_cast<int64_t>(todo.size()), "configurations", 1, quiet);
  int64_t finished = 0;
  ThreadPool pool(threads > 0 ? threads : ThreadPool::physical_cores());
  pool.run([&](const Worker&) {
    for (size_t k = next++; k < todo.size() && !interrupted(); k = next++) {
      SweepPoint point = points[todo[k]];
      measure(configs[k], point);
      if (interrupted()) return;
      const std::lock_guard lock(mutex);
      points[todo[k]] = point;
      if (file) {
        std::fputs(row_of(point).c_str(), file);
        std::fflush(file);
      }
      progress.update(++finished);
    }
  });
  progress.finish();
  if (file) std::fclose(file);
  if (interrupted()) return error(StatusCode::kCancelled, "{} of {} configurations are done; --resume goes on", finished, todo.size());
  return points;
}

int best_point(const std::vector<SweepPoint>& points, const SweepSpec& spec) {
  int best = -1;
  double most = 0;
  for (size_t i = 0; i < points.size(); ++i) {
    const SweepPoint& p = points[i];
    if (!p.error.empty() || !p.slo_met) continue;
    double value = spec.maximise == "goodput" ? p.goodput : p.throughput;
    if (spec.per == "dollar") value /= std::max(p.usd_per_hour, 1e-12);
    if (spec.per == "joule") value /= std::max(p.joules_per_token, 1e-12);
    if (spec.minimise == "cost") value = -p.usd_per_hour;
    if (spec.minimise == "energy") value = -p.joules_per_token;
    if (spec.minimise == "ttft_p99") value = -p.ttft_p99;
    if (spec.minimise == "tpot_p99") value = -p.tpot_p99;
    if (spec.minimise == "e2e_p99") value = -p.e2e_p99;
    if (best < 0 || value > most) {
      best = static_cast<int>(i);
      most = value;
    }
  }
  return best;
}

StatusOr<CapacityAnswer> capacity(const std::string& path, const std::vector<Override>& overrides) {
  ConfigLoader loader;
  CALLIE_ASSIGN_OR_RETURN(Config config, loader.load(path, overrides));
  if (config.spec.slo.bounds.empty()) return invalid_argument("{}: slo: missing: capacity needs an objective", path);
  CapacityAnswer answer;
  const auto meets = [&](double scale, bool& ok) -> Status {
    config.spec.workload.scale = scale;
    CALLIE_ASSIGN_OR_RETURN(const SimResult r, simulate(config.spec));
    ++answer.runs;
    answer.simulated_requests += r.finished;
    ok = feasible(config.spec, r);
    if (ok) {
      answer.scale = scale;
      answer.requests_per_s = r.elapsed_s > 0 ? static_cast<double>(r.arrived) / r.elapsed_s : 0;
    }
    return ok_status();
  };
  double low = 0, high = config.spec.workload.scale;
  bool ok = false;
  CALLIE_RETURN_IF_ERROR(meets(high, ok));
  for (int i = 0; ok && i < 40; ++i) {
    low = high;
    high *= 2;
    CALLIE_RETURN_IF_ERROR(meets(high, ok));
  }
  for (int i = 0; low == 0 && i < 30; ++i) {
    CALLIE_RETURN_IF_ERROR(meets(high / 2, ok));
    (ok ? low : high) = high / 2;
  }
  if (low == 0) return invalid_argument("{}: the SLO cannot be met at any rate", path);
  while (high / low > 1.01) {
    const double middle = std::sqrt(low * high);
    CALLIE_RETURN_IF_ERROR(meets(middle, ok));
    (ok ? low : high) = middle;
  }
  return answer;
}

StatusOr<int> smallest_count(const std::string& path, const std::vector<Override>& overrides,
                             const std::string& client, int64_t& simulated) {
  ConfigLoader loader;
  CALLIE_ASSIGN_OR_RETURN(Config config, loader.load(path, overrides));
  if (config.spec.slo.bounds.empty()) return invalid_argument("{}: slo: missing: capacity needs an objective", path);
  GroupSpec* group = nullptr;
  for (GroupSpec& g : config.spec.groups) {
    if (g.name == client) group = &g;
  }
  if (!group) return invalid_argument("{}: no client \"{}\"", path, client);
  const auto meets = [&](int count) -> StatusOr<bool> {
    group->count = count;
    CALLIE_ASSIGN_OR_RETURN(const SimResult r, simulate(config.spec));
    simulated += r.finished;
    return feasible(config.spec, r);
  };
  int low = 0, high = 1;
  while (true) {
    CALLIE_ASSIGN_OR_RETURN(const bool ok, meets(high));
    if (ok) break;
    low = high;
    high *= 2;
    if (high > 4096) return invalid_argument("{}: 4096 clients do not meet the SLO either", path);
  }
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    CALLIE_ASSIGN_OR_RETURN(const bool ok, meets(middle));
    (ok ? high : low) = middle;
  }
  return high;
}

}  // namespace callie::plan
