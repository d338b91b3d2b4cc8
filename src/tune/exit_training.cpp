#include "tune/exit_training.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "core/aligned_buffer.h"
#include "core/interrupt.h"
#include "core/progress.h"
#include "kernels/packed_view.h"
#include "kernels/vector_ops.h"
#include "tune/exit_batch.h"
#include "tune/ridge.h"

namespace callie::tune {
namespace {

constexpr int kHeldOut = 20;      // one piece in so many
constexpr int64_t kChunk = 1024;  // rows of a step of the regression

std::array<float, 29> temperatures() {
  std::array<float, 29> out;
  for (size_t i = 0; i < out.size(); ++i) out[i] = 0.3f * std::pow(5.0f / 0.3f, static_cast<float>(i) / 28.0f);
  return out;
}

// The panels of the model's head that hold most of the chosen tokens; frequent ids fill up what the corpus leaves.
void choose_head(const Model& model, const ExitFeatures& features, std::span<const int64_t> rows, int64_t head_rows,
                 ExitFile& file) {
  constexpr int64_t kPanel = kernels::kPanelRows;
  std::vector<std::pair<int64_t, int64_t>> panels((model.spec().vocab_size + kPanel - 1) / kPanel);
  for (size_t p = 0; p < panels.size(); ++p) panels[p].second = static_cast<int64_t>(p);
  for (const int64_t row : rows) --panels[features.chosen(row) / kPanel].first;
  std::sort(panels.begin(), panels.end());
  panels.resize(std::clamp<size_t>(head_rows / kPanel, 1, panels.size()));
  file.head_rows = kPanel;
  for (const auto& [count, panel] : panels) file.tokens.push_back(static_cast<int32_t>(panel * kPanel));
}

}  // namespace

std::vector<int64_t> rows_of(const ExitFeatures& features, bool held_out) {
  std::vector<int64_t> out;
  for (int64_t row = 0; row < features.rows(); ++row) {
    if ((features.piece(row) % kHeldOut == kHeldOut - 1) == held_out) out.push_back(row);
  }
  return out;
}

StatusOr<std::vector<ExitScore>> score_exits(const ExitHeads& heads, const ExitFeatures& features,
                                             std::span<const int64_t> rows, const Context& context) {
  std::vector<ExitScore> out;
  for (size_t e = 0; e < heads.heads().size(); ++e) {
    const nn::ExitHead& exit = heads.heads()[e];
    ExitScore score;
    score.layer = exit.layer;
    struct Bin {
      int64_t n = 0;
      double confidence = 0, right = 0;
    };
    std::array<Bin, 10> bins;
    ExitBatch batch(heads, context);
    CALLIE_RETURN_IF_ERROR(batch.each(features, static_cast<int>(e), rows, [&](int64_t row, std::span<const float> logits) {
      const int64_t best = kernels::argmax(logits.data(), static_cast<int64_t>(logits.size()));
      const float p = batch.probability(logits, best, exit.temperature);
      const bool right = batch.token(best) == features.chosen(row);
      Bin& bin = bins[std::clamp(static_cast<int>(p * 10), 0, 9)];
      ++bin.n;
      bin.confidence += p;
      bin.right += right;
      ++score.rows;
      score.agreement += right;
      score.confidence += p;
      score.coverage += batch.place(features.chosen(row)) >= 0;
    }));
    const double n = static_cast<double>(std::max<int64_t>(1, score.rows));
    for (const Bin& bin : bins) score.calibration += std::abs(bin.confidence - bin.right) / n;
    score.agreement /= n;
    score.confidence /= n;
    score.coverage /= n;
    out.push_back(score);
  }
  return out;
}

StatusOr<float> fit_temperature(const ExitHeads& heads, int exit, const ExitFeatures& features,
                                std::span<const int64_t> rows, const Context& context) {
  const auto grid = temperatures();
  std::array<double, grid.size()> loss{};
  ExitBatch batch(heads, context);
  std::vector<float> scaled;
  CALLIE_RETURN_IF_ERROR(batch.each(features, exit, rows, [&](int64_t row, std::span<const float> logits) {
    const int64_t target = batch.place(features.chosen(row));
    if (target < 0) return;
    for (size_t t = 0; t < grid.size(); ++t) {
      scaled.assign(logits.begin(), logits.end());
      kernels::scale(scaled.data(), static_cast<int64_t>(scaled.size()), 1 / grid[t]);
      loss[t] += kernels::log_sum_exp(scaled.data(), static_cast<int64_t>(scaled.size())) - scaled[target];
    }
  }));
  return grid[std::min_element(loss.begin(), loss.end()) - loss.begin()];
}

ExitFile untrained_exits(const Model& model, const ExitFile& like) {
  ExitFile out = like;
  const auto& weight = model.decoder().weights().output_norm;
  const auto hidden = static_cast<int64_t>(weight.size());
  for (ExitWeights& exit : out.exits) {
    exit.temperature = 1;
    exit.bias.assign(hidden, 0);
    exit.map.assign(hidden * hidden, 0);
    for (int64_t i = 0; i < hidden; ++i) exit.map[i * hidden + i] = weight[i];
  }
  return out;
}

StatusOr<ExitFile> fit_exits(std::shared_ptr<const Model> model, const ExitFeatures& features,
                             const ExitFitOptions& options, const std::string& state_path,
                             const Context& context) {
  const int64_t hidden = features.hidden();
  const std::vector<int64_t> rows = rows_of(features, false), held_out = rows_of(features, true);
  if (rows.empty()) return error(StatusCode::kFailedPrecondition, "no rows to fit");
  ExitFile file;
  file.fingerprint = exit_fingerprint(*model);
  choose_head(*model, features, rows, options.head_rows, file);

  Progress progress("fitting exits", static_cast<int64_t>(features.layers().size() * rows.size()), "rows");
  for (size_t k = 0; k < features.layers().size(); ++k) {
    Ridge ridge(hidden, hidden);
    std::vector<float> x, y;
    for (size_t begin = 0; begin < rows.size(); begin += kChunk) {
      if (interrupted()) return Status(StatusCode::kCancelled, "");
      const auto n = static_cast<int64_t>(std::min<size_t>(kChunk, rows.size() - begin));
      x.resize(n * hidden);
      y.resize(n * hidden);
      for (int64_t i = 0; i < n; ++i) {
        features.exit_input(rows[begin + i], k, x.data() + i * hidden);
        features.head_input(rows[begin + i], y.data() + i * hidden);
      }
      CALLIE_RETURN_IF_ERROR(ridge.add(x, y, n, context));
      progress.add(n);
    }
    CALLIE_ASSIGN_OR_RETURN(auto solution, ridge.solve(options.ridge, context));
    file.exits.push_back({features.layers()[k], 1, std::move(solution.map), std::move(solution.bias)});
  }
  progress.finish();
  CALLIE_ASSIGN_OR_RETURN(const auto heads, ExitHeads::create(file, model, context));
  const std::span<const int64_t> few = std::span(held_out.empty() ? rows : held_out).first(
      std::min<size_t>(4000, (held_out.empty() ? rows : held_out).size()));
  const auto fit_temperatures = [&](ExitFile& exits) -> Status {
    CALLIE_ASSIGN_OR_RETURN(const auto fitted, ExitHeads::create(exits, model, context));
    for (size_t k = 0; k < exits.exits.size(); ++k) {
      CALLIE_ASSIGN_OR_RETURN(exits.exits[k].temperature, fit_temperature(*fitted, static_cast<int>(k), features, few, context));
    }
    return ok_status();
  };
  CALLIE_RETURN_IF_ERROR(fit_temperatures(file));
  if (options.refine.positions <= 0) return file;

  ExitFile refined = file;
  for (size_t k = 0; k < file.exits.size(); ++k) {
    CALLIE_RETURN_IF_ERROR(refine_exit(*heads, static_cast<int>(k), features, rows, options.refine,
                                       fmt::format("{}.{}", state_path, file.exits[k].layer), context, refined.exits[k]));
  }
  CALLIE_RETURN_IF_ERROR(fit_temperatures(refined));
  CALLIE_ASSIGN_OR_RETURN(const auto second, ExitHeads::create(refined, model, context));
  CALLIE_ASSIGN_OR_RETURN(const auto before, score_exits(*heads, features, few, context));
  CALLIE_ASSIGN_OR_RETURN(const auto after, score_exits(*second, features, few, context));
  for (size_t k = 0; k < file.exits.size(); ++k) {
    if (after[k].agreement > before[k].agreement) file.exits[k] = std::move(refined.exits[k]);
  }
  return file;
}

}  // namespace callie::tune
