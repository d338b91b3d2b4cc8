#include "tune/exit_refine.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <numeric>

#include "core/hash.h"
#include "core/interrupt.h"
#include "core/philox.h"
#include "core/progress.h"
#include "grad/adam.h"
#include "grad/tape.h"
#include "io/safetensors.h"
#include "tune/exit_batch.h"

namespace callie::tune {
namespace {

constexpr int64_t kSaveEvery = 200;  // steps

// U [rank, hidden] and V [hidden, rank] in one vector, and the optimizer's memory of them.
class Correction {
 public:
  Correction(int64_t hidden, int64_t rank, const ExitRefineOptions& options)
      : hidden_(hidden),
        rank_(rank),
        values_(2 * hidden * rank, 0),
        adam_({.learning_rate = options.learning_rate, .weight_decay = 0.01}, static_cast<int64_t>(values_.size())) {
    SequentialRng rng(1, Purpose::kWorkload);
    const double size = std::sqrt(3.0 / static_cast<double>(hidden));
    for (int64_t i = 0; i < hidden * rank; ++i) values_[i] = static_cast<float>((2 * rng.next_double() - 1) * size);
  }

  grad::Matrix<float> u() const { return part(0, rank_, hidden_); }
  grad::Matrix<float> v() const { return part(hidden_ * rank_, hidden_, rank_); }
  int64_t steps() const { return adam_.steps(); }

  void step(const grad::Matrix<float>& u, const grad::Matrix<float>& v) {
    std::vector<float> gradient = u.data;
    gradient.insert(gradient.end(), v.data.begin(), v.data.end());
    adam_.step(gradient, values_);
  }

  void add_to(std::vector<float>& map) const {
    const float* v = values_.data() + hidden_ * rank_;
    for (int64_t o = 0; o < hidden_; ++o) {
      for (int64_t r = 0; r < rank_; ++r) {
        for (int64_t i = 0; i < hidden_; ++i) map[o * hidden_ + i] += v[o * rank_ + r] * values_[r * hidden_ + i];
      }
    }
  }

  Status save(const std::string& path, const std::string& key) const {
    const auto record = [](const char* name, std::span<const float> x) {
      return io::TensorRecord{name, tensor::StorageType::kF32, {static_cast<int64_t>(x.size())},
                              {reinterpret_cast<const uint8_t*>(x.data()), x.size_bytes()}};
    };
    const io::TensorRecord records[] = {record("values", values_), record("first_moment", adam_.first_moment()),
                                        record("second_moment", adam_.second_moment())};
    const std::pair<std::string, std::string> metadata[] = {{"key", key}, {"steps", fmt::format("{}", steps())}};
    return io::write_safetensors(path, records, metadata);
  }

  // Takes a saved state of the same training; leaves everything as it is when there is none.
  void load(const std::string& path, const std::string& key) {
    const auto file = io::SafetensorsFile::open(path);
    if (!file.ok()) return;
    int64_t steps = -1;
    std::string found;
    for (const auto& [name, value] : (*file)->metadata()) {
      if (name == "key") found = value;
      if (name == "steps") steps = std::atoll(value.c_str());
    }
    if (found != key) return;
    std::vector<std::vector<float>> parts;
    for (const char* name : {"values", "first_moment", "second_moment"}) {
      const io::TensorRecord* record = (*file)->find(name);
      if (!record || record->data.size() != values_.size() * sizeof(float)) return;
      std::memcpy(parts.emplace_back(values_.size()).data(), record->data.data(), record->data.size());
    }
    if (adam_.restore(steps, parts[1], parts[2]).ok()) values_ = std::move(parts[0]);
  }

 private:
  grad::Matrix<float> part(int64_t begin, int64_t rows, int64_t cols) const {
    grad::Matrix<float> out(rows, cols);
    std::copy_n(values_.begin() + begin, rows * cols, out.data.begin());
    return out;
  }

