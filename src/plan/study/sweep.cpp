#include "plan/study/sweep.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <map>
#include <mutex>
#include <numeric>
#include <optional>
#include <thread>

#include "core/atomic_file.h"
#include "core/interrupt.h"
#include "core/progress.h"
#include "core/thread_pool.h"
#include "plan/output/summary.h"
#include "plan/sim/simulator.h"
#include "plan/study/sweep_ranks.h"
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

/// What sweep.maximise, minimise and per ask for; more is better.
double value_of(const SweepPoint& p, const SweepSpec& spec) {
  if (spec.minimise == "cost") return -p.usd_per_hour;
  if (spec.minimise == "energy") return -p.joules_per_token;
  if (spec.minimise == "ttft_p99") return -p.ttft_p99;
  if (spec.minimise == "tpot_p99") return -p.tpot_p99;
  if (spec.minimise == "e2e_p99") return -p.e2e_p99;
  const double value = spec.maximise == "goodput" ? p.goodput : p.throughput;
  if (spec.per == "dollar") return value / std::max(p.usd_per_hour, 1e-12);
  if (spec.per == "joule") return value / std::max(p.joules_per_token, 1e-12);
  return value;
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

/// Every combination of `sweep.grid`, the last place fastest.
StatusOr<std::vector<SweepPoint>> combinations(const Config& config) {
  std::vector<SweepPoint> points(1);
  for (const auto& [place, values] : config.sweep.grid) {
    std::vector<SweepPoint> next;
    for (const SweepPoint& p : points) {
      for (const std::string& value : values) {
        next.push_back(p);
        next.back().changes.emplace_back(place, value);
      }
    }
    if (next.size() > 1'000'000) return invalid_argument("{}: sweep.grid has more than a million combinations", config.path);
    points = std::move(next);
  }
  return points;
}

}  // namespace

void sweep_as_other_rank(SweepRanks& ranks, const std::string& path) {
  ConfigLoader loader;
  std::vector<SweepPoint> points;
  ranks.work([&](const SweepRanks::Task& task) -> StatusOr<SweepPoint> {
    if (points.empty()) {
      CALLIE_ASSIGN_OR_RETURN(const Config base, loader.load(path));
      CALLIE_ASSIGN_OR_RETURN(points, combinations(base));
    }
    if (task.point >= static_cast<int64_t>(points.size())) return invalid_argument("{}: not the file that rank 0 reads", path);
    SweepPoint point = points[task.point];
    CALLIE_ASSIGN_OR_RETURN(Config config, loader.load(path, point.changes));
    if (task.requests > 0) config.spec.workload.requests = task.requests;
    measure(config, point);
    return point;
  });
}

