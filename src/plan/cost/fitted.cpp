#include "plan/cost/fitted.h"

#include <algorithm>
#include <atomic>
#include <cmath>

#include "core/atomic_file.h"
#include "core/json_lines.h"
#include "plan/json_field.h"

namespace callie::plan {
namespace {

constexpr const char* kRegimeNames[FittedModel::kRegimes] = {"decode", "prefill", "mixed"};

constexpr size_t kPlainFeatures = 14;

int regime_of(double prefill, double decode) { return prefill == 0 ? 0 : decode == 0 ? 1 : 2; }

void features(const FittedModel::Regime& r, const StepSample& s, std::vector<double>& out) {
  // Kernels take rows in tiles: 9 sequences cost what 16 do, where a tile has 8 rows. Larger passes cost less per row.
  const double rows = s.prefill + s.decode + s.drafted;
  out.assign({1, s.prefill, s.decode, s.context, s.prefill_work, s.drafted, std::ceil(rows / 4), std::ceil(rows / 8),
              std::ceil(rows / 16), std::ceil(rows / 64), std::min(rows, 4.0), std::min(rows, 16.0), std::min(rows, 64.0),
              std::min(rows, 96.0)});
  for (const double knot : r.knots_prefill) out.push_back(std::max(s.prefill - knot, 0.0));
  for (const double knot : r.knots_decode) out.push_back(std::max(s.decode - knot, 0.0));
}

double dot(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

/// Knots at the quartiles of the distinct values, where the slope may grow.
std::vector<double> knots(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
  if (values.size() < 6) return {};
  return {values[values.size() / 4], values[values.size() / 2], values[values.size() * 3 / 4]};
}

/// Solves the small symmetric positive definite system by Cholesky with a tiny ridge.
std::vector<double> solve_spd(std::vector<double> a, std::vector<double> b) {
  const int n = static_cast<int>(b.size());
  for (int i = 0; i < n; ++i) a[i * n + i] = a[i * n + i] * (1 + 1e-10) + 1e-14;
  for (int j = 0; j < n; ++j) {
    for (int i = j; i < n; ++i) {
      double sum = a[i * n + j];
      for (int k = 0; k < j; ++k) sum -= a[i * n + k] * a[j * n + k];
      a[i * n + j] = i == j ? std::sqrt(std::max(sum, 1e-30)) : sum / a[j * n + j];
    }
  }
  for (int i = 0; i < n; ++i) {
    for (int k = 0; k < i; ++k) b[i] -= a[i * n + k] * b[k];
    b[i] /= a[i * n + i];
  }
  for (int i = n - 1; i >= 0; --i) {
    for (int k = i + 1; k < n; ++k) b[i] -= a[k * n + i] * b[k];
    b[i] /= a[i * n + i];
  }
  return b;
}

/// Median pause between steps that follow each other within 2 ms; longer ones are waits for requests.
double typical_gap_us(const std::vector<StepSample>& steps) {
  std::vector<double> gaps;
  for (size_t i = 1; i < steps.size(); ++i) {
    const double gap = (steps[i].start_s - steps[i - 1].start_s) * 1e6 - steps[i - 1].step_us;
    if (steps[i - 1].start_s > 0 && gap >= 0 && gap < 2000) gaps.push_back(gap);
  }
  if (gaps.empty()) return 0;
  std::nth_element(gaps.begin(), gaps.begin() + static_cast<ptrdiff_t>(gaps.size() / 2), gaps.end());
  return gaps[gaps.size() / 2];
}

class FittedCost : public StepCost {
 public:
  explicit FittedCost(const FittedModel& model) : model_(model) {}

  Ns step_ns(const BatchView& b, const GroupRows&) const override {
    StepSample s;
    s.prefill = b.prefill_tokens;
    s.prefill_work = (static_cast<double>(b.prefill_pairs2) - b.prefill_tokens) / 2;  // sum n (c + n/2)
    s.decode = b.decode_sequences;
    s.context = static_cast<double>(b.decode_context);
    s.drafted = b.decode_tokens - b.decode_sequences;
    const FittedModel::Regime& r = model_.regimes[regime_of(s.prefill, s.decode)];
    if (s.prefill > r.most_prefill || s.decode > r.most_decode || s.context > r.most_context) {
      extrapolated_.fetch_add(1, std::memory_order_relaxed);
    }
    return static_cast<Ns>(std::llround(std::max(model_.predict_us(s), 0.0) * 1e3));
  }
  bool affine(const BatchView& b, AffineStep& out) const override {
    (void)b;
    (void)out;
    return false;
  }
  std::string describe() const override { return "fitted to measured steps of " + model_.source; }
  int64_t extrapolated() const override { return extrapolated_.load(std::memory_order_relaxed); }

 private:
  FittedModel model_;
  mutable std::atomic<int64_t> extrapolated_{0};
};

}  // namespace

std::vector<double> solve_nnls(const std::vector<double>& matrix, const std::vector<double>& right, int columns) {
  const int n = columns, rows = static_cast<int>(right.size());
  std::vector<double> gram(static_cast<size_t>(n) * n, 0), target(n, 0), x(n, 0);
  for (int r = 0; r < rows; ++r) {
    const double* row = &matrix[static_cast<size_t>(r) * n];
    for (int i = 0; i < n; ++i) {
      target[i] += row[i] * right[r];
      for (int j = 0; j <= i; ++j) gram[i * n + j] += row[i] * row[j];
    }
  }
  for (int i = 0; i < n; ++i) {
    for (int j = i + 1; j < n; ++j) gram[i * n + j] = gram[j * n + i];
  }
  std::vector<bool> passive(n, false);
  for (int round = 0; round < 5 * n; ++round) {
    int best = -1;
    double most = 1e-10;
    for (int i = 0; i < n; ++i) {
      if (passive[i] || gram[i * n + i] <= 0) continue;
      double gradient = target[i];
      for (int j = 0; j < n; ++j) gradient -= gram[i * n + j] * x[j];
      gradient /= std::sqrt(gram[i * n + i]);
      if (gradient > most) {
        most = gradient;
        best = i;
      }
    }
    if (best < 0) break;
    passive[best] = true;
    while (true) {
      std::vector<int> set;
      for (int i = 0; i < n; ++i) {
        if (passive[i]) set.push_back(i);
      }
      const int m = static_cast<int>(set.size());
      std::vector<double> a(static_cast<size_t>(m) * m), b(m);
      for (int i = 0; i < m; ++i) {
        // Scaled to a unit diagonal.
        const double si = std::sqrt(gram[set[i] * n + set[i]]);
        b[i] = target[set[i]] / si;
        for (int j = 0; j < m; ++j) a[i * m + j] = gram[set[i] * n + set[j]] / si / std::sqrt(gram[set[j] * n + set[j]]);
      }
      std::vector<double> z = solve_spd(a, b);
      double step = 1;
      for (int i = 0; i < m; ++i) {
        z[i] /= std::sqrt(gram[set[i] * n + set[i]]);
        if (z[i] <= 0) step = std::min(step, x[set[i]] / (x[set[i]] - z[i] + 1e-300));
      }
      for (int i = 0; i < m; ++i) x[set[i]] += step * (z[i] - x[set[i]]);
      if (step >= 1) break;
      for (int i = 0; i < m; ++i) {
        if (x[set[i]] <= 1e-15) {
          x[set[i]] = 0;
          passive[set[i]] = false;
        }
      }
    }
  }
  return x;
}

double FittedModel::predict_us(const StepSample& shape) const {
  const Regime* r = &regimes[regime_of(shape.prefill, shape.decode)];
  if (r->beta.empty()) {  // nothing measured there: the regime with the most steps speaks
    for (const Regime& other : regimes) {
      if (!other.beta.empty() && (r->beta.empty() || other.samples > r->samples)) r = &other;
    }
  }
  if (r->beta.empty()) return 0;
  std::vector<double> f;
  features(*r, shape, f);
  return dot(r->beta, f);
}

StatusOr<FittedModel> fit_steps(const std::vector<StepSample>& steps, const std::string& source) {
  FittedModel model;
  model.source = source;
  bool any = false;
  for (int k = 0; k < FittedModel::kRegimes; ++k) {
    FittedModel::Regime& r = model.regimes[k];
    std::vector<const StepSample*> mine;
    std::vector<double> prefill, decode;
    for (const StepSample& s : steps) {
      if (regime_of(s.prefill, s.decode) != k || s.step_us <= 0) continue;
      mine.push_back(&s);
      prefill.push_back(s.prefill);
      decode.push_back(s.decode);
      r.most_prefill = std::max(r.most_prefill, s.prefill);
      r.most_decode = std::max(r.most_decode, s.decode);
      r.most_context = std::max(r.most_context, s.context);
      r.most_work = std::max(r.most_work, s.prefill_work);
    }
    r.samples = static_cast<int64_t>(mine.size());
    if (mine.size() < 5) continue;
    const std::vector<const StepSample*> all = mine;
    any = true;
    r.knots_prefill = knots(prefill);
    r.knots_decode = knots(decode);
    std::vector<double> f, errors;
    // Least absolute relative errors by reweighting: what the machine did beside the engine shows as steps far off the
    // line, which must not bend it. Half way through, the worst of them are left out.
    constexpr int kPasses = 8, kSelect = 4;
    std::vector<double> weights(mine.size(), 1);
    for (int pass = 0; pass < kPasses; ++pass) {
      std::vector<double> matrix, right;
      for (size_t i = 0; i < mine.size(); ++i) {
        features(r, *mine[i], f);
        const double weight = std::sqrt(weights[i]);
        for (const double v : f) matrix.push_back(weight * v / mine[i]->step_us);
        right.push_back(weight);
      }
      r.beta = solve_nnls(matrix, right, static_cast<int>(f.size()));
      errors.clear();
      r.bias = 0;
      for (const StepSample* s : mine) {
        features(r, *s, f);
        const double e = dot(r.beta, f) / s->step_us - 1;
        errors.push_back(std::abs(e));
        r.bias += e / static_cast<double>(mine.size());
      }
      for (size_t i = 0; i < mine.size(); ++i) weights[i] = 0.01 / std::max(errors[i], 0.01);
      if (pass != kSelect) continue;
      std::vector<double> sorted = errors;
      std::sort(sorted.begin(), sorted.end());
      const double limit = std::max(4 * sorted[sorted.size() / 2], 0.1);
      std::vector<const StepSample*> kept;
      for (size_t i = 0; i < mine.size(); ++i) {
        if (errors[i] <= limit) kept.push_back(mine[i]);
      }
      if (kept.size() < 5) continue;
      r.left_out = static_cast<int64_t>(mine.size() - kept.size());
      mine = std::move(kept);
      weights.assign(mine.size(), 1);
    }
    // What counts in a queue is the mean: short pauses of single steps belong to it, steps of several times the line do not.
    constexpr double kPause = 3;
    double measured = 0, predicted = 0;
    for (const StepSample* s : all) {
      features(r, *s, f);
      const double line = dot(r.beta, f);
      if (s->step_us > kPause * line) continue;
      measured += s->step_us;
      predicted += line;
    }
    if (predicted > 0) {
      for (double& b : r.beta) b *= measured / predicted;
    }
    std::sort(errors.begin(), errors.end());
    r.median_error = errors[errors.size() / 2];
    r.p90_error = errors[errors.size() * 9 / 10];
  }
  model.gap_us = typical_gap_us(steps);
  if (!any) return invalid_argument("{}: fewer than five steps of any kind to fit", source);
  return model;
}

Status FittedModel::save(const std::string& path) const {
  Json json;
  json["kind"] = "callie-step-cost";
  json["source"] = source;
  json["gap_us"] = gap_us;
  for (int k = 0; k < kRegimes; ++k) {
    const Regime& r = regimes[k];
    json["regimes"][kRegimeNames[k]] = {{"samples", r.samples},
                                        {"knots_prefill", r.knots_prefill},
                                        {"knots_decode", r.knots_decode},
                                        {"beta_us", r.beta},
                                        {"left_out", r.left_out},
                                        {"median_error", r.median_error},
                                        {"p90_error", r.p90_error},
                                        {"bias", r.bias},
                                        {"most", {r.most_prefill, r.most_decode, r.most_context, r.most_work}}};
  }
  return write_text_file(path, json.dump(2) + "\n");
}

StatusOr<FittedModel> load_fitted(const std::string& path) {
  CALLIE_ASSIGN_OR_RETURN(const std::string text, read_text_file(path, 16 << 20));
  const Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded() || !json.is_object()) return data_loss("{}: not a JSON object", path);
  const JsonField root(json, path);
  FittedModel model;
  CALLIE_ASSIGN_OR_RETURN(model.source, root["source"].text_or(path));
  CALLIE_ASSIGN_OR_RETURN(model.gap_us, root["gap_us"].number_or(0, 0, 1e9));
  for (int k = 0; k < FittedModel::kRegimes; ++k) {
    const JsonField in = root["regimes"][kRegimeNames[k]];
    if (!in.present()) continue;
    FittedModel::Regime& r = model.regimes[k];
    CALLIE_ASSIGN_OR_RETURN(const double samples, in["samples"].number(0, 1e15));
    r.samples = static_cast<int64_t>(samples);
    const auto list = [&](const char* key, std::vector<double>& out) -> Status {
      const JsonField field = in[key];
      if (!field.present() || !field.json().is_array()) return data_loss("{}: not a list", field.place());
      for (size_t i = 0; i < field.json().size(); ++i) {
        CALLIE_ASSIGN_OR_RETURN(const double value, field.at(i).number(0, 1e15));
        out.push_back(value);
      }
      return ok_status();
    };
    std::vector<double> most;
    CALLIE_RETURN_IF_ERROR(list("knots_prefill", r.knots_prefill));
    CALLIE_RETURN_IF_ERROR(list("knots_decode", r.knots_decode));
    CALLIE_RETURN_IF_ERROR(list("beta_us", r.beta));
    CALLIE_RETURN_IF_ERROR(list("most", most));
    if (most.size() != 4) return data_loss("{}: not four numbers", in["most"].place());
    r.most_prefill = most[0];
    r.most_decode = most[1];
    r.most_context = most[2];
    r.most_work = most[3];
    if (!r.beta.empty() && r.beta.size() != kPlainFeatures + r.knots_prefill.size() + r.knots_decode.size()) {
      return data_loss("{}: {} coefficients do not fit the knots", in["beta_us"].place(), r.beta.size());
    }
  }
  return model;
}

std::shared_ptr<const StepCost> make_fitted_cost(const FittedModel& model) {
  return std::make_shared<FittedCost>(model);
}

StatusOr<std::shared_ptr<const StepCost>> load_fitted_cost(const std::string& path) {
  CALLIE_ASSIGN_OR_RETURN(const FittedModel model, load_fitted(path));
  return make_fitted_cost(model);
}

StatusOr<std::vector<StepSample>> load_step_log(const std::string& path) {
  CALLIE_ASSIGN_OR_RETURN(const std::string text, read_text_file(path));
  return parse_step_log(text, path);
}

StatusOr<std::vector<StepSample>> parse_step_log(const std::string& text, const std::string& path) {
  std::vector<StepSample> steps;
  CALLIE_RETURN_IF_ERROR(for_each_json_line(text, path, [&](const Json& json, int line) -> Status {
    if (json.contains("block_size")) return ok_status();  // the header
    const JsonField f(json, fmt::format("{}:{}", path, line));
    StepSample s;
    CALLIE_ASSIGN_OR_RETURN(s.prefill, f["n_prefill"].number(0, 1e9));
    CALLIE_ASSIGN_OR_RETURN(s.prefill_work, f["prefill_work"].number(0, 1e18));
    CALLIE_ASSIGN_OR_RETURN(s.decode, f["n_decode"].number(0, 1e9));
    CALLIE_ASSIGN_OR_RETURN(s.context, f["ctx_decode"].number(0, 1e15));
    CALLIE_ASSIGN_OR_RETURN(s.drafted, f["drafted"].number_or(0, 0, 1e9));
    CALLIE_ASSIGN_OR_RETURN(s.step_us, f["step_us"].number(0, 1e12));
    CALLIE_ASSIGN_OR_RETURN(s.host_us, f["host_us"].number_or(0, 0, 1e12));
    CALLIE_ASSIGN_OR_RETURN(s.start_s, f["t_s"].number_or(0, 0, 1e12));
    steps.push_back(s);
    return ok_status();
  }));
  if (steps.empty()) return data_loss("{}: no steps", path);
  return steps;
}

}  // namespace callie::plan