  int64_t hidden_, rank_;
  std::vector<float> values_;
  grad::Adam adam_;
};

// Places in the part of the head that a batch's softmax goes over, ascending.
std::vector<int32_t> candidates(const ExitBatch& batch, std::span<const float> logits, std::span<const int64_t> targets,
                                const ExitRefineOptions& options, SequentialRng& rng) {
  const int64_t width = batch.width();
  std::vector<int32_t> out(targets.begin(), targets.end()), order(width);
  for (size_t i = 0; i < targets.size(); ++i) {
    const float* row = logits.data() + static_cast<int64_t>(i) * width;
    std::iota(order.begin(), order.end(), 0);
    const auto n = std::min<int64_t>(options.best, width);
    std::partial_sort(order.begin(), order.begin() + n, order.end(), [row](int32_t a, int32_t b) {
      return row[a] != row[b] ? row[a] > row[b] : a < b;
    });
    out.insert(out.end(), order.begin(), order.begin() + n);
  }
  for (int i = 0; i < options.others; ++i) out.push_back(static_cast<int32_t>(rng.next_below(width)));
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

}  // namespace

Status refine_exit(const ExitHeads& heads, int exit, const ExitFeatures& features, std::span<const int64_t> rows,
                   const ExitRefineOptions& options, const std::string& state_path, const Context& context,
                   ExitWeights& weights) {
  const int64_t hidden = features.hidden();
  const int64_t steps = options.positions / options.batch;
  const tensor::PackedMatrix& head = heads.model().decoder().weights().head.parts.front();
  ExitBatch batch(heads, context);
  std::vector<int64_t> usable;
  for (const int64_t row : rows) {
    if (batch.place(features.chosen(row)) >= 0) usable.push_back(row);
  }
  if (usable.empty() || steps < 1) return ok_status();
  const std::string key = fmt::format(
      "{:016x} {} {} {} {} {}",
      xxh64({reinterpret_cast<const uint8_t*>(weights.map.data()), weights.map.size() * sizeof(float)}), usable.size(),
      options.rank, options.batch, options.best, options.others);
  Correction correction(hidden, options.rank, options);
  correction.load(state_path, key);

  const int64_t k = std::find(features.layers().begin(), features.layers().end(), weights.layer) - features.layers().begin();
  Progress progress(fmt::format("refining the exit after layer {}", weights.layer), steps, "steps");
  grad::Tape<float> tape;
  while (correction.steps() < steps) {
    if (interrupted() || correction.steps() % kSaveEvery == 0) CALLIE_RETURN_IF_ERROR(correction.save(state_path, key));
    if (interrupted()) return Status(StatusCode::kCancelled, "");
    SequentialRng rng(static_cast<uint64_t>(correction.steps()) + 2, Purpose::kWorkload);
    std::vector<int64_t> chosen(options.batch), targets(options.batch);
    for (int i = 0; i < options.batch; ++i) {
      chosen[i] = usable[rng.next_below(usable.size())];
      targets[i] = batch.place(features.chosen(chosen[i]));
    }
    const auto logits = batch.run(features, exit, chosen);
    const std::vector<int32_t> places = candidates(batch, logits, targets, options, rng);
    grad::Matrix<float> tokens(static_cast<int64_t>(places.size()), hidden), x(options.batch, hidden), mapped(options.batch, hidden);
    for (size_t i = 0; i < places.size(); ++i) head.unpack_row(batch.token(places[i]), tokens.row(static_cast<int64_t>(i)));
    for (int i = 0; i < options.batch; ++i) features.exit_input(chosen[i], k, x.row(i));
    std::copy_n(batch.mapped().begin(), mapped.data.size(), mapped.data.begin());
    std::vector<int32_t> target_places;
    for (const int64_t target : targets) {
      target_places.push_back(static_cast<int32_t>(std::lower_bound(places.begin(), places.end(), target) - places.begin()));
    }
    tape.clear();
    const auto u = tape.parameter(correction.u()), v = tape.parameter(correction.v());
    const auto delta = tape.linear(tape.linear(tape.constant(std::move(x)), u), v);
    const auto y = tape.add(tape.constant(std::move(mapped)), delta);
    const auto scaled = tape.scale(tape.frozen_linear(y, tokens), 1 / weights.temperature);
    tape.backward(tape.cross_entropy(scaled, target_places));
    correction.step(tape.gradient(u), tape.gradient(v));
    progress.update(correction.steps());
  }
  progress.finish();
  CALLIE_RETURN_IF_ERROR(correction.save(state_path, key));
  correction.add_to(weights.map);
  return ok_status();
}

}  // namespace callie::tune
