#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>

#include "core/atomic_file.h"
#include "core/json_lines.h"
#include "plan/replay/replay.h"
#include "plan/json_field.h"

namespace callie::plan {
namespace fs = std::filesystem;
namespace {

StatusOr<Json> parse_file(const std::string& path) {
  CALLIE_ASSIGN_OR_RETURN(const std::string text, read_text_file(path, 256 << 20));
  Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded() || !json.is_object()) return data_loss("{}: not a JSON object", path);
  return json;
}

/// First number of a scalar or of an array.
StatusOr<double> scalar_or_first(const JsonField& field, double fallback) {
  if (!field.present()) return fallback;
  if (field.json().is_array()) {
    if (field.json().empty()) return fallback;
    return field.at(0).number(0, 1e18);
  }
  return field.number(0, 1e18);
}

Status load_config(const std::string& path, RecordedRun& run) {
  CALLIE_ASSIGN_OR_RETURN(const Json json, parse_file(path));
  const JsonField root(json, path);
  CALLIE_ASSIGN_OR_RETURN(run.link_gbs, scalar_or_first(root["link_bw"], 16));
  run.link_gbs *= 1024.0 * 1024 * 1024 / 1e9;
  if (run.link_gbs <= 0) return data_loss("{}: link_bw: must be positive", path);
  CALLIE_ASSIGN_OR_RETURN(run.link_latency_ns, scalar_or_first(root["link_latency"], 0));
  const JsonField nodes = root["nodes"];
  if (!nodes.present() || !nodes.json().is_array()) return data_loss("{}: nodes: missing or not an array", path);
  for (size_t n = 0; n < nodes.json().size(); ++n) {
    const JsonField instances = nodes.at(n)["instances"];
    if (!instances.present() || !instances.json().is_array()) {
      return data_loss("{}: nodes[{}].instances: missing or not an array", path, n);
    }
    for (size_t i = 0; i < instances.json().size(); ++i) {
      const JsonField in = instances.at(i);
      RecordedRun::Instance out;
      CALLIE_ASSIGN_OR_RETURN(out.model, in["model_name"].text());
      CALLIE_ASSIGN_OR_RETURN(out.hardware, in["hardware"].text());
      CALLIE_ASSIGN_OR_RETURN(out.role, in["pd_type"].text_or(""));
      CALLIE_ASSIGN_OR_RETURN(out.dp_group, in["dp_group"].text_or(""));
      CALLIE_ASSIGN_OR_RETURN(out.dtype, in["dtype"].text_or(""));
      const JsonField memory = in["npu_mem"];
      CALLIE_ASSIGN_OR_RETURN(out.memory_gb, memory["mem_size"].number(0.001, 1e6));
      CALLIE_ASSIGN_OR_RETURN(out.memory_gbs, memory["mem_bw"].number_or(0, 0, 1e9));
      CALLIE_ASSIGN_OR_RETURN(out.memory_share, memory["mem_util"].number_or(0.9, 0.01, 1));
      CALLIE_ASSIGN_OR_RETURN(const double pp, in["pp_size"].number_or(1, 1, 4096));
      CALLIE_ASSIGN_OR_RETURN(const double npus, in["num_npus"].number_or(0, 0, 4096));
      CALLIE_ASSIGN_OR_RETURN(const double tp, in["tp_size"].number_or(npus > 0 ? npus / pp : 1, 1, 4096));
      if (npus > 0 && npus != tp * pp) {
        return data_loss("{}: num_npus {} is not tp_size {} x pp_size {}", in.place(), npus, tp, pp);
      }
      out.tp = static_cast<int>(tp);
      out.pp = static_cast<int>(pp);
      CALLIE_ASSIGN_OR_RETURN(const double ep, in["ep_size"].number_or(0, 0, 4096));
      out.ep = static_cast<int>(ep);
      CALLIE_ASSIGN_OR_RETURN(const double seqs, in["max_num_seqs"].number_or(0, 0, 1e6));
      CALLIE_ASSIGN_OR_RETURN(const double tokens, in["max_num_batched_tokens"].number_or(0, 0, 1e9));
      CALLIE_ASSIGN_OR_RETURN(const double block, in["block_size"].number_or(0, 0, 1e6));
      out.max_seqs = static_cast<int>(seqs);
      out.token_budget = static_cast<int>(tokens);
      out.block_size = static_cast<int>(block);
      CALLIE_ASSIGN_OR_RETURN(const double chunk, in["long_prefill_token_threshold"].number_or(-1, 0, 1e9));
      out.long_prefill = static_cast<int>(chunk);
      CALLIE_ASSIGN_OR_RETURN(out.prefix_cache, in["enable_prefix_caching"].boolean_or(true));
      CALLIE_ASSIGN_OR_RETURN(out.reserve_prompt, in["reserve_full_isl"].boolean_or(true));
      if (!out.role.empty() && out.role != "prefill" && out.role != "decode") {
        return data_loss("{}: pd_type: \"{}\" is none of prefill, decode and null", in.place(), out.role);
      }
      run.instances.push_back(out);
    }
  }
  if (run.instances.empty()) return data_loss("{}: no instances", path);
  return ok_status();
}

/// Major * 1000 + minor of "0.19.0"; 0 when unknown.
int version_number(const std::string& text) {
  int major = 0, minor = 0;
  return std::sscanf(text.c_str(), "%d.%d", &major, &minor) == 2 ? major * 1000 + minor : 0;
}

Status load_meta(const std::string& path, RecordedRun& run) {
  CALLIE_ASSIGN_OR_RETURN(const Json json, parse_file(path));
  const JsonField root(json, path);
  CALLIE_ASSIGN_OR_RETURN(const std::string version, root["vllm_version"].text_or("?"));
  run.engine = "vLLM " + version;
  // vLLM schedules asynchronously by default since 0.14, and admits only what fits as a whole since 0.19.
  run.async = version_number(version) >= 14;
  run.reserve_prompt = version_number(version) >= 19;
  const JsonField engine = root["engine_kwargs"], kv = root["kv_cache"];
  const JsonField scheduler = root["resolved_config"]["scheduler_config"];
  const auto put = [](int& out, const JsonField& field) -> Status {
    CALLIE_ASSIGN_OR_RETURN(const double value, field.number_or(out, 0, 1e9));
    out = static_cast<int>(value);
    return ok_status();
  };
  CALLIE_RETURN_IF_ERROR(put(run.max_seqs, engine["max_num_seqs"]));
  CALLIE_RETURN_IF_ERROR(put(run.token_budget, engine["max_num_batched_tokens"]));
  CALLIE_RETURN_IF_ERROR(put(run.max_model_len, engine["max_model_len"]));
  CALLIE_RETURN_IF_ERROR(put(run.max_seqs, scheduler["max_num_seqs"]));
  CALLIE_RETURN_IF_ERROR(put(run.token_budget, scheduler["max_num_batched_tokens"]));
  CALLIE_RETURN_IF_ERROR(put(run.long_prefill, scheduler["long_prefill_token_threshold"]));
  CALLIE_RETURN_IF_ERROR(put(run.dp, engine["data_parallel_size"]));
  CALLIE_RETURN_IF_ERROR(put(run.tp, engine["tensor_parallel_size"]));
  const JsonField compilation = root["resolved_config"]["compilation_config"];
  if (compilation["max_cudagraph_capture_size"].present()) {
    run.graph_rows = 0;
    CALLIE_RETURN_IF_ERROR(put(run.graph_rows, compilation["max_cudagraph_capture_size"]));
  }
  CALLIE_ASSIGN_OR_RETURN(const bool eager, engine["enforce_eager"].boolean_or(false));
  if (eager) run.graph_rows = 0;
  CALLIE_ASSIGN_OR_RETURN(const std::string kv_dtype, engine["kv_cache_dtype"].text_or("auto"));
  CALLIE_ASSIGN_OR_RETURN(run.dtype, engine["dtype"].text_or(""));
  if (kv_dtype.starts_with("fp8")) run.kv_bytes = 1;
  CALLIE_RETURN_IF_ERROR(put(run.blocks, kv["num_gpu_blocks"]));
  CALLIE_RETURN_IF_ERROR(put(run.block_size, kv["block_size"]));
  CALLIE_ASSIGN_OR_RETURN(run.prefix_cache, kv["enable_prefix_caching"].boolean_or(true));
  CALLIE_ASSIGN_OR_RETURN(run.async, scheduler["async_scheduling"].boolean_or(run.async));
  CALLIE_ASSIGN_OR_RETURN(run.reserve_prompt, scheduler["scheduler_reserve_full_isl"].boolean_or(run.reserve_prompt));
  if (run.max_seqs < 1 || run.token_budget < 1 || run.block_size < 1) {
    return data_loss("{}: engine_kwargs: max_num_seqs, max_num_batched_tokens and block_size must be positive", path);
  }
  return ok_status();
}

Status load_requests(const std::string& path, RecordedRun& run) {
  CALLIE_ASSIGN_OR_RETURN(const std::string text, read_text_file(path));
  CALLIE_RETURN_IF_ERROR(for_each_json_line(text, path, [&](const Json& json, int line) -> Status {
    const std::string place = fmt::format("{}:{}", path, line);
    const JsonField r(json, place);
    RecordedRun::Request out;
    CALLIE_ASSIGN_OR_RETURN(out.prompt, r["input_toks"].whole(1, 1e8));
    CALLIE_ASSIGN_OR_RETURN(out.output, r["output_toks"].whole(1, 1e8));
    CALLIE_ASSIGN_OR_RETURN(out.queued_s, r["queued_ts"].number(0, 1e12));
    CALLIE_ASSIGN_OR_RETURN(out.arrival_s, r["arrival_time"].number_or(out.queued_s, 0, 1e12));
    CALLIE_ASSIGN_OR_RETURN(out.first_s, r["first_token_ts"].number(0, 1e12));
    CALLIE_ASSIGN_OR_RETURN(out.last_s, r["last_token_ts"].number(0, 1e12));
    if (out.first_s < out.queued_s) return data_loss("{}: first_token_ts lies before queued_ts", place);
    if (out.last_s < out.first_s) return data_loss("{}: last_token_ts lies before first_token_ts", place);
    run.requests.push_back(out);
    return ok_status();
  }));
  if (run.requests.empty()) return data_loss("{}: no requests", path);
  std::stable_sort(run.requests.begin(), run.requests.end(),
                   [](const auto& a, const auto& b) { return a.arrival_s < b.arrival_s; });
  return ok_status();
}

}  // namespace

