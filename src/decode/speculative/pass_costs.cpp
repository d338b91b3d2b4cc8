#include "decode/speculative/pass_costs.h"

#include <algorithm>
#include <iterator>

namespace callie::decode {
namespace {

// Widths whose ratio is kept, with a typical ratio: flat while memory is the limit, a line when arithmetic is.
struct Knot {
  int64_t rows;
  double ratio;
};
constexpr Knot kKnots[] = {{1, 1},     {2, 1.05},  {3, 1.1},   {4, 1.15}, {5, 1.3},  {6, 1.4},  {7, 1.5},  {8, 1.6},
                           {9, 1.8},   {10, 2.0},  {11, 2.1},  {12, 2.2}, {13, 2.4}, {14, 2.5}, {15, 2.6}, {16, 2.7},
                           {17, 2.9},  {24, 3.8},  {32, 5},    {48, 7},   {64, 9},   {96, 13},  {128, 17}, {256, 33},
                           {512, 65},  {1024, 130}};
constexpr size_t kN = std::size(kKnots);

constexpr double kScaleRate = 0.08;
constexpr double kRatioRate = 0.1;
constexpr double kLargestSurprise = 0.25;  // a sample moves the mean by no more than this share: pauses of the machine

// The knot at or below `rows`, never the last one, and how far `rows` is towards the next.
size_t knot_below(int64_t rows, double* towards_next) {
  size_t i = 0;
  while (i + 2 < kN && kKnots[i + 1].rows <= rows) ++i;
  *towards_next = static_cast<double>(rows - kKnots[i].rows) / static_cast<double>(kKnots[i + 1].rows - kKnots[i].rows);
  return i;
}

}  // namespace

PassCosts::PassCosts() : knot_samples_(kN, 0) {
  for (const Knot& knot : kKnots) ratios_.push_back(knot.ratio);
}

double PassCosts::ratio(int64_t rows) const {
  double towards_next;
  const size_t i = knot_below(std::max<int64_t>(rows, 1), &towards_next);
  return ratios_[i] + (ratios_[i + 1] - ratios_[i]) * towards_next;
}

double PassCosts::at(int64_t rows) const { return scale_ * ratio(rows); }

void PassCosts::add(int64_t rows, double seconds) {
  if (rows < 1 || !(seconds > 0)) return;
  double towards_next;
  size_t i = knot_below(rows, &towards_next);
  if (towards_next > 0.5) ++i;
  const double count = static_cast<double>(++knot_samples_[i]);
  if (++samples_ == 1) {
    scale_ = seconds / ratio(rows);
    return;
  }
  double surprise = seconds / at(rows) - 1;
  // Pauses and cold memory make a pass slower, never faster: the first samples pull down at once, but hardly up.
  if (surprise > 0 || (settled() && count >= kFirstSamples)) {
    surprise = std::clamp(surprise, -kLargestSurprise, kLargestSurprise);
  }
  if (!settled() && surprise < 0) {
    scale_ *= 1 + surprise;
    return;
  }
  if (i == 0) {
    // T(1) is the scale itself.
    if (settled()) scale_ *= 1 + std::max(kScaleRate, 1 / count) * surprise;
    return;
  }
  if (settled()) scale_ *= 1 + kScaleRate * surprise;
  // The first samples of a width count more, the typical ratio being a guess.
  ratios_[i] *= 1 + std::max(kRatioRate, 1 / (count + 1)) * surprise;
}

}  // namespace callie::decode
