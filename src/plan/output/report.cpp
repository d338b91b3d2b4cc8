#include "plan/output/report.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "core/interrupt.h"
#include "core/progress.h"
#include "plan/output/summary.h"
#include "plan/sim/simulator.h"
#include "report/html.h"

namespace callie::plan {
namespace {

using report::Axes;

std::string number(double value) { return report::short_number(value); }

void add_figures(report::Page& page, const ReportInput& in) {
  const SimResult& r = *in.result;
  const double seconds = std::max(r.measured_s, 1e-9);
  const double tokens = static_cast<double>(std::max<int64_t>(r.all.output_tokens, 1));
  const SloOutcome slo = check_slo(in.config->spec, r);
  const Verdict verdict = find_bottleneck(in.config->spec, r);
  page.figures({{"requests per second", number(static_cast<double>(r.all.finished) / seconds)},
                {"output tokens per second", number(static_cast<double>(r.all.output_tokens) / seconds)},
                {"P99 time to first token", number(r.all.ttft_ms.percentile(.99)) + " ms"},
                {"P99 time per output token", number(r.all.tpot_ms.percentile(.99)) + " ms"},
                {"per million output tokens", fmt::format("${}", number(r.cost_usd / tokens * 1e6))},
                {"per output token", number(r.energy_j / tokens) + " J"},
                {"requests within the objectives", number(100 * slo.attainment) + " %"},
                {"busiest: " + verdict.bottleneck, number(100 * verdict.utilisation) + " %"}});
  std::string text = verdict.text + ". ";
  if (!verdict.saturated && verdict.utilisation > 0.8) {
    text += "An engine that batches is busy with one request already: the load curve below shows what is left. ";
  }
  double total = 0;
  int most = 0;
  for (int s = 0; s < 8; ++s) {
    total += r.all.stage_ms[s];
    if (r.all.stage_ms[s] > r.all.stage_ms[most]) most = s;
  }
  if (total > 0) {
    text += fmt::format("Of a request's time {:.0f} % goes to {}. ", 100 * r.all.stage_ms[most] / total, kStageNames[most]);
  }
  int64_t preemptions = 0;
  for (const ClientResult& c : r.clients) preemptions += c.preemptions;
  if (preemptions > 0) text += fmt::format("KV memory ran out {} times and a request was preempted. ", preemptions);
  if (r.rejected + r.failed + r.unfinished > 0) {
    text += fmt::format("Rejected {}, failed {}, unfinished {}. ", r.rejected, r.failed, r.unfinished);
  }
  if (r.extrapolated > 0) text += fmt::format("{} steps lay outside the measured range of their tables. ", r.extrapolated);
  page.paragraph(text);
  for (const std::string& warning : in.config->warnings) page.paragraph("Note: " + warning);
  if (!slo.lines.empty()) {
    std::vector<std::vector<std::string>> rows;
    for (const SloOutcome::Line& l : slo.lines) {
      rows.push_back({l.name, number(l.limit_ms), number(l.value_ms), l.met ? "met" : "missed"});
    }
    page.table({"objective", "limit ms", "reached ms", ""}, rows);
  }
}

void add_latencies(report::Page& page, const SimResult& r) {
  page.heading("Latency");
  std::vector<std::vector<std::string>> rows;
  const auto row = [&](const std::string& name, const Series& s) {
    if (s.count() == 0) return;
    rows.push_back({name, number(s.mean()), number(s.percentile(.5)), number(s.percentile(.9)), number(s.percentile(.95)),
                    number(s.percentile(.99)), number(s.max())});
  };
  const auto all = [&](const ClassMetrics& m, const std::string& prefix) {
    row(prefix + "TTFT", m.ttft_ms);
    row(prefix + "TPOT", m.tpot_ms);
    row(prefix + "E2E", m.e2e_ms);
  };
  all(r.all, "");
  if (r.classes.size() > 1) {
    for (const ClassMetrics& m : r.classes) all(m, m.name + " ");
  }
  page.table({"milliseconds", "mean", "P50", "P90", "P95", "P99", "max"}, rows);
  const auto cdf = [&](const std::string& title, Series ClassMetrics::*member) {
    std::vector<report::Series> lines;
    const auto add = [&](const std::string& name, const Series& s) {
      if (s.count() == 0) return;
      report::Series line{name, {}, {}};
      for (int i = 0; i <= 200; ++i) {
        const double q = std::min(i / 200.0, 0.999);
        line.x.push_back(s.percentile(q));
        line.y.push_back(100 * q);
      }
      lines.push_back(line);
    };
    add("all", r.all.*member);
    if (r.classes.size() > 1) {
      for (const ClassMetrics& m : r.classes) add(m.name, m.*member);
    }
    Axes axes{title, "milliseconds", "% of requests"};
    axes.width = 500;
    axes.log_x = true;
    page.raw(report::line_chart(axes, lines));
  };
  cdf("Time to first token", &ClassMetrics::ttft_ms);
  cdf("Time per output token", &ClassMetrics::tpot_ms);
  cdf("End to end", &ClassMetrics::e2e_ms);
}

void add_waterfall(report::Page& page, const SimResult& r) {
  std::vector<std::string> categories;
  std::vector<const ClassMetrics*> classes = {&r.all};
  if (r.classes.size() > 1) {
    for (const ClassMetrics& m : r.classes) classes.push_back(&m);
  }
  for (const ClassMetrics* m : classes) categories.push_back(m->name);
  std::vector<std::pair<std::string, std::vector<double>>> values;
  for (int s = 0; s < 8; ++s) {
    std::vector<double> ms;
    double sum = 0;
    for (const ClassMetrics* m : classes) {
      ms.push_back(m->stage_ms[s] / static_cast<double>(std::max<int64_t>(m->finished, 1)));
      sum += ms.back();
    }
    if (sum > 0) values.emplace_back(kStageNames[s], ms);
  }
  Axes axes{"Where a request spends its time (mean)", "class", "milliseconds"};
  axes.width = 500;
  page.raw(report::bar_chart(axes, categories, values, true));
}

/// The busiest client's share of the window that shows at most `kMost` steps of all clients.
void add_schedule(report::Page& page, const SimResult& r) {
  if (r.steps.empty()) return;
  constexpr size_t kMost = 1200;
  const size_t begin = r.steps.size() > 4 * kMost ? r.steps.size() / 4 : 0;
  const size_t end = std::min(begin + kMost, r.steps.size());
  const Ns zero = r.steps[begin].start;
  std::vector<std::string> lanes;
  std::vector<int> lane_of(r.clients.size(), -1);
  std::vector<report::Interval> intervals;
  for (size_t i = begin; i < end; ++i) {
    const StepRow& s = r.steps[i];
    int& lane = lane_of[s.client];
    if (lane < 0) {
      if (lanes.size() >= 24) continue;
      lane = static_cast<int>(lanes.size());
      lanes.push_back(r.clients[s.client].name);
    }
    const int kind = s.prefill_tokens == 0 ? 0 : s.decode_sequences == 0 ? 1 : 2;
    constexpr const char* kKinds[3] = {"decode", "prefill", "mixed"};
    intervals.push_back({lane, to_ms(s.start - zero), to_ms(s.end - zero), kind,
                         fmt::format("{} {}: {} prompt tokens, {} decoding", r.clients[s.client].name, kKinds[kind],
                                     s.prefill_tokens, s.decode_sequences)});
  }
  page.heading("Schedule");
  page.paragraph("Consecutive steps of the engines: the first colour decodes only, the second computes prompts only, the "
                 "third both; gaps are idle time. The whole schedule is in the Perfetto trace (plan run --perfetto).");
  Axes axes{"Engine steps", fmt::format("milliseconds after {:.2f} s", to_seconds(zero)), ""};
  axes.width = 1040;
  axes.height = 90 + 24 * static_cast<int>(lanes.size());
  page.raw(report::gantt_chart(axes, lanes, intervals));
}

void add_time_series(report::Page& page, const ReportInput& in) {
  const SimResult& r = *in.result;
  if (r.samples.empty()) return;
  page.heading("Over time");
  const auto chart = [&](const std::string& title, const std::string& unit, const auto& value) {
    std::vector<report::Series> lines;
    std::vector<int> line_of(r.clients.size(), -1);
    const size_t stride = std::max<size_t>(1, r.samples.size() / 200'000);
    for (size_t i = 0; i < r.samples.size(); i += stride) {
      const SampleRow& s = r.samples[i];
      int& line = line_of[s.client];
      if (line < 0) {
        if (lines.size() >= 8) continue;
        line = static_cast<int>(lines.size());
        lines.push_back({r.clients[s.client].name, {}, {}});
      }
      lines[line].x.push_back(to_seconds(s.t));
      lines[line].y.push_back(value(s));
    }
    Axes axes{title, "seconds", unit};
    axes.width = 500;
    axes.height = 260;
    page.raw(report::line_chart(axes, lines));
  };
  chart("Requests waiting", "requests", [](const SampleRow& s) { return double(s.waiting); });
  chart("Requests running", "requests", [](const SampleRow& s) { return double(s.running); });
  chart("KV blocks in use", "% of the blocks", [&](const SampleRow& s) {
    return 100.0 * s.blocks_used / std::max(r.clients[s.client].blocks, 1);
  });
  chart("Power", "watts per client", [](const SampleRow& s) { return s.power_w; });
  if (r.clients.size() > 8) page.paragraph("The first eight clients are drawn.");
}

void add_machines(report::Page& page, const SimResult& r) {
  page.heading("Machines");
  std::vector<std::vector<std::string>> rows;
  for (const ClientResult& c : r.clients) {
    rows.push_back({c.name, number(c.active_s > 0 ? 100 * c.busy_s / c.active_s : 0), number(double(c.steps)),
                    number(c.mean_batch), number(double(c.prefill_tokens)), number(double(c.decode_tokens)),
                    c.blocks > 0 ? number(100.0 * c.peak_blocks / c.blocks) : "–", number(double(c.preemptions)),
                    number(c.energy_j / 3.6e6), number(c.cost_usd)});
  }
  page.table({"client", "busy %", "steps", "mean batch", "prompt tokens", "decode tokens", "peak KV %", "preemptions", "kWh",
              "$"},
             rows);
  if (!r.links.empty()) {
    rows.clear();
    for (const LinkResult& l : r.links) {
      rows.push_back({l.name, number(r.elapsed_s > 0 ? 100 * l.busy_s / r.elapsed_s : 0), number(l.gigabytes)});
    }
    page.table({"link", "busy %", "GB"}, rows);
  }
  if (!r.tiers.empty()) {
    rows.clear();
    for (const TierResult& t : r.tiers) {
      rows.push_back({t.name, number(double(t.lookups)), number(double(t.hits)), number(double(t.tokens)),
                      number(double(t.recomputed)), number(t.used_gb)});
    }
    page.table({"tier", "look-ups", "hits", "tokens fetched", "recomputed, being faster", "GB used"}, rows);
  }
}

void add_load_curve(report::Page& page, const ReportInput& in) {
  if (in.load.empty()) return;
  page.heading("Throughput and latency");
  page.paragraph("The same configuration at other arrival rates. Where the queue grows until the last arrival, the latencies "
                 "depend on the length of the run and the point is marked as overload.");
  report::Series p50{"TTFT P50", {}, {}}, p99{"TTFT P99", {}, {}}, tpot{"TPOT P99", {}, {}};
  std::vector<std::vector<std::string>> rows;
  for (const LoadPoint& p : in.load) {
    for (report::Series* s : {&p50, &p99, &tpot}) s->x.push_back(p.served_per_s);
    p50.y.push_back(p.ttft_p50);
    p99.y.push_back(p.ttft_p99);
    tpot.y.push_back(p.tpot_p99);
    rows.push_back({number(p.offered_per_s), number(p.served_per_s), number(p.ttft_p50), number(p.ttft_p99),
                    number(p.tpot_p99), number(p.e2e_p99), p.saturated ? "overload" : p.slo_met ? "met" : "missed"});
  }
  Axes axes{"Latency against served load", "requests per second served", "milliseconds"};
  axes.width = 640;
  axes.log_y = true;
  page.raw(report::line_chart(axes, {p50, p99, tpot}));
  page.table({"offered /s", "served /s", "TTFT P50 ms", "TTFT P99 ms", "TPOT P99 ms", "E2E P99 ms", "objectives"}, rows);
}

void add_sweep(report::Page& page, const ReportInput& in) {
  if (in.sweep.empty()) return;
  page.heading("Configurations");
  report::Series met{"meets the objectives", {}, {}, true}, missed{"misses them", {}, {}, true}, front{"Pareto front", {}, {}};
  std::vector<const SweepPoint*> sorted;
  for (const SweepPoint& p : in.sweep) {
    if (!p.error.empty()) continue;
    report::Series& s = p.slo_met ? met : missed;
    s.x.push_back(p.usd_per_million);
    s.y.push_back(p.ttft_p99);
    sorted.push_back(&p);
  }
  std::sort(sorted.begin(), sorted.end(), [](const SweepPoint* a, const SweepPoint* b) {
    return std::pair(a->usd_per_million, a->ttft_p99) < std::pair(b->usd_per_million, b->ttft_p99);
  });
  double best = INFINITY;
  for (const SweepPoint* p : sorted) {
    if (p->ttft_p99 >= best) continue;
    best = p->ttft_p99;
    front.x.push_back(p->usd_per_million);
    front.y.push_back(p->ttft_p99);
  }
  Axes axes{"Cost against P99 time to first token", "$ per million output tokens", "milliseconds"};
  axes.log_y = true;
  page.raw(report::line_chart(axes, {met, missed, front}));
  const int chosen = best_point(in.sweep, in.config->sweep);
  std::vector<std::vector<std::string>> rows;
  std::vector<size_t> order(in.sweep.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    if ((static_cast<int>(a) == chosen) != (static_cast<int>(b) == chosen)) return static_cast<int>(a) == chosen;
    if (in.sweep[a].slo_met != in.sweep[b].slo_met) return in.sweep[a].slo_met;
    return in.sweep[a].usd_per_million < in.sweep[b].usd_per_million;
  });
  std::vector<std::string> header;
  for (const Override& change : in.sweep[0].changes) {
    // The last part of the place is enough where it says which one is meant.
    const auto last = [](const std::string& p) { return p.substr(p.rfind('.') + 1); };
    const auto same = std::count_if(in.sweep[0].changes.begin(), in.sweep[0].changes.end(),
                                    [&](const Override& other) { return last(other.first) == last(change.first); });
    header.push_back(same == 1 ? last(change.first) : change.first);
  }
  for (const char* name : {"requests /s", "TTFT P99 ms", "TPOT P99 ms", "$ per M tokens", "J per token", "objectives"}) {
    header.emplace_back(name);
  }
  for (size_t k = 0; k < std::min<size_t>(order.size(), 30); ++k) {
    const SweepPoint& p = in.sweep[order[k]];
    std::vector<std::string> row;
    for (const auto& [place, value] : p.changes) row.push_back(value);
    for (const double v : {p.throughput, p.ttft_p99, p.tpot_p99, p.usd_per_million, p.joules_per_token}) row.push_back(number(v));
    row.push_back(!p.error.empty()                         ? p.error
                  : static_cast<int>(order[k]) == chosen ? "best"
                  : p.slo_met                              ? "met"
                                                           : "missed");
    rows.push_back(row);
  }
  page.table(header, rows);
  if (in.sweep.size() > 30) page.paragraph(fmt::format("30 of {} configurations are listed.", in.sweep.size()));
}

void add_replays(report::Page& page, const ReportInput& in) {
  if (in.replays.empty()) return;
  page.heading("Agreement with recorded runs");
  page.paragraph("The same requests at the same times, simulated and measured. Errors are 100 (simulated - real) / real.");
  std::vector<std::string> categories;
  std::vector<std::pair<std::string, std::vector<double>>> errors = {{"mean", {}}, {"P50", {}}, {"P90", {}}, {"P99", {}}};
  std::vector<std::vector<std::string>> rows;
  for (const auto& replayed : in.replays) {
    const std::string& name = replayed.first;
    const auto& r = replayed.second;
    const auto add = [&](const char* what, const LatencySummary& s, const LatencySummary& m) {
      const double pairs[4][2] = {{s.mean, m.mean}, {s.p50, m.p50}, {s.p90, m.p90}, {s.p99, m.p99}};
      categories.push_back(in.replays.size() > 1 ? fmt::format("{} {}", name.substr(0, 8), what) : what);
      for (int i = 0; i < 4; ++i) {
        errors[i].second.push_back(pairs[i][1] > 0 ? 100 * (pairs[i][0] / pairs[i][1] - 1) : 0);
      }
      rows.push_back({name, what, number(s.mean), number(m.mean), fmt::format("{:+.1f}", errors[0].second.back()),
                      number(s.p99), number(m.p99), fmt::format("{:+.1f}", errors[3].second.back())});
    };
    add("TTFT", r.simulated.ttft, r.real.ttft);
    add("TPOT", r.simulated.tpot, r.real.tpot);
    add("E2E", r.simulated.e2e, r.real.e2e);
  }
  Axes axes{"Error of the simulation", "", "%"};
  axes.width = categories.size() > 3 ? 1040 : 640;
  page.raw(report::bar_chart(axes, categories, errors, false));
  page.table({"run", "", "mean ms", "real", "error %", "P99 ms", "real", "error %"}, rows);
}

}  // namespace

StatusOr<std::vector<LoadPoint>> load_curve(const Config& config, int steps, int64_t requests, bool quiet) {
  std::vector<LoadPoint> points;
  Progress progress("load curve", steps, "rates", 1, quiet);
  for (int i = 0; i < steps; ++i) {
    SimSpec spec = config.spec;
    const double factor = 0.2 * std::pow(10.0, static_cast<double>(i) / std::max(steps - 1, 1));
    spec.workload.scale *= factor;
    const int64_t length = spec.workload.requests > 0 ? spec.workload.requests
                           : spec.workload.trace      ? static_cast<int64_t>(spec.workload.trace->rows.size())
                                                      : requests;
    spec.workload.requests = std::min(length, requests);
    spec.workload.warmup = std::min(spec.workload.warmup, spec.workload.requests / 10);
    spec.per_request = spec.trace_steps = false;
    spec.sample_period = 0;
    CALLIE_ASSIGN_OR_RETURN(const SimResult r, simulate(spec));
    LoadPoint p;
    p.offered_per_s = r.last_arrival_s > 0 ? static_cast<double>(r.arrived) / r.last_arrival_s : 0;
    p.served_per_s = r.measured_s > 0 ? static_cast<double>(r.all.finished) / r.measured_s : 0;
    p.ttft_p50 = r.all.ttft_ms.percentile(.5);
    p.ttft_p99 = r.all.ttft_ms.percentile(.99);
    p.tpot_p99 = r.all.tpot_ms.percentile(.99);
    p.e2e_p99 = r.all.e2e_ms.percentile(.99);
    p.slo_met = check_slo(spec, r).all_met;
    p.saturated = find_bottleneck(spec, r).saturated;
    points.push_back(p);
    progress.update(i + 1);
    if (interrupted()) return Status(StatusCode::kCancelled, "");
  }
  progress.finish();
  return points;
}

std::string report_html(const ReportInput& in) {
  const SimResult& r = *in.result;
  std::string name = in.config->path;
  if (const size_t slash = name.rfind('/'); slash != std::string::npos) name = name.substr(slash + 1);
  report::Page page("Serving plan: " + name);
  page.paragraph(fmt::format("{} requests in {:.1f} simulated seconds, seed {}, configuration {:016x}.", r.finished,
                             r.elapsed_s, in.config->spec.workload.seed, in.config->hash));
  add_figures(page, in);
  add_latencies(page, r);
  add_waterfall(page, r);
  add_load_curve(page, in);
  add_sweep(page, in);
  add_schedule(page, r);
  add_time_series(page, in);
  add_machines(page, r);
  add_replays(page, in);
  page.heading("Configuration");
  page.preformatted(in.config_text);
  page.preformatted(explain_text(*in.config, r));
  return page.html();
}

}  // namespace callie::plan