StatusOr<RecordedRun> load_run(const std::string& folder) {
  RecordedRun run;
  run.folder = folder;
  CALLIE_RETURN_IF_ERROR(load_config(folder + "/config.json", run));
  CALLIE_RETURN_IF_ERROR(load_meta(folder + "/vllm/meta.json", run));
  CALLIE_RETURN_IF_ERROR(load_requests(folder + "/vllm/requests.jsonl", run));
  return run;
}

Status Calibration::save(const std::string& path) const {
  Json json;
  json["hardware"] = hardware;
  json["kernel_scale"] = kernel_scale;
  json["host_per_step_us"] = host_per_step_us;
  json["fitted_on"] = fitted_on;
  json["objective"] = objective;
  return write_text_file(path, json.dump(2) + "\n");
}

StatusOr<Calibration> Calibration::load(const std::string& path) {
  CALLIE_ASSIGN_OR_RETURN(const Json json, parse_file(path));
  const JsonField root(json, path);
  Calibration c;
  CALLIE_ASSIGN_OR_RETURN(c.hardware, root["hardware"].text());
  CALLIE_ASSIGN_OR_RETURN(c.kernel_scale, root["kernel_scale"].number(0.01, 100));
  CALLIE_ASSIGN_OR_RETURN(c.host_per_step_us, root["host_per_step_us"].number(0, 1e9));
  CALLIE_ASSIGN_OR_RETURN(c.fitted_on, root["fitted_on"].text_or(path));
  c.present = true;
  return c;
}

}  // namespace callie::plan
