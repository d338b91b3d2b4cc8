#include <algorithm>

#include "plan/config/loader.h"

namespace callie::plan {
namespace {

const std::vector<std::string> kStages = {"preprocess", "rag", "kv", "prefill", "decode", "postprocess"};

}  // namespace

void ConfigReader::read_tiers(YamlMap& fabric) {
  YamlMap tiers = fabric.map("tiers");
  for (const std::string& name : tiers.keys()) {
    YamlMap t = tiers.map(name.c_str());
    TierSpec tier;
    tier.name = name;
    tier.capacity_gb = t.number("gb", 512, 0, 1e9);
    tier.gbs = t.number("gbs", 50, 1e-6, 1e9);
    tier.latency = from_us(t.number("lat_us", 0, 0, 1e9));
    tier.streams = static_cast<int>(t.integer("streams", 0, 0, 1000000));
    tier.shared = t.boolean("shared", name == "rack" || name == "remote");
    tier.hit_rate = t.number("hit", -1, -1, 1);
    tier_of[name] = static_cast<int>(config.spec.tiers.size());
    config.spec.tiers.push_back(tier);
    tiers.adopt(t);
  }
  fabric.adopt(tiers);
}

void ConfigReader::read_links(YamlMap& fabric) {
  const YAML::Node list = fabric.node("links");
  if (list.IsDefined() && !list.IsSequence()) fabric.fail("links", "not a list");
  if (list.IsDefined() && list.IsSequence()) {
    for (size_t i = 0; i < list.size(); ++i) {
      YamlMap l(list[i], fmt::format("fabric.links[{}]", i), config.path);
      LinkSpec link;
      const std::string from = l.required("from"), to = l.required("to");
      link.name = from + " -> " + to;
      for (const auto& [key, name, out] : {std::tuple("from", from, &link.from), {"to", to, &link.to}}) {
        const auto found = group_of.find(name);
        if (found == group_of.end()) {
          l.fail(key, fmt::format("no client \"{}\"", name));
        } else {
          *out = found->second;
        }
      }
      // gbs: gigabytes per second; gbps: gigabits per second.
      link.gbs = l.has("gbps") ? l.number("gbps", 400, 1e-6, 1e9) / 8 : l.number("gbs", 50, 1e-6, 1e9);
      link.latency = from_us(l.number("lat_us", 5, 0, 1e9));
      link.streams = static_cast<int>(l.integer("streams", 0, 0, 1000000));
      link.overlap = l.boolean("overlap", false);
      (void)l.choice("share", 0, {"maxmin"});
      config.spec.links.push_back(link);
      fabric.adopt(l);
    }
  }
  // A hand-over without a link of its own goes over 400 Gb/s Ethernet: it is never free.
  for (size_t p = 0; p < config.spec.groups.size(); ++p) {
    for (size_t d = 0; d < config.spec.groups.size(); ++d) {
      if (config.spec.groups[p].role != Role::kPrefill || config.spec.groups[d].role != Role::kDecode) continue;
      const auto& links = config.spec.links;
      const bool known = std::any_of(links.begin(), links.end(), [&](const LinkSpec& l) {
        return l.from == static_cast<int>(p) && l.to == static_cast<int>(d);
      });
      if (known) continue;
      LinkSpec link;
      link.name = config.spec.groups[p].name + " -> " + config.spec.groups[d].name;
      link.from = static_cast<int>(p);
      link.to = static_cast<int>(d);
      link.latency = from_us(5);
      config.spec.links.push_back(link);
      config.warnings.push_back(fmt::format("fabric.links has no link {}: 50 GB/s and 5 us assumed", link.name));
    }
  }
}

void ConfigReader::read_pipeline(YamlMap& top) {
  const YAML::Node list = top.node("pipeline");
  auto& pipeline = config.spec.pipeline;
  if (!list.IsDefined() || list.IsNull()) {
    pipeline = {{StageKind::kPrefill}, {StageKind::kDecode}};
    return;
  }
  if (!list.IsSequence()) return top.fail("pipeline", "not a list");
  std::vector<std::string> seen;
  for (size_t i = 0; i < list.size(); ++i) {
    const YAML::Node entry = list[i];
    const std::string place = fmt::format("pipeline[{}]", i);
    std::string name;
    StageSpec stage;
    YAML::Node options;
    if (entry.IsScalar()) {
      name = entry.Scalar();
    } else if (entry.IsMap() && entry.size() == 1) {
      name = entry.begin()->first.Scalar();
      options.reset(entry.begin()->second);
    } else {
      return top.fail_at(entry, place, "not a stage name, nor one name with options");
    }
    const auto found = std::find(kStages.begin(), kStages.end(), name);
    if (found == kStages.end()) return top.fail_at(entry, place, fmt::format("no stage \"{}\"", name));
    if (std::find(seen.begin(), seen.end(), name) != seen.end()) {
      return top.fail_at(entry, place, fmt::format("stage \"{}\" comes twice: the pipeline would have a cycle", name));
    }
    seen.push_back(name);
    stage.kind = static_cast<StageKind>(found - kStages.begin());
    YamlMap o(options, place + "." + name, config.path);
    stage.probability = o.number("p", 1, 0, 1);
    if (stage.kind == StageKind::kRag) {
      const int64_t docs = o.integer("docs", 0, 0, 100000), tokens = o.integer("tokens", 0, 0, 10000000);
      stage.added_tokens = static_cast<int32_t>(std::min<int64_t>(docs * tokens, 100'000'000));
    }
    if ((stage.kind == StageKind::kPrefill || stage.kind == StageKind::kDecode) && stage.probability < 1) {
      o.fail("p", "every request has prefill and decode");
    }
    top.adopt(o);
    if (!top.status().ok()) return;
    pipeline.push_back(stage);
  }
}

void ConfigReader::read_workload(YamlMap& top) {
  YamlMap w = top.map("workload");
  WorkloadSpec& spec = config.spec.workload;
  if (!top.has("workload")) top.fail_missing("workload");
  spec.seed = static_cast<uint64_t>(w.integer("seed", 1, 0, int64_t{1} << 53));
  spec.scale = w.number("scale", 1, 1e-9, 1e9);
  spec.requests = w.integer("requests", 0, 0, 1'000'000'000);
  spec.warmup = w.integer("warmup", 0, 0, 1'000'000'000);
  spec.max_tokens = static_cast<int32_t>(w.integer("max_tokens", 0, 0, 100'000'000));
  const std::string trace = w.text("trace", "");
  const std::string format = w.text("format", "");
  if (!trace.empty()) {
    const std::string path = resolve(trace);
    config.inputs.push_back(path);
    auto& cached = (*traces)[path + "|" + format];
    if (!cached) {
      auto loaded = import_trace(path, format);
      if (!loaded.ok()) {
        w.fail("trace", loaded.status().message());
      } else {
        cached = std::make_shared<const Trace>(std::move(loaded).value());
      }
    }
    spec.trace = cached;
    spec.arrivals.kind = ArrivalSpec::Kind::kTrace;
    if (cached && spec.requests > 0 && spec.warmup >= spec.requests) w.fail("warmup", "not below requests");
  }
  const std::string arrivals = w.text("arrivals", "");
  if (!arrivals.empty()) {
    const size_t open = arrivals.find('(');
    const std::string name = arrivals.substr(0, open);
    const std::string arguments =
        open == std::string::npos || arrivals.back() != ')' ? "" : arrivals.substr(open + 1, arrivals.size() - open - 2);
    char* end = nullptr;
    const double rate = std::strtod(arguments.c_str(), &end);
    const double cv = end && *end == ',' ? std::strtod(end + 1, &end) : 1;
    const bool clean = end && *end == '\0' && end != arguments.c_str();
    if (name == "trace" && !trace.empty() && open == std::string::npos) {
      spec.arrivals.kind = ArrivalSpec::Kind::kTrace;
    } else if (name == "all" && open == std::string::npos) {
      spec.arrivals.kind = ArrivalSpec::Kind::kAll;
    } else if (!clean || !(rate > 0) || !(cv > 0) || rate > 1e9 || cv > 1e3) {
      w.fail("arrivals", fmt::format("\"{}\" is none of poisson(rate), gamma(rate, cv), fixed(rate), all", arrivals));
    } else if (name == "poisson" || name == "gamma" || name == "fixed") {
      spec.arrivals.kind = name == "poisson" ? ArrivalSpec::Kind::kPoisson
                           : name == "gamma" ? ArrivalSpec::Kind::kGamma
                                             : ArrivalSpec::Kind::kFixed;
      spec.arrivals.rate = rate;
      spec.arrivals.cv = cv;
    } else {
      w.fail("arrivals", fmt::format("no process \"{}\"", name));
    }
  } else if (trace.empty()) {
    w.fail_missing("arrivals", ": give a trace, or arrivals with prompt and output");
  }
  const YAML::Node classes = w.node("classes");
  if (classes.IsDefined() && classes.IsSequence()) {
    for (size_t i = 0; i < classes.size(); ++i) {
      YamlMap c(classes[i], fmt::format("workload.classes[{}]", i), config.path);
      ClassSpec k;
      k.name = c.required("name");
      k.share = c.number("share", 1, 0, 1e9);
      if (!c.has("prompt")) c.fail_missing("prompt");
      if (!c.has("output")) c.fail_missing("output");
      k.prompt = c.distribution("prompt", Distribution::fixed(1));
      k.output = c.distribution("output", Distribution::fixed(1));
      k.priority = static_cast<int32_t>(c.integer("priority", 0, -1000, 1000));
      k.shared_prefix = static_cast<int32_t>(c.integer("shared_prefix", 0, 0, 10'000'000));
      spec.classes.push_back(k);
      w.adopt(c);
    }
  }
  if (w.has("prompt") || w.has("output")) {
    if (!trace.empty()) w.fail("prompt", "the trace has its own lengths");
    ClassSpec k;
    if (!w.has("prompt")) w.fail_missing("prompt");
    if (!w.has("output")) w.fail_missing("output");
    k.prompt = w.distribution("prompt", Distribution::fixed(1));
    k.output = w.distribution("output", Distribution::fixed(1));
    k.shared_prefix = static_cast<int32_t>(w.integer("shared_prefix", 0, 0, 10'000'000));
    if (!spec.classes.empty()) w.fail("prompt", "give either classes, or prompt and output");
    spec.classes.push_back(k);
  }
  if (w.has("reasoning")) {
    YamlMap r = w.map("reasoning");
    spec.reasoning.share = r.number("p", 1, 0, 1);
    spec.reasoning.multiplier = r.distribution("mult", Distribution::fixed(1));
    spec.reasoning.paths = static_cast<int32_t>(r.integer("paths", 1, 1, 1024));
    spec.reasoning.join = static_cast<int32_t>(r.integer("join", 0, 0, 1024));
    w.adopt(r);
  }
  if (w.status().ok()) {
    auto made = Workload::create(spec, 0);
    if (!made.ok()) w.fail("", made.status().message());
  }
  top.adopt(w);
}

void ConfigReader::read_rest(YamlMap& top) {
  SimSpec& spec = config.spec;
  YamlMap routing = top.map("routing");
  spec.routing.kind = static_cast<RouterKind>(routing.choice(
      "policy", 0,
      {"round_robin", "random", "least_work", "least_requests", "power_of_two", "prefix+queue", "least_kv"}));
  spec.routing.snapshot = from_ms(routing.number("snapshot_ms", 0, 0, 1e9));
  spec.routing.prefix_weight = routing.number("prefix_weight", 1, 0, 1e6);
  spec.routing.local_pairs = routing.choice("pairs", 0, {"global", "local"}) == 1;
  top.adopt(routing);
  YamlMap admission = top.map("admission");
  spec.admission.max_live = admission.integer("max_requests", 0, 0, 1'000'000'000);
  spec.admission.rate = admission.number("rate", 0, 0, 1e9);
  spec.admission.burst = admission.number("burst", 1, 1, 1e9);
  top.adopt(admission);
  YamlMap retry = top.map("retry");
  spec.retry.attempts = static_cast<int>(retry.integer("attempts", 3, 0, 1000));
  spec.retry.delay = from_ms(retry.number("delay_ms", 100, 0, 1e9));
  top.adopt(retry);
  YamlMap slo = top.map("slo");
  constexpr const char* kMeasures[3] = {"ttft_ms", "tpot_ms", "e2e_ms"};
  double* const kPerRequest[3] = {&spec.slo.ttft_ms, &spec.slo.tpot_ms, &spec.slo.e2e_ms};
  for (int i = 0; i < 3; ++i) {
    if (!slo.has(kMeasures[i])) continue;
    const YAML::Node node = slo.node(kMeasures[i]);
    if (node.IsScalar()) {
      *kPerRequest[i] = slo.number(kMeasures[i], 0, 0.001, 1e12);
      spec.slo.bounds.push_back({static_cast<SloSpec::Bound::Measure>(i), 0.99, *kPerRequest[i]});
      continue;
    }
    YamlMap bounds = slo.map(kMeasures[i]);
    constexpr std::pair<const char*, double> kQuantiles[] = {
        {"mean", -1}, {"p50", .5}, {"p90", .9}, {"p95", .95}, {"p99", .99}, {"p999", .999}};
    for (const auto& [key, q] : kQuantiles) {
      if (!bounds.has(key)) continue;
      const double limit = bounds.number(key, 0, 0.001, 1e12);
      spec.slo.bounds.push_back({static_cast<SloSpec::Bound::Measure>(i), q, limit});
      *kPerRequest[i] = *kPerRequest[i] > 0 && q < .9 ? *kPerRequest[i] : limit;
    }
    slo.adopt(bounds);
  }
  top.adopt(slo);
  YamlMap power = top.map("power");
  spec.power.compute_weight = power.number("compute", 0.6, 0, 1);
  spec.power.memory_weight = power.number("memory", 0.3, 0, 1);
  spec.power.network_weight = power.number("network", 0.1, 0, 1);
  spec.power.grams_per_kwh = power.number("grams_per_kwh", 0, 0, 1e5);
  spec.power.pue = power.number("pue", 1, 1, 10);
  top.adopt(power);
  spec.fast_forward = top.boolean("fast_forward", true);
  spec.sample_period = from_seconds(top.number("sample_s", 0, 0, 1e9));
  const double horizon = top.number("horizon_s", 0, 0, 9e9);
  if (horizon > 0) spec.horizon = from_seconds(horizon);
}

}  // namespace callie::plan
