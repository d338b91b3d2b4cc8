#include "plan/cost/aiconfigurator.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <tuple>

#include "plan/cost/kernel_tables.h"
#include "plan/table_file.h"

namespace callie::plan {
namespace fs = std::filesystem;

struct AiconfiguratorTables {
  std::map<std::pair<int, int>, Curve> gemm;  ///< (n, k) -> milliseconds over m
  using Heads = std::tuple<int, int, int>;    ///< heads, KV heads, head size
  std::map<Heads, Curve> context;             ///< batch 1: milliseconds over the prompt length
  std::map<Heads, std::map<int, Curve>> generation;  ///< batch -> milliseconds over the context
  std::map<int, Curve> all_reduce;            ///< GPUs -> milliseconds over elements
  std::string folder, version;
};

namespace {

template <typename Body>
Status each_row(const std::string& path, const Body& body) {
  CALLIE_ASSIGN_OR_RETURN(TableFile file, TableFile::open(path));
  while (true) {
    CALLIE_ASSIGN_OR_RETURN(const bool more, file.next());
    if (!more) return ok_status();
    CALLIE_RETURN_IF_ERROR(body(file));
  }
}

std::string find_file(const std::string& folder, const char* name) {
  for (const char* ending : {".csv", ".csv.gz"}) {
    const std::string path = folder + "/" + name + ending;
    if (fs::exists(path)) return path;
  }
  return "";
}

/// Several kernels may have been measured for one shape: an engine takes the fastest.
using Best = std::map<double, double>;
void keep_best(Best& best, double x, double ms) {
  const auto [at, fresh] = best.emplace(x, ms);
  if (!fresh) at->second = std::min(at->second, ms);
}
Curve to_curve(const Best& best) {
  Curve curve;
  for (const auto& [x, ms] : best) curve.add(x, ms);
  return curve;
}

Status load_gemm(const std::string& path, AiconfiguratorTables& out) {
  std::map<std::pair<int, int>, Best> best;
  CALLIE_RETURN_IF_ERROR(each_row(path, [&](TableFile& f) -> Status {
    CALLIE_ASSIGN_OR_RETURN(const int dtype, f.column("gemm_dtype"));
    if (f.cell(dtype) != "bfloat16") return ok_status();
    CALLIE_ASSIGN_OR_RETURN(const int m, f.column("m"));
    CALLIE_ASSIGN_OR_RETURN(const int n, f.column("n"));
    CALLIE_ASSIGN_OR_RETURN(const int k, f.column("k"));
    CALLIE_ASSIGN_OR_RETURN(const int ms, f.column("latency"));
    CALLIE_ASSIGN_OR_RETURN(const int64_t vm, f.integer(m, 1, 1 << 30));
    CALLIE_ASSIGN_OR_RETURN(const int64_t vn, f.integer(n, 1, 1 << 30));
    CALLIE_ASSIGN_OR_RETURN(const int64_t vk, f.integer(k, 1, 1 << 30));
    CALLIE_ASSIGN_OR_RETURN(const double latency, f.non_negative(ms));
    keep_best(best[{static_cast<int>(vn), static_cast<int>(vk)}], static_cast<double>(vm), latency);
    if (out.version.empty()) {
      const int framework = f.find_column("framework"), version = f.find_column("version");
      if (framework >= 0 && version >= 0) out.version = fmt::format("{} {}", f.cell(framework), f.cell(version));
    }
    return ok_status();
  }));
  if (best.empty()) return data_loss("{}: no bfloat16 rows", path);
  for (const auto& [shape, rows] : best) out.gemm[shape] = to_curve(rows);
  return ok_status();
}

Status load_attention(const std::string& path, bool context, AiconfiguratorTables& out) {
  std::map<AiconfiguratorTables::Heads, std::map<int, Best>> best;
  CALLIE_RETURN_IF_ERROR(each_row(path, [&](TableFile& f) -> Status {
    CALLIE_ASSIGN_OR_RETURN(const int kv_dtype, f.column("kv_cache_dtype"));
    CALLIE_ASSIGN_OR_RETURN(const int dtype, f.column("attn_dtype"));
    const int window = f.find_column("window_size");
    if (f.cell(dtype) != "bfloat16" || f.cell(kv_dtype) != "bfloat16") return ok_status();
    if (window >= 0 && f.cell(window) != "0") return ok_status();
    int64_t v[6];
    constexpr const char* kNames[6] = {"batch_size", "isl", "num_heads", "num_key_value_heads", "head_dim", "step"};
    for (int i = 0; i < 6; ++i) {
      CALLIE_ASSIGN_OR_RETURN(const int column, f.column(kNames[i]));
      CALLIE_ASSIGN_OR_RETURN(v[i], f.integer(column, 0, 1 << 30));
    }
    CALLIE_ASSIGN_OR_RETURN(const int ms, f.column("latency"));
    CALLIE_ASSIGN_OR_RETURN(const double latency, f.non_negative(ms));
    if (context && v[0] != 1) return ok_status();
    const AiconfiguratorTables::Heads heads{static_cast<int>(v[2]), static_cast<int>(v[3]), static_cast<int>(v[4])};
    keep_best(best[heads][static_cast<int>(v[0])], static_cast<double>(context ? v[1] : v[5]), latency);
    return ok_status();
  }));
  for (const auto& [heads, batches] : best) {
    for (const auto& [batch, rows] : batches) {
      if (context) {
        out.context[heads] = to_curve(rows);
      } else {
        out.generation[heads][batch] = to_curve(rows);
      }
    }
  }
  return ok_status();
}

Status load_reduce(const std::string& path, bool nccl, AiconfiguratorTables& out) {
  std::map<int, Best> best;
  CALLIE_RETURN_IF_ERROR(each_row(path, [&](TableFile& f) -> Status {
    CALLIE_ASSIGN_OR_RETURN(const int op, f.column("op_name"));
    if (f.cell(op) != "all_reduce") return ok_status();
    const int dtype = f.find_column("nccl_dtype");
    if (nccl && dtype >= 0 && f.cell(dtype) != "half") return ok_status();
    CALLIE_ASSIGN_OR_RETURN(const int gpus, f.column("num_gpus"));
    CALLIE_ASSIGN_OR_RETURN(const int size, f.column("message_size"));
    CALLIE_ASSIGN_OR_RETURN(const int ms, f.column("latency"));
    CALLIE_ASSIGN_OR_RETURN(const int64_t g, f.integer(gpus, 2, 4096));
    CALLIE_ASSIGN_OR_RETURN(const double elements, f.non_negative(size));
    CALLIE_ASSIGN_OR_RETURN(const double latency, f.non_negative(ms));
    keep_best(best[static_cast<int>(g)], elements, latency);
    return ok_status();
  }));
  for (const auto& [gpus, rows] : best) {
    if (!out.all_reduce.contains(gpus)) out.all_reduce[gpus] = to_curve(rows);
  }
  return ok_status();
}

double roofline_ms(const Hardware& hw, double m, double n, double k) {
  return std::max(2 * m * n * k / (hw.bf16_tflops * 1e9), 2 * (m * k + k * n + m * n) / (hw.memory_gbs * 1e6));
}

class AiconfiguratorCost : public StepCost {
 public:
  AiconfiguratorCost(std::shared_ptr<const AiconfiguratorTables> tables, const ModelShape& model, const Hardware& hw,
                     const Parallelism& p, const RooflineOptions& o)
      : tables_(std::move(tables)), model_(model), hw_(hw), p_(p), o_(o) {
    link_ = {std::max(hw.link_gbs, 1e-3), hw.link_us * 1e3, 0};
    const int t = p.tp;
    const auto nearest = [&](const auto& table) -> const auto* {
      const AiconfiguratorTables::Heads want{std::max(model.heads / t, 1), std::max(model.kv_heads / t, 1),
                                             model.head_dim};
      const auto found = table.find(want);
      return found == table.end() ? nullptr : &found->second;
    };
    context_ = nearest(tables_->context);
    generation_ = nearest(tables_->generation);
    layer_ms_.resize(kTable);
    head_ms_.resize(kTable);
    for (int m = 1; m < kTable; m = next(m)) layer_ms_[m] = layer_ms(m);
    for (int m = 1; m < kTable; m = next(m)) head_ms_[m] = gemm_ms(*tables_, hw_, m, double(model_.vocabulary) / t, model_.hidden);
  }

