#include "plan/workload/distribution.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numbers>

namespace callie::plan {
namespace {

std::string_view trim(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

StatusOr<double> parse_number(std::string_view text) {
  text = trim(text);
  if (text.starts_with('.') || text.empty()) {
    std::string padded = "0";
    padded += text;
    double value = 0;
    const auto [end, problem] = std::from_chars(padded.data(), padded.data() + padded.size(), value);
    if (text.empty() || problem != std::errc() || end != padded.data() + padded.size()) {
      return invalid_argument("\"{}\" is not a number", text);
    }
    return value;
  }
  double value = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (problem != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) {
    return invalid_argument("\"{}\" is not a number", text);
  }
  return value;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (true) {
    const size_t at = text.find(separator);
    parts.push_back(trim(text.substr(0, at)));
    if (at == std::string_view::npos) return parts;
    text.remove_prefix(at + 1);
  }
}

double normal(double u1, double u2) { return std::sqrt(-2 * std::log(u1)) * std::cos(2 * std::numbers::pi * u2); }

/// Gamma with shape k and mean 1 by the Wilson-Hilferty cube for k >= 1, and exactly by inversion of the series below;
/// Newton steps on the regularised incomplete gamma function make both exact to 1e-9.
double gamma_quantile(double shape, double u) {
  const auto cdf = [shape](double x) {
    double term = 1 / shape, sum = term;
    for (int n = 1; n < 2000; ++n) {
      term *= x / (shape + n);
      sum += term;
      if (term < sum * 1e-15) break;
    }
    return sum * std::exp(-x + shape * std::log(x) - std::lgamma(shape));
  };
  double low = 0, high = shape + 20 * std::sqrt(shape) + 20;
  for (int i = 0; i < 60; ++i) {
    const double middle = (low + high) / 2;
    (cdf(middle) < u ? low : high) = middle;
  }
  return (low + high) / 2;
}

}  // namespace

Distribution Distribution::fixed(double value) {
  Distribution d;
  d.a_ = value;
  return d;
}

StatusOr<Distribution> Distribution::parse(std::string_view text) {
  text = trim(text);
  Distribution d;
  const size_t open = text.find('(');
  if (open == std::string_view::npos) {
    CALLIE_ASSIGN_OR_RETURN(d.a_, parse_number(text));
    if (d.a_ < 0) return invalid_argument("{} is negative", text);
    return d;
  }
  if (text.back() != ')') return invalid_argument("\"{}\": no closing parenthesis", text);
  const std::string_view name = trim(text.substr(0, open));
  const std::vector<std::string_view> parts = split(text.substr(open + 1, text.size() - open - 2), ',');
  if (name == "pmf") {
    d.kind_ = Kind::kPmf;
    double sum = 0;
    for (const std::string_view part : parts) {
      const size_t colon = part.find(':');
      if (colon == std::string_view::npos) return invalid_argument("pmf: \"{}\" is not value:weight", part);
      CALLIE_ASSIGN_OR_RETURN(const double value, parse_number(part.substr(0, colon)));
      CALLIE_ASSIGN_OR_RETURN(const double weight, parse_number(part.substr(colon + 1)));
      if (value < 0 || weight < 0) return invalid_argument("pmf: \"{}\" is negative", part);
      sum += weight;
      d.values_.push_back(value);
      d.cumulative_.push_back(sum);
    }
    if (!(sum > 0)) return invalid_argument("pmf: the weights sum to 0");
    for (double& c : d.cumulative_) c /= sum;
    return d;
  }
  struct Form {
    const char* name;
    Kind kind;
    size_t arguments;
  };
  constexpr Form kForms[] = {{"fixed", Kind::kFixed, 1},         {"uniform", Kind::kUniform, 2},
                             {"exponential", Kind::kExponential, 1}, {"geometric", Kind::kGeometric, 1},
                             {"lognormal", Kind::kLognormal, 2}, {"normal", Kind::kNormal, 2},
                             {"gamma", Kind::kGamma, 2},         {"zipf", Kind::kZipf, 2}};
  for (const Form& form : kForms) {
    if (name != form.name) continue;
    if (parts.size() != form.arguments) {
      return invalid_argument("{} takes {} argument(s), not {}", name, form.arguments, parts.size());
    }
    d.kind_ = form.kind;
    CALLIE_ASSIGN_OR_RETURN(d.a_, parse_number(parts[0]));
    if (form.arguments == 2) {
      CALLIE_ASSIGN_OR_RETURN(d.b_, parse_number(parts[1]));
    }
    const bool may_be_negative = d.kind_ == Kind::kLognormal;
    if ((d.a_ < 0 && !may_be_negative) || d.b_ < 0) return invalid_argument("\"{}\": a negative argument", text);
    if (d.kind_ == Kind::kUniform && d.b_ < d.a_) return invalid_argument("\"{}\": the range is empty", text);
    if (d.kind_ == Kind::kGeometric && d.a_ < 1) return invalid_argument("\"{}\": the mean must be at least 1", text);
    if (d.kind_ == Kind::kGamma && d.b_ <= 0) return invalid_argument("\"{}\": the cv must be above 0", text);
    if (d.kind_ == Kind::kLognormal && (d.a_ > 100 || d.b_ > 10)) return invalid_argument("\"{}\": too wide", text);
    if (d.kind_ == Kind::kZipf) {
      if (d.b_ < 1 || d.b_ > 1e6) return invalid_argument("\"{}\": n outside 1..1000000", text);
      double sum = 0;
      for (int i = 1; i <= static_cast<int>(d.b_); ++i) {
        sum += std::pow(i, -d.a_);
        d.values_.push_back(i);
        d.cumulative_.push_back(sum);
      }
      for (double& c : d.cumulative_) c /= sum;
    }
    return d;
  }
  return invalid_argument("distribution \"{}\" does not exist", name);
}

double Distribution::sample(double u1, double u2) const {
  switch (kind_) {
    case Kind::kFixed:
      return a_;
    case Kind::kUniform:
      return a_ + (b_ - a_) * u1;
    case Kind::kExponential:
      return -a_ * std::log(u1);
    case Kind::kGeometric:
      if (a_ <= 1) return 1;
      return 1 + std::floor(std::log(u1) / std::log1p(-1 / a_));
    case Kind::kLognormal:
      return std::exp(a_ + b_ * normal(u1, u2));
    case Kind::kNormal:
      return std::max(a_ + b_ * normal(u1, u2), 0.0);
    case Kind::kGamma:
      return a_ * b_ * b_ * gamma_quantile(1 / (b_ * b_), u1);
    case Kind::kZipf:
    case Kind::kPmf: {
      const auto at = std::lower_bound(cumulative_.begin(), cumulative_.end(), u1);
      return values_[std::min<size_t>(static_cast<size_t>(at - cumulative_.begin()), values_.size() - 1)];
    }
  }
  return a_;
}

double Distribution::mean() const {
  switch (kind_) {
    case Kind::kUniform:
      return (a_ + b_) / 2;
    case Kind::kLognormal:
      return std::exp(a_ + b_ * b_ / 2);
    case Kind::kZipf:
    case Kind::kPmf: {
      double sum = 0, last = 0;
      for (size_t i = 0; i < values_.size(); ++i) {
        sum += values_[i] * (cumulative_[i] - last);
        last = cumulative_[i];
      }
      return sum;
    }
    default:
      return a_;
  }
}

}  // namespace callie::plan
