#include "plan/cost/kernel_tables.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <map>

#include "plan/table_file.h"

namespace callie::plan {
namespace fs = std::filesystem;

bool Curve::valid() const {
  for (size_t i = 1; i < x_.size(); ++i) {
    if (x_[i] <= x_[i - 1]) return false;
  }
  return !x_.empty();
}

double Curve::operator()(double x) const {
  if (x <= x_.front() || x_.size() == 1) return y_.front();
  size_t hi = static_cast<size_t>(std::upper_bound(x_.begin(), x_.end(), x) - x_.begin());
  hi = std::min(hi, x_.size() - 1);
  const size_t lo = hi - 1;
  return std::max(y_[lo] + (x - x_[lo]) / (x_[hi] - x_[lo]) * (y_[hi] - y_[lo]), 0.0);
}

namespace {

Status load_layers(const std::string& path, const char* axis, std::vector<KernelTables::Dense>& out) {
  CALLIE_ASSIGN_OR_RETURN(TableFile file, TableFile::open(path));
  CALLIE_ASSIGN_OR_RETURN(const int layer, file.column("layer"));
  CALLIE_ASSIGN_OR_RETURN(const int x, file.column(axis));
  CALLIE_ASSIGN_OR_RETURN(const int y, file.column("time_us"));
  while (true) {
    CALLIE_ASSIGN_OR_RETURN(const bool more, file.next());
    if (!more) break;
    CALLIE_ASSIGN_OR_RETURN(const int64_t at, file.integer(x, 1, 100'000'000));
    CALLIE_ASSIGN_OR_RETURN(const double time, file.non_negative(y));
    if (out.empty() || out.back().layer != file.cell(layer)) out.push_back({std::string(file.cell(layer)), {}});
    if (!out.back().curve.empty() && static_cast<double>(at) <= out.back().curve.max_x()) {
      return file.bad_cell(x, "not increasing within its layer");
    }
    out.back().curve.add(static_cast<double>(at), time);
  }
  if (out.empty()) return data_loss("{}: no rows", path);
  return ok_status();
}

int index_of(const std::vector<int32_t>& axis, int64_t value) {
  return static_cast<int>(std::lower_bound(axis.begin(), axis.end(), value) - axis.begin());
}

Status load_attention(const std::string& path, KernelTables& tables) {
  CALLIE_ASSIGN_OR_RETURN(TableFile file, TableFile::open(path));
  constexpr const char* kNames[4] = {"prefill_chunk", "n_decode", "kv_prefill", "kv_decode"};
  int columns[4];
  for (int i = 0; i < 4; ++i) {
    CALLIE_ASSIGN_OR_RETURN(columns[i], file.column(kNames[i]));
  }
  CALLIE_ASSIGN_OR_RETURN(const int time, file.column("time_us"));
  struct Row {
    std::array<int32_t, 4> at;
    float us;
    bool operator<(const Row& other) const { return at != other.at ? at < other.at : us < other.us; }
  };
  std::vector<Row> rows;
  rows.reserve(20000);
  while (true) {
    CALLIE_ASSIGN_OR_RETURN(const bool more, file.next());
    if (!more) break;
    Row row;
    for (int i = 0; i < 4; ++i) {
      CALLIE_ASSIGN_OR_RETURN(const int64_t value, file.integer(columns[i], 0, 100'000'000));
      row.at[i] = static_cast<int32_t>(value);
    }
    CALLIE_ASSIGN_OR_RETURN(const double us, file.non_negative(time));
    row.us = static_cast<float>(us);
    rows.push_back(row);
  }
  if (rows.empty()) return data_loss("{}: no rows", path);
  std::sort(rows.begin(), rows.end());
  for (size_t i = 0; i < rows.size(); ++i) {
    const auto& at = rows[i].at;
    if (i > 0 && at == rows[i - 1].at) continue;  // measured twice: the smaller time
    if (tables.attention.empty() || tables.attention.back().tokens != at[0]) tables.attention.push_back({at[0], {}});
    auto& slices = tables.attention.back().slices;
    if (slices.empty() || slices.back().decodes != at[1]) slices.push_back({at[1], {}, {}});
    KernelTables::AttentionSlice& slice = slices.back();
    if (slice.prefill_context.empty() || slice.prefill_context.back() != at[2]) {
      slice.prefill_context.push_back(at[2]);
      slice.curves.emplace_back();
    }
    slice.curves.back().add(at[3], rows[i].us);
  }
  return ok_status();
}

Status load_moe(const std::string& path, KernelTables& tables) {
  CALLIE_ASSIGN_OR_RETURN(TableFile file, TableFile::open(path));
  CALLIE_ASSIGN_OR_RETURN(const int tokens, file.column("tokens"));
  CALLIE_ASSIGN_OR_RETURN(const int experts, file.column("activated_experts"));
  CALLIE_ASSIGN_OR_RETURN(const int time, file.column("time_us"));
  std::map<int32_t, std::map<int32_t, double>> rows;
  while (true) {
    CALLIE_ASSIGN_OR_RETURN(const bool more, file.next());
    if (!more) break;
    CALLIE_ASSIGN_OR_RETURN(const int64_t t, file.integer(tokens, 1, 100'000'000));
    CALLIE_ASSIGN_OR_RETURN(const int64_t e, file.integer(experts, 1, 1'000'000));
    CALLIE_ASSIGN_OR_RETURN(const double us, file.non_negative(time));
    rows[static_cast<int32_t>(e)][static_cast<int32_t>(t)] = us;
  }
  if (rows.empty()) return data_loss("{}: no rows", path);
  for (const auto& [e, curve] : rows) {
    tables.moe_experts.push_back(e);
    tables.moe.emplace_back();
    for (const auto& [t, us] : curve) tables.moe.back().add(t, us);
  }
  return ok_status();
}

/// Edges from meta.yaml: bins [b0, b1, ...] with labels; a value belongs to the first label whose upper edge holds it.
struct Bins {
  std::vector<double> upper;
  std::vector<std::string> labels;
};

StatusOr<Bins> read_bins(const YAML::Node& axes, const char* name, const std::string& path) {
  const YAML::Node bins = axes[fmt::format("{}_bins", name)], labels = axes[fmt::format("{}_labels", name)];
  if (!bins || !labels || !bins.IsSequence() || !labels.IsSequence() || bins.size() != labels.size() + 1) {
    return data_loss("{}: skew_fit.bucket_axes.{}_bins: missing, or not one more than its labels", path, name);
  }
  Bins out;
  for (size_t i = 1; i < bins.size(); ++i) out.upper.push_back(bins[i].as<double>());
  for (const YAML::Node& label : labels) out.labels.push_back(label.as<std::string>());
  return out;
}

Status load_skew(const std::string& path, const std::array<Bins, 4>& bins, KernelTables& tables) {
  CALLIE_ASSIGN_OR_RETURN(TableFile file, TableFile::open(path));
  constexpr const char* kNames[4] = {"n_label", "skew_rate_label", "kv_big_label", "kp_label"};
  int columns[4];
  for (int i = 0; i < 4; ++i) {
    CALLIE_ASSIGN_OR_RETURN(columns[i], file.column(kNames[i]));
  }
  CALLIE_ASSIGN_OR_RETURN(const int chunk, file.column("pc"));
  CALLIE_ASSIGN_OR_RETURN(const int alpha, file.column("alpha"));
  struct Row {
    int32_t chunk;
    size_t at;
    float alpha;
  };
  std::vector<Row> rows;
  rows.reserve(4096);
  size_t inner = 1;
  for (const Bins& axis : bins) inner *= axis.labels.size();
  while (true) {
    CALLIE_ASSIGN_OR_RETURN(const bool more, file.next());
    if (!more) break;
    size_t at = 0;
    for (int i = 0; i < 4; ++i) {
      const auto& labels = bins[i].labels;
      const auto found = std::find(labels.begin(), labels.end(), file.cell(columns[i]));
      if (found == labels.end()) return file.bad_cell(columns[i], "not a label of meta.yaml");
      at = at * labels.size() + static_cast<size_t>(found - labels.begin());
    }
    CALLIE_ASSIGN_OR_RETURN(const int64_t pc, file.integer(chunk, 0, 100'000'000));
    CALLIE_ASSIGN_OR_RETURN(const double value, file.number(alpha));
    rows.push_back({static_cast<int32_t>(pc), at, static_cast<float>(value)});
    const auto place = std::lower_bound(tables.skew_chunks.begin(), tables.skew_chunks.end(), rows.back().chunk);
    if (place == tables.skew_chunks.end() || *place != rows.back().chunk) {
      tables.skew_chunks.insert(place, rows.back().chunk);
    }
  }
  tables.skew.assign(tables.skew_chunks.size() * inner, NAN);
  for (const Row& row : rows) {
    tables.skew[static_cast<size_t>(index_of(tables.skew_chunks, row.chunk)) * inner + row.at] = row.alpha;
  }
  return ok_status();
}

Status load_meta(const std::string& folder, int tp, KernelTables& tables) {
  const std::string path = folder + "/meta.yaml";
  if (!fs::exists(path)) return ok_status();
  try {
    const YAML::Node meta = YAML::LoadFile(path);
    tables.measured_by = fmt::format("{}, vLLM {}", meta["gpu"] ? meta["gpu"].as<std::string>() : "unknown device",
                                     meta["vllm_version"] ? meta["vllm_version"].as<std::string>() : "?");
    const YAML::Node fit = meta["skew_fit"];
    if (!fit || !fit["enabled"] || !fit["enabled"].as<bool>()) return ok_status();
    const YAML::Node entry = fit["per_tp"] ? fit["per_tp"][std::to_string(tp)] : YAML::Node();
    if (!entry || !entry["bucket_table"]) return ok_status();
    if (entry["alpha_default"]) tables.skew_bins.fallback = entry["alpha_default"].as<double>();
    const YAML::Node axes = entry["bucket_axes"] ? entry["bucket_axes"] : fit["bucket_axes"];
    if (!axes) return ok_status();
    std::array<Bins, 4> bins;
    constexpr const char* kAxes[4] = {"n", "skew_rate", "kv_big", "kp"};
    for (int i = 0; i < 4; ++i) {
      CALLIE_ASSIGN_OR_RETURN(bins[i], read_bins(axes, kAxes[i], path));
    }
    tables.skew_bins.n = bins[0].upper;
    tables.skew_bins.rate = bins[1].upper;
    tables.skew_bins.kv = bins[2].upper;
    tables.skew_bins.prefill = bins[3].upper;
    return load_skew(folder + "/" + entry["bucket_table"].as<std::string>(), bins, tables);
  } catch (const YAML::Exception& problem) {
    return data_loss("{}:{}: {}", path, problem.mark.line + 1, problem.msg);
  }
}

std::string existing_degrees(const std::string& folder) {
  std::vector<std::string> found;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    if (entry.is_directory()) found.push_back(entry.path().filename().string());
  }
  std::sort(found.begin(), found.end());
  std::string text;
  for (const std::string& name : found) text += (text.empty() ? "" : ", ") + name;
  return text.empty() ? "none" : text;
}

}  // namespace