  Ns step_ns(const BatchView& b, const GroupRows& group) const override {
    const int tokens = std::max(b.tokens(), group.own);
    if (tokens == 0) return 0;
    const double rows = std::max(b.prefill_chunks + b.decode_tokens, 1);
    double ms = model_.layers * (read(layer_ms_, tokens) + attention_ms(b)) + read(head_ms_, rows) +
                (o_.sampler_us + o_.sampler_per_sequence_us * rows) / 1e3;
    if (p_.tp > 1) ms += (2.0 * model_.layers + 1) * reduce_ms(tokens);
    return from_ms(ms);
  }
  std::string describe() const override {
    return fmt::format("AIConfigurator tables {} ({}), attention {}, tp {}", tables_->folder, tables_->version,
                       context_ && generation_ ? "measured" : "from the roofline", p_.tp);
  }

 private:
  static constexpr int kTable = 4097;
  /// Sizes at which tables are filled: all up to 64, then every 16th.
  static int next(int m) { return m < 64 ? m + 1 : m + 16; }

  static double read(const std::vector<double>& table, double m) {
    if (m <= 64) return table[std::max(static_cast<int>(m), 1)];
    const double offset = std::min((m - 64) / 16, (kTable - 1 - 64) / 16.0);
    const int low = 64 + 16 * static_cast<int>(offset), high = std::min(low + 16, kTable - 1);
    if (m >= kTable - 1) return table[kTable - 1] * m / (kTable - 1);
    return table[low] + (m - low) / 16 * (table[high] - table[low]);
  }

