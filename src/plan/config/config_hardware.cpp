#include <filesystem>

#include "plan/config/loader.h"
#include "plan/cost/aiconfigurator.h"
#include "plan/cost/fitted.h"
#include "plan/cost/roofline.h"
#include "plan/cost/splitwise.h"
#include "plan/cost/vidur.h"
#include "plan/replay/replay.h"

namespace callie::plan {
namespace {

const std::vector<std::string> kDtypes = {"fp32", "bf16", "fp16", "fp8", "int8", "int4", "fp4"};
constexpr double kDtypeBytes[] = {4, 2, 2, 1, 1, 0.5625, 0.5625};  // 4-bit formats carry a scale per 32 weights

}  // namespace

void ConfigReader::read_models(YamlMap& top) {
  YamlMap all = top.map("models");
  for (const std::string& name : all.keys()) {
    YamlMap m = all.map(name.c_str());
    ModelEntry entry;
    const std::string catalogue = m.text("name", ""), file = m.text("hf", "");
    if (catalogue.empty() && file.empty()) {
      m.fail_at(YAML::Node(), m.path(), "missing: name (catalogue) or hf (a config.json, which wins)");
    } else {
      auto shape = file.empty() ? find_model(catalogue) : model_from_config(resolve(file));
      if (!shape.ok()) {
        m.fail(file.empty() ? "name" : "hf", shape.status().message());
      } else {
        entry.shape = *shape;
      }
      if (!file.empty()) config.inputs.push_back(resolve(file));
    }
    entry.weight_bytes = kDtypeBytes[m.choice("weights", 1, kDtypes)];
    entry.kv_bytes = kDtypeBytes[m.choice("kv", 1, kDtypes)];
    entry.table_name = m.text("table_name", entry.shape.name);
    all.adopt(m);
    models[name] = entry;
  }
  top.adopt(all);
}

void ConfigReader::read_hardware(YamlMap& top) {
  YamlMap all = top.map("hardware");
  constexpr const char* kKinds[] = {"preset", "perf", "vidur", "splitwise", "aiconfigurator", "linear", "measure"};
  for (const std::string& name : all.keys()) {
    YamlMap h = all.map(name.c_str());
    HardwareEntry entry;
    entry.line = h.line();
    int kinds = 0;
    for (int k = 0; k < 7; ++k) {
      if (!h.has(kKinds[k])) continue;
      entry.kind = static_cast<HardwareEntry::Kind>(k);
      ++kinds;
    }
    // A table may stand on a preset: the device's limits then come from there.
    if (kinds == 2 && h.has("preset")) kinds = 1;
    if (kinds != 1) {
      h.fail_at(YAML::Node(), h.path(), "give one of preset, perf, vidur, splitwise, aiconfigurator, linear, measure");
      top.adopt(h);
      return;
    }
    const std::string preset = h.text("preset", "");
    if (!preset.empty()) {
      auto found = find_hardware(preset);
      if (found.ok()) {
        entry.device = *found;
      } else {
        h.fail("preset", found.status().message());
      }
    }
    if (entry.kind == HardwareEntry::Kind::kLinear) {
      YamlMap linear = h.map("linear");
      entry.node = h.node("linear");
      LinearOptions unused;
      for (const char* key : {"base_us", "per_prefill_us", "per_decode_us", "per_context_us", "per_pair_us"}) {
        (void)linear.number(key, 0, 0, 1e9);
      }
      (void)unused;
      h.adopt(linear);
      if (entry.device.name.empty()) entry.device.memory_gb = 80;
    } else if (entry.kind != HardwareEntry::Kind::kPreset) {
      entry.path = resolve(h.text(kKinds[static_cast<int>(entry.kind)], ""));
      std::error_code ignored;
      if (!std::filesystem::exists(entry.path, ignored)) {
        h.fail(kKinds[static_cast<int>(entry.kind)], fmt::format("{}: does not exist", entry.path));
      }
      config.inputs.push_back(entry.path);
      entry.table_device = h.text("device", "");
    }
    const std::string calibration = h.text("calibration", "");
    if (!calibration.empty()) entry.calibration = resolve(calibration);
    Hardware& d = entry.device;
    if (d.name.empty()) d.name = name;
    if (d.source.empty()) d.source = "configuration";
    if (d.memory_gb <= 0) d.memory_gb = 80;
    d.bf16_tflops = h.number("bf16_tflops", d.bf16_tflops, 0, 1e7);
    d.fp8_tflops = h.number("fp8_tflops", d.fp8_tflops, 0, 1e7);
    d.memory_gb = h.number("memory_gb", d.memory_gb, 0.001, 1e6);
    d.memory_gbs = h.number("memory_gbs", d.memory_gbs, 0, 1e7);
    entry.own_link = h.has("link_gbs") || h.has("link_us");
    d.link_gbs = h.number("link_gbs", d.link_gbs, 0, 1e7);
    d.link_us = h.number("link_us", d.link_us, 0, 1e6);
    d.host_gbs = h.number("host_gbs", d.host_gbs, 0, 1e7);
    d.idle_w = h.number("idle_w", d.idle_w, 0, 1e6);
    d.max_w = h.number("max_w", d.max_w, d.idle_w, 1e6);
    d.usd_per_hour = h.number("usd_per_hour", d.usd_per_hour, 0, 1e6);
    d.compute_efficiency = h.number("compute_efficiency", d.compute_efficiency, 0.001, 1);
    d.memory_efficiency = h.number("memory_efficiency", d.memory_efficiency, 0.001, 1);
    d.launch_us = h.number("launch_us", d.launch_us, 0, 1e6);
    if (entry.kind == HardwareEntry::Kind::kPreset && (d.bf16_tflops <= 0 || d.memory_gbs <= 0)) {
      h.fail("preset", "bf16_tflops and memory_gbs must be above 0");
    }
    entry.link = {std::max(d.link_gbs, 0.001), d.link_us * 1e3, 0};
    all.adopt(h);
    hardware[name] = entry;
  }
  top.adopt(all);
}

std::shared_ptr<const StepCost> ConfigReader::make_cost(YamlMap& client, const ModelEntry& model,
                                                        const HardwareEntry& hw, const Parallelism& p) {
  const Status degrees = check_parallelism(model.shape, p);
  if (!degrees.ok()) {
    client.fail(p.tp > 1 ? "tp" : p.pp > 1 ? "pp" : p.ep > 1 ? "ep" : "model", degrees.message());
    return nullptr;
  }
  if (p.tp * p.pp * p.dp > 1 && hw.kind != HardwareEntry::Kind::kLinear && hw.kind != HardwareEntry::Kind::kSplitwise &&
      hw.kind != HardwareEntry::Kind::kMeasure && hw.device.link_gbs <= 0) {
    client.fail("hw", "several devices need hardware.link_gbs: communication is never free");
    return nullptr;
  }
  RooflineOptions roofline;
  roofline.weight_bytes = model.weight_bytes;
  roofline.kv_bytes = model.kv_bytes;
  roofline.fp8_compute = model.weight_bytes <= 1;
  double scale = 1;
  if (!hw.calibration.empty()) {
    auto calibration = Calibration::load(hw.calibration);
    if (!calibration.ok()) {
      client.fail("hw", calibration.status().message());
      return nullptr;
    }
    scale = calibration->kernel_scale;
  }
  StatusOr<std::shared_ptr<const StepCost>> cost = Status(StatusCode::kInternal, "");
  switch (hw.kind) {
    case HardwareEntry::Kind::kPreset:
      return make_roofline_cost(model.shape, hw.device, p, roofline);
    case HardwareEntry::Kind::kLinear: {
      LinearOptions o;
      const auto get = [&](const char* key) { return hw.node[key].IsDefined() ? hw.node[key].as<double>() : 0.0; };
      o.base_us = get("base_us");
      o.per_prefill_us = get("per_prefill_us");
      o.per_decode_us = get("per_decode_us");
      o.per_context_us = get("per_context_us");
      o.per_pair_us = get("per_pair_us");
      return make_linear_cost(o);
    }
    case HardwareEntry::Kind::kPerf: {
      const std::string device = hw.table_device.empty() ? hw.device.name : hw.table_device;
      const std::string key = fmt::format("perf {} {} {} tp{}", hw.path, device, model.table_name, p.tp);
      auto& cached = (*tables)[key];
      if (!cached) {
        auto loaded = load_kernel_tables(hw.path, device, model.table_name, "bf16", p.tp);
        if (!loaded.ok()) {
          client.fail("hw", loaded.status().message());
          return nullptr;
        }
        cached = *loaded;
      }
      cost = make_kernel_table_cost(std::static_pointer_cast<const KernelTables>(cached), model.shape, p, hw.link,
                                    {scale});
      break;
    }
    case HardwareEntry::Kind::kVidur:
      cost = make_vidur_cost(hw.path, model.shape, hw.device, p, roofline);
      break;
    case HardwareEntry::Kind::kSplitwise:
      cost = make_splitwise_cost(hw.path, model.shape, hw.table_device.empty() ? hw.device.name : hw.table_device, p);
      break;
    case HardwareEntry::Kind::kAiconfigurator: {
      auto& cached = (*tables)["aiconfigurator " + hw.path];
      if (!cached) {
        auto loaded = load_aiconfigurator(hw.path);
        if (!loaded.ok()) {
          client.fail("hw", loaded.status().message());
          return nullptr;
        }
        cached = *loaded;
      }
      cost = make_aiconfigurator_cost(std::static_pointer_cast<const AiconfiguratorTables>(cached), model.shape,
                                      hw.device, p, roofline);
      break;
    }
    case HardwareEntry::Kind::kMeasure:
      cost = load_fitted_cost(hw.path);
      break;
  }
  if (!cost.ok()) {
    client.fail("hw", cost.status().message());
    return nullptr;
  }
  return *cost;
}

}  // namespace callie::plan