StatusOr<std::shared_ptr<const KernelTables>> load_kernel_tables(const std::string& root, const std::string& hardware,
                                                                 const std::string& model, const std::string& dtype,
                                                                 int tp, bool fp8_kv) {
  std::string variant = dtype;
  if (dtype == "bfloat16" || dtype == "auto" || dtype.empty()) variant = "bf16";
  if (dtype == "float16") variant = "fp16";
  if (fp8_kv) variant += "-kvfp8";
  const std::string folder = root + "/" + hardware + "/" + model + "/" + variant;
  if (!fs::exists(folder)) return not_found("{}: no kernel tables for this hardware, model and dtype", folder);
  const std::string degree = folder + "/tp" + std::to_string(tp);
  if (!fs::exists(degree)) {
    return not_found("{}: no kernel tables for tp {} (there are: {})", degree, tp, existing_degrees(folder));
  }
  auto tables = std::make_shared<KernelTables>();
  tables->folder = degree;
  tables->dtype = variant;
  tables->tp = tp;
  CALLIE_RETURN_IF_ERROR(load_layers(degree + "/dense.csv", "tokens", tables->dense));
  CALLIE_RETURN_IF_ERROR(load_layers(degree + "/per_sequence.csv", "sequences", tables->per_sequence));
  CALLIE_RETURN_IF_ERROR(load_attention(degree + "/attention.csv", *tables));
  std::string moe = degree + "/moe.csv";
  if (!fs::exists(moe)) moe = folder + "/tp1/moe.csv";
  if (fs::exists(moe)) CALLIE_RETURN_IF_ERROR(load_moe(moe, *tables));
  CALLIE_RETURN_IF_ERROR(load_meta(folder, tp, *tables));
  return std::shared_ptr<const KernelTables>(tables);
}

}  // namespace callie::plan