  double layer_ms(double m) const {
    const double t = p_.tp, h = model_.hidden;
    const double q = static_cast<double>(model_.heads) * model_.head_dim, kv = 2.0 * model_.kv_heads * model_.head_dim;
    double ms = gemm_ms(*tables_, hw_, m, (q + kv) / t, h) + gemm_ms(*tables_, hw_, m, h, q / t);
    const double dense = model_.dense_layers() / static_cast<double>(model_.layers);
    if (dense > 0) {
      const double i = static_cast<double>(model_.intermediate);
      ms += dense * (gemm_ms(*tables_, hw_, m, (model_.gated ? 2 : 1) * i / t, h) + gemm_ms(*tables_, hw_, m, h, i / t));
    }
    // Norms, rotation, activation: memory passes over about twelve times the hidden state.
    return ms + 12 * m * h * 2 / t / (hw_.memory_gbs * hw_.memory_efficiency * 1e6) + 4 * 0.002;
  }

  double attention_ms(const BatchView& b) const {
    double ms = 0;
    const double pairs2 = static_cast<double>(b.prefill_pairs2);
    if (pairs2 > 0) {
      // One prompt of equal work: length n with n (n + 1) pairs times two.
      const double length = (std::sqrt(1 + 4 * pairs2) - 1) / 2;
      if (context_) {
        const double most = context_->max_x();
        ms += length <= most ? (*context_)(length) : (*context_)(most) * (length / most) * (length / most);
      } else {
        ms += pairs2 * model_.attention_macs_per_pair() / p_.tp / (hw_.bf16_tflops * hw_.compute_efficiency * 1e9);
      }
    }
    if (b.decode_sequences > 0) {
      const double context = static_cast<double>(b.decode_context) / b.decode_sequences;
      if (generation_) {
        auto high = generation_->lower_bound(b.decode_sequences);
        if (high == generation_->end()) --high;
        if (high->first <= b.decode_sequences || high == generation_->begin()) {
          ms += high->second(context) * std::max(1.0, b.decode_sequences / static_cast<double>(high->first));
        } else {
          const auto low = std::prev(high);
          const double x = (b.decode_sequences - low->first) / static_cast<double>(high->first - low->first);
          ms += (1 - x) * low->second(context) + x * high->second(context);
        }
      } else {
        ms += static_cast<double>(b.decode_context) * model_.kv_elements() * o_.kv_bytes /
              std::min(p_.tp, model_.kv_heads) / (hw_.memory_gbs * hw_.memory_efficiency * 1e6);
      }
    }
    return ms;
  }