StatusOr<std::vector<SweepPoint>> sweep(const std::string& path, const SweepOptions& options) {
  ConfigLoader loader;
  CALLIE_ASSIGN_OR_RETURN(const Config base, loader.load(path));
  CALLIE_ASSIGN_OR_RETURN(std::vector<SweepPoint> points, combinations(base));
  const std::string& csv = options.csv;
  const bool resume = options.resume && std::filesystem::exists(csv);
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
  Progress progress("sweep", static_cast<int64_t>(todo.size()), "configurations", 1, options.quiet);
  int64_t finished = 0;
  Status elsewhere = ok_status();  // of the other ranks
  ThreadPool pool(options.threads > 0 ? options.threads : ThreadPool::physical_cores());
  const auto write = [&](const SweepPoint& point) {
    if (!file) return;
    std::fputs(row_of(point).c_str(), file);
    std::fflush(file);
  };
  // Successive halving: short runs of all, the better half goes on to the next length; a last round, or the only one, counts.
  std::vector<size_t> alive(todo.size());
  std::iota(alive.begin(), alive.end(), size_t{0});
  const auto& lengths = base.sweep.halving;
  for (size_t round = 0; round < std::max<size_t>(lengths.size(), 1) && !interrupted(); ++round) {
    const bool last = round + 1 >= lengths.size();
    const int64_t requests = lengths.empty() ? 0 : lengths[round];
    std::atomic<size_t> taken{0};
    const auto take = [&]() -> std::optional<size_t> {
      const size_t k = interrupted() ? alive.size() : taken++;
      return k < alive.size() ? std::optional(alive[k]) : std::nullopt;
    };
    const auto keep = [&](SweepPoint& place, const SweepPoint& point) {
      const std::lock_guard lock(mutex);
      place = point;
      if (!last) return;
      write(point);
      progress.update(++finished);
    };
    std::thread others;
    if (options.ranks) {
      others = std::thread([&] {
        elsewhere = options.ranks->hand_out(
            [&]() -> std::optional<SweepRanks::Task> {
              const auto k = take();
              return k ? std::optional(SweepRanks::Task{static_cast<int64_t>(todo[*k]), requests}) : std::nullopt;
            },
            [&](const SweepRanks::Task& task, SweepPoint point) {
              point.changes = points[task.point].changes;
              keep(points[task.point], point);
            });
      });
    }
    pool.run([&](const Worker&) {
      while (const auto k = take()) {
        Config& config = configs[*k];
        if (requests > 0) config.spec.workload.requests = requests;
        SweepPoint point = points[todo[*k]];
        measure(config, point);
        if (!interrupted()) keep(points[todo[*k]], point);
      }
    });
    if (others.joinable()) others.join();
    if (!elsewhere.ok()) break;
    if (last || interrupted()) break;
    const auto point_of = [&](size_t k) -> SweepPoint& { return points[todo[k]]; };
    std::stable_sort(alive.begin(), alive.end(), [&](size_t a, size_t b) {
      const SweepPoint &p = point_of(a), &q = point_of(b);
      if (p.error.empty() != q.error.empty()) return p.error.empty();
      if (p.slo_met != q.slo_met) return p.slo_met;
      return value_of(p, base.sweep) > value_of(q, base.sweep);
    });
    const size_t kept = (alive.size() + 1) / 2;
    for (size_t k = kept; k < alive.size(); ++k) {
      SweepPoint& point = point_of(alive[k]);
      if (point.error.empty()) point.error = fmt::format("dropped after {} requests", lengths[round]);
      write(point);
      progress.update(++finished);
    }
    alive.resize(kept);
    std::sort(alive.begin(), alive.end());
  }
  progress.finish();
  if (file) std::fclose(file);
  if (!elsewhere.ok() && elsewhere.code() != StatusCode::kCancelled) return elsewhere;
  const bool stopped = interrupted() || !elsewhere.ok();
  if (file && !stopped) {
    // Rows stood in the order in which they were done; the whole file has the grid's, whatever the number of threads.
    std::string text = std::string(kHeader) + "\n";
    for (const SweepPoint& point : points) text += row_of(point);
    CALLIE_RETURN_IF_ERROR(write_text_file(csv, text, false));
  }
  if (stopped) return error(StatusCode::kCancelled, "{} of {} configurations are done; --resume goes on", finished, todo.size());
  return points;
}

int best_point(const std::vector<SweepPoint>& points, const SweepSpec& spec) {
  int best = -1;
  for (size_t i = 0; i < points.size(); ++i) {
    if (!points[i].error.empty() || !points[i].slo_met) continue;
    if (best < 0 || value_of(points[i], spec) > value_of(points[best], spec)) best = static_cast<int>(i);
  }
  return best;
}

StatusOr<SeedSpread> spread_over_seeds(const std::string& path, const std::vector<Override>& changes, int seeds) {
  ConfigLoader loader;
  CALLIE_ASSIGN_OR_RETURN(Config config, loader.load(path, changes));
  SeedSpread spread;
  std::vector<SweepPoint> runs(static_cast<size_t>(std::max(seeds, 1)));
  for (SweepPoint& point : runs) {
    measure(config, point);
    if (!point.error.empty()) return invalid_argument("{}: {}", path, point.error);
    ++config.spec.workload.seed;
    ++spread.seeds;
    spread.slo_met += point.slo_met;
  }
  // Student's t at 97.5 % by degrees of freedom.
  constexpr double kT[] = {0, 12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262};
  const auto half_width = [&](double SweepPoint::*field) {
    double mean = 0, variance = 0;
    const double n = static_cast<double>(runs.size());
    for (const SweepPoint& p : runs) mean += p.*field / n;
    for (const SweepPoint& p : runs) variance += (p.*field - mean) * (p.*field - mean) / std::max(n - 1, 1.0);
    return kT[std::min(runs.size() - 1, std::size(kT) - 1)] * std::sqrt(variance / n);
  };
  spread.throughput = half_width(&SweepPoint::throughput);
  spread.ttft_p99 = half_width(&SweepPoint::ttft_p99);
  spread.tpot_p99 = half_width(&SweepPoint::tpot_p99);
  return spread;
}

}  // namespace callie::plan
