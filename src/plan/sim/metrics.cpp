#include "plan/sim/metrics.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace callie::plan {
namespace {

// Bin i > 0 holds values in [kSmallest * r^(i-1), kSmallest * r^i), r = 1.0005; bin 0 everything below.
constexpr double kSmallest = 1e-6, kRatio = 1.0005;
constexpr size_t kBins = 80'000;  // up to kSmallest * r^80000 = 2e11 ms

}  // namespace

void Series::count_in_bin(double value) {
  static const double kLog = 1 / std::log(kRatio);
  size_t bin = 0;
  if (value >= kSmallest) bin = 1 + static_cast<size_t>(std::log(value / kSmallest) * kLog);
  ++bins_[std::min(bin, kBins - 1)];
}

void Series::fold() {
  bins_.assign(kBins, 0);
  for (const double value : values_) count_in_bin(value);
  values_.clear();
  values_.shrink_to_fit();
}

void Series::add(double value) {
  ++count_;
  sum_ += value;
  max_ = std::max(max_, value);
  if (!bins_.empty()) {
    count_in_bin(value);
    return;
  }
  values_.push_back(value);
  selected_ = 0;
  if (values_.size() > kExact) fold();
}

double Series::percentile(double q) const {
  if (count_ == 0) return 0;
  const double position = q * static_cast<double>(count_ - 1);
  if (bins_.empty()) {
    const auto low = static_cast<size_t>(position);
    const auto begin = values_.begin();
    // Quantiles are mostly asked in ascending order: each narrows the range of the next.
    const bool above = low >= selected_;
    const auto first = above ? begin + static_cast<std::ptrdiff_t>(selected_) : begin;
    const auto last = above ? values_.end() : begin + static_cast<std::ptrdiff_t>(selected_) + 1;
    const auto at = begin + static_cast<std::ptrdiff_t>(low);
    std::nth_element(first, at, last);
    selected_ = low;
    const double next = at + 1 < last ? *std::min_element(at + 1, last) : *at;
    return *at + (position - static_cast<double>(low)) * (next - *at);
  }
  int64_t below = 0;
  for (size_t i = 0; i < kBins; ++i) {
    if (static_cast<double>(below + bins_[i]) > position) {
      if (i == 0) return 0;
      const double inside = (position - static_cast<double>(below)) / static_cast<double>(bins_[i]);
      return std::min(kSmallest * std::pow(kRatio, static_cast<double>(i - 1) + inside), max_);
    }
    below += bins_[i];
  }
  return max_;
}

double Series::share_below(double limit) const {
  if (count_ == 0) return 1;
  if (bins_.empty()) {
    const auto below = std::count_if(values_.begin(), values_.end(), [&](double value) { return value <= limit; });
    return static_cast<double>(below) / static_cast<double>(values_.size());
  }
  int64_t below = 0;
  for (size_t i = 0; i < kBins && kSmallest * std::pow(kRatio, static_cast<double>(i)) <= limit; ++i) below += bins_[i];
  return static_cast<double>(below) / static_cast<double>(count_);
}

}  // namespace callie::plan