  double reduce_ms(double tokens) const {
    const auto found = tables_->all_reduce.find(p_.tp);
    const double elements = tokens * model_.hidden;
    if (found != tables_->all_reduce.end()) return found->second(elements);
    return all_reduce_ns(elements * 2, p_.tp, link_, true) / 1e6;
  }

  std::shared_ptr<const AiconfiguratorTables> tables_;
  ModelShape model_;
  Hardware hw_;
  Parallelism p_;
  RooflineOptions o_;
  Link link_;
  const Curve* context_ = nullptr;
  const std::map<int, Curve>* generation_ = nullptr;
  std::vector<double> layer_ms_, head_ms_;
};

}  // namespace

double gemm_ms(const AiconfiguratorTables& tables, const Hardware& hw, double m, double n, double k) {
  const auto exact = tables.gemm.find({static_cast<int>(n), static_cast<int>(k)});
  if (exact != tables.gemm.end()) return exact->second(m);
  const Curve* best = nullptr;
  double least = INFINITY, near_n = 0, near_k = 0;
  for (const auto& [shape, curve] : tables.gemm) {
    const double distance = std::abs(std::log(shape.first / n)) + std::abs(std::log(shape.second / k));
    if (distance < least) {
      least = distance;
      best = &curve;
      near_n = shape.first;
      near_k = shape.second;
    }
  }
  return roofline_ms(hw, m, n, k) / roofline_ms(hw, m, near_n, near_k) * (*best)(m);
}

StatusOr<std::shared_ptr<const AiconfiguratorTables>> load_aiconfigurator(const std::string& folder) {
  auto tables = std::make_shared<AiconfiguratorTables>();
  tables->folder = folder;
  const std::string gemm = find_file(folder, "gemm_perf");
  if (gemm.empty()) return not_found("{}: no gemm_perf.csv or gemm_perf.csv.gz", folder);
  CALLIE_RETURN_IF_ERROR(load_gemm(gemm, *tables));
  const std::string context = find_file(folder, "context_attention_perf");
  const std::string generation = find_file(folder, "generation_attention_perf");
  const std::string custom = find_file(folder, "custom_allreduce_perf"), nccl = find_file(folder, "nccl_perf");
  if (!context.empty()) CALLIE_RETURN_IF_ERROR(load_attention(context, true, *tables));
  if (!generation.empty()) CALLIE_RETURN_IF_ERROR(load_attention(generation, false, *tables));
  if (!custom.empty()) CALLIE_RETURN_IF_ERROR(load_reduce(custom, false, *tables));
  if (!nccl.empty()) CALLIE_RETURN_IF_ERROR(load_reduce(nccl, true, *tables));
  return std::shared_ptr<const AiconfiguratorTables>(tables);
}

StatusOr<std::shared_ptr<const StepCost>> make_aiconfigurator_cost(std::shared_ptr<const AiconfiguratorTables> tables,
                                                                   const ModelShape& model, const Hardware& hw,
                                                                   const Parallelism& p, const RooflineOptions& o) {
  if (hw.bf16_tflops <= 0 || hw.memory_gbs <= 0) {
    return invalid_argument("{}: give the device as preset too: shapes outside the tables need its limits",
                            tables->folder);
  }
  if (model.mixture()) return invalid_argument("{}: these tables cover dense models only", tables->folder);
  if (p.pp > 1 || p.dp > 1) return invalid_argument("{}: pp and dp need another cost model", tables->folder);
  return std::shared_ptr<const StepCost>(
      std::make_shared<AiconfiguratorCost>(std::move(tables), model, hw, p, o));
}

}  // namespace callie::plan
