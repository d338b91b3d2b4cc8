#include <algorithm>
#include <cmath>

#include "plan/config/loader.h"
#include "plan/cost/memory.h"
#include "plan/cost/retrieval.h"
#include "plan/cost/roofline.h"
#include "plan/replay/replay.h"

namespace callie::plan {
namespace {

const std::vector<std::string> kRoles = {"both", "prefill", "decode", "preprocess", "rag", "postprocess"};

}  // namespace

void ConfigReader::read_clients(YamlMap& top) {
  const YAML::Node list = top.node("clients");
  if (!list.IsDefined() || !list.IsSequence() || list.size() == 0) {
    top.fail_missing("clients", ", or not a list");
    return;
  }
  for (size_t i = 0; i < list.size(); ++i) {
    YamlMap client(list[i], fmt::format("clients[{}]", i), config.path);
    read_client(client);
    top.adopt(client);
    if (!top.status().ok()) return;
  }
}

void ConfigReader::read_client(YamlMap& client) {
  GroupSpec group;
  group.name = client.required("name");
  if (group_of.contains(group.name)) client.fail("name", fmt::format("\"{}\" is there twice", group.name));
  group.role = static_cast<Role>(client.choice("role", 0, kRoles));
  group.count = static_cast<int>(client.integer("count", 1, 1, 10000));
  const std::string hw_name = client.text("hw", "");
  const HardwareEntry* hw = nullptr;
  if (!hw_name.empty()) {
    const auto found = hardware.find(hw_name);
    if (found == hardware.end()) {
      client.fail("hw", fmt::format("no hardware \"{}\"", hw_name));
      return;
    }
    hw = &found->second;
    group.hardware = hw->device;
  }
  YamlMap failure = client.map("failure");
  group.failure.mtbf_s = failure.number("mtbf_s", 0, 0, 1e12);
  group.failure.mttr_s = failure.number("mttr_s", 60, 0, 1e9);
  const YAML::Node at = failure.node("at_s");
  if (at.IsDefined() && at.IsSequence()) {
    for (const YAML::Node& t : at) group.failure.at_s.push_back(std::max(t.as<double>(), 0.0));
  }
  client.adopt(failure);
  YamlMap scale = client.map("autoscale");
  group.autoscale.on = client.has("autoscale");
  group.autoscale.min = static_cast<int>(scale.integer("min", 1, 1, group.count));
  group.autoscale.up_waiting = scale.number("up_waiting", 4, 0, 1e9);
  group.autoscale.down_running = scale.number("down_running", 1, 0, 1e9);
  group.autoscale.period = from_seconds(scale.number("period_s", 10, 0.001, 1e6));
  group.autoscale.delay = from_seconds(scale.number("delay_s", 60, 0, 1e6));
  client.adopt(scale);

  if (group.role == Role::kBoth || group.role == Role::kPrefill || group.role == Role::kDecode) {
    const std::string model_name = client.required("model");
    if (!client.status().ok()) return;
    const auto model = models.find(model_name);
    if (model == models.end()) {
      client.fail("model", fmt::format("no model \"{}\" under models", model_name));
      return;
    }
    if (!hw) {
      client.fail_missing("hw");
      return;
    }
    group.model_name = model_name;
    read_engine(client, group, model->second, *hw);
  } else {
    read_station(client, group, hw);
  }
  group_of[group.name] = static_cast<int>(config.spec.groups.size());
  config.spec.groups.push_back(std::move(group));
}

void ConfigReader::read_engine(YamlMap& client, GroupSpec& group, const ModelEntry& model, const HardwareEntry& hw) {
  group.model = model.shape;
  if (!model.shape.decoder) {
    client.fail("model", fmt::format("{} is an encoder and generates nothing (role rag embeds with it)", model.shape.name));
    return;
  }
  Parallelism& p = group.parallelism;
  p.tp = static_cast<int>(client.integer("tp", 1, 1, 1024));
  p.pp = static_cast<int>(client.integer("pp", 1, 1, 1024));
  p.dp = static_cast<int>(client.integer("dp", 1, 1, 1024));
  p.ep = static_cast<int>(client.integer("ep", 1, 1, 4096));
  group.devices = p.tp * p.pp * p.dp;
  group.weight_bytes_per_element = model.weight_bytes;
  group.kv_bytes_per_token = model.shape.kv_bytes_per_token(model.kv_bytes);
  group.host_gbs = hw.device.host_gbs > 0 ? hw.device.host_gbs : 32;

  EngineOptions& e = group.engine;
  YamlMap sched = client.map("sched");
  const std::vector<std::string> policies = policy_names();
  e.policy = policies[sched.choice("policy", 7, policies)];
  e.token_budget = static_cast<int32_t>(sched.integer("token_budget", 2048, 1, 1 << 24));
  e.max_seqs = static_cast<int32_t>(sched.integer("max_seqs", 256, 1, 1 << 20));
  e.max_chunk = static_cast<int32_t>(sched.integer("max_chunk", 0, 0, 1 << 24));
  e.prefill_quota = static_cast<int32_t>(sched.integer("prefill_quota", 0, 0, 1 << 24));
  e.max_context = static_cast<int32_t>(sched.integer("max_context", 0, 0, 1 << 28));
  e.async = sched.boolean("async", false);
  e.reserve_prompt = sched.boolean("reserve_prompt", false);
  e.swap = sched.choice("preemption", 0, {"recompute", "swap"}) == 1;
  e.watermark = sched.number("watermark", e.policy == "sarathi" || e.policy == "vllm0" ? 0.01 : 0, 0, 0.9);
  e.batch_timeout = from_ms(sched.number("timeout_ms", 50, 0, 1e9));
  e.order = static_cast<EngineOptions::Order>(
      sched.choice("order", 0, {"fcfs", "priority", "sjf", "least_work", "deadline"}));
  e.aging_s = sched.number("aging_s", 10, 0.001, 1e9);
  if (e.policy == "callie" && (group.role != Role::kBoth || sched.has("order") || e.swap)) {
    sched.fail("policy", "callie has its own order, recomputes, and serves role both only");
  }
  if (e.policy == "static" && group.role != Role::kBoth) {
    sched.fail("policy", e.policy + " serves role both only");
  }
  if (e.swap && e.policy != "vllm1") sched.fail("preemption", "only policy vllm1 swaps");
  client.adopt(sched);

  YamlMap kv = client.map("kv");
  MemoryPlan memory;
  memory.device_gib = hw.device.memory_gb;
  memory.share = kv.number("util", 0.9, 0.01, 1);
  memory.weight_bytes = model.weight_bytes;
  memory.kv_bytes = model.kv_bytes;
  memory.reserve_gib = kv.number("reserve_gb", 0, 0, 1e5);
  e.block_size = static_cast<int32_t>(kv.integer("block", 16, 1, 1 << 20));
  memory.block_size = e.block_size;
  e.prefix_cache = kv.boolean("prefix", true);
  const int64_t blocks = kv.integer("blocks", 0, 0, 1 << 28);
  const YAML::Node tiers = kv.node("tiers");
  if (tiers.IsDefined() && tiers.IsSequence()) {
    for (const YAML::Node& tier : tiers) {
      const auto found = tier_of.find(tier.as<std::string>(""));
      if (found == tier_of.end()) {
        kv.fail("tiers", fmt::format("no tier \"{}\" under fabric.tiers", tier.as<std::string>("")));
        break;
      }
      group.tiers.push_back(found->second);
    }
  }
  if (!client.status().ok()) return;
  group.weights_bytes = static_cast<int64_t>(weight_bytes_per_device(model.shape, p, model.weight_bytes));
  if (blocks > 0) {
    e.blocks = static_cast<int32_t>(blocks);
  } else if (hw.kind == HardwareEntry::Kind::kLinear && hw.device.source == "configuration") {
    e.blocks = 1 << 20;  // a bare linear cost has no memory of its own
  } else {
    auto fit = kv_blocks(model.shape, p, memory);
    if (fit.ok()) {
      e.blocks = *fit;
    } else {
      client.fail("model", fit.status().message());
    }
  }
  client.adopt(kv);
  if (!client.status().ok()) return;
  group.cost = make_cost(client, model, hw, p);
  e.window = model.shape.window;
  e.seed = config.spec.workload.seed;

  // Host time beside the accelerator: what an engine's scheduler and input preparation take.
  group.host = {from_us(300), 0, 0, from_us(200)};
  const YAML::Node host = client.node("host");
  if (host.IsDefined() && host.IsScalar() && host.Scalar() == "none") {
    group.host = {};
  } else if (host.IsDefined()) {
    YamlMap h = client.map("host");
    group.host.per_step = from_us(h.number("per_step_us", 300, 0, 1e9));
    group.host.per_request = from_us(h.number("per_request_us", 200, 0, 1e9));
    group.host.per_sequence = from_us(h.number("per_sequence_us", 0, 0, 1e9));
    group.host.per_token = from_us(h.number("per_token_us", 0, 0, 1e9));
    client.adopt(h);
  }
  if (!hw.calibration.empty()) {
    const auto calibration = Calibration::load(hw.calibration);
    if (calibration.ok()) group.host.per_step = from_us(calibration->host_per_step_us);
  }

  if (client.has("spec")) {
    YamlMap spec = client.map("spec");
    e.draft_tokens = static_cast<int32_t>(spec.integer("tokens", 4, 1, 64));
    e.draft_acceptance = spec.number("acceptance", 0.7, 0, 1);
    const std::string draft = spec.required("draft");
    const auto found = models.find(draft);
    if (spec.status().ok() && found == models.end()) {
      spec.fail("draft", fmt::format("no model \"{}\" under models", draft));
    } else if (spec.status().ok()) {
      group.draft_cost = make_cost(spec, found->second, hw, Parallelism{});
    }
    if (e.policy == "callie" || e.policy == "static") spec.fail("tokens", "policies callie and static do not draft here");
    client.adopt(spec);
  }
}

void ConfigReader::read_station(YamlMap& client, GroupSpec& group, const HardwareEntry* hw) {
  StationSpec& s = group.station;
  s.servers = static_cast<int>(client.integer("servers", 1, 1, 100000));
  YamlMap batch = client.map("batch");
  s.max_batch = static_cast<int>(batch.integer("max", 1, 1, 100000));
  s.max_wait = from_ms(batch.number("wait_ms", 0, 0, 1e9));
  client.adopt(batch);
  const double default_ms = group.role == Role::kRag ? 0 : 0.5;
  s.service.fixed_ms = client.distribution("service_ms", Distribution::fixed(default_ms));
  s.service.per_token_us = client.number("per_token_us", group.role == Role::kRag || client.has("service_ms") ? 0 : 1, 0, 1e9);
  if (group.role != Role::kRag) return;
  if (!client.has("index") && !client.has("embed") && !client.has("rerank")) return;
  if (!hw) {
    client.fail_missing("hw", ": retrieval needs a machine");
    return;
  }
  if (hw->device.bf16_tflops <= 0 || hw->device.memory_gbs <= 0) {
    client.fail("hw", "retrieval needs bf16_tflops and memory_gbs");
    return;
  }
  const double queries = s.max_batch;
  if (client.has("index")) {
    YamlMap x = client.map("index");
    IndexOptions index;
    (void)x.choice("kind", 0, {"ivfpq"});
    index.vectors = x.number("n", 1e6, 1, 1e13);
    index.dimension = x.number("d", 768, 1, 1e6);
    index.code_bytes = x.number("m", 96, 1, 1e5);
    index.lists = x.number("nlist", 65536, 1, 1e9);
    index.probes = x.number("nprobe", 64, 1, index.lists);
    index.imbalance = x.number("imbalance", 1, 1, index.lists);
    index.cores = x.number("cores", 1, 1, 10000);
    index.fixed_us = x.number("fixed_us", 150, 0, 1e9);
    index.single_us = x.number("single_us", 300, 0, 1e9);
    index.ns_per_code = x.number("ns_per_code", 43, 0, 1e6);
    index.rerank = x.number("rerank", 0, 0, 1e6);
    client.adopt(x);
    s.service.per_query_ms += ivfpq_query_us(index, hw->device) / 1e3;
    s.service.batch_ms += index.fixed_us / 1e3;
    s.service.single_ms += index.single_us / 1e3;
  }
  const auto encoder = [&](const char* key, double tokens_each, double count) {
    const std::string name = client.text(key, "");
    if (name.empty()) return;
    const auto found = models.find(name);
    if (found == models.end()) {
      client.fail(key, fmt::format("no model \"{}\" under models", name));
      return;
    }
    const double length = tokens_each;
    const double one = encoder_ns(found->second.shape, hw->device, length * count, length, found->second.weight_bytes);
    const double batch_of = encoder_ns(found->second.shape, hw->device, length * count * queries, length,
                                       found->second.weight_bytes);
    const double slope = queries > 1 ? (batch_of - one) / (queries - 1) : 0;
    s.service.per_query_ms += slope / 1e6;
    s.service.batch_ms += (one - slope) / 1e6;
  };
  const double query_tokens = client.number("query_tokens", 64, 1, 1e6);
  const double passage_tokens = client.number("passage_tokens", 256, 1, 1e6);
  const double passages = client.number("rerank_passages", 32, 1, 1e5);
  encoder("embed", query_tokens, 1);
  encoder("rerank", query_tokens + passage_tokens, passages);
}

}  // namespace callie::plan
