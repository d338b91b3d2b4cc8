#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "report/html.h"

namespace callie::report {
namespace {

constexpr int kLeft = 64, kRight = 16, kTop = 34, kBottom = 46;

/// One axis: from data to pixels, with its ticks.
struct Scale {
  double low = 0, high = 1, from = 0, to = 1;
  bool log = false;
  std::vector<double> ticks;

  double operator()(double v) const {
    const double a = log ? std::log10(std::max(v, 1e-300)) : v;
    const double l = log ? std::log10(low) : low, h = log ? std::log10(high) : high;
    return from + (a - l) / (h - l) * (to - from);
  }
};

Scale make_scale(double low, double high, bool log, double from, double to) {
  Scale s;
  s.from = from;
  s.to = to;
  s.log = log && low > 0;
  if (!(high > low)) {
    high = low > 0 ? low * 1.1 : low + 1;
    if (low > 0) low *= 0.9;
  }
  if (s.log) {
    const double first = std::floor(std::log10(low)), last = std::ceil(std::log10(high));
    s.low = low;
    s.high = high;
    for (double e = first; e <= last; ++e) {
      for (const double m : {1.0, 2.0, 5.0}) {
        if (last - first > 2 && m != 1.0) continue;
        const double t = m * std::pow(10, e);
        if (t >= low * 0.999 && t <= high * 1.001) s.ticks.push_back(t);
      }
    }
    if (s.ticks.size() < 3) {  // less than a decade: even steps, at their logarithmic places
      const Scale even = make_scale(low, high, false, from, to);
      s.ticks.clear();
      for (const double t : even.ticks) {
        if (t >= low * 0.999 && t <= high * 1.001) s.ticks.push_back(t);
      }
    }
    return s;
  }
  const double raw = (high - low) / 5, power = std::pow(10, std::floor(std::log10(raw)));
  double step = 10 * power;
  for (const double m : {1.0, 2.0, 2.5, 5.0}) {
    if (m * power >= raw) {
      step = m * power;
      break;
    }
  }
  s.low = std::floor(low / step) * step;
  s.high = std::ceil(high / step) * step;
  for (double t = s.low; t <= s.high + step * 0.01; t += step) s.ticks.push_back(std::abs(t) < step * 1e-6 ? 0 : t);
  return s;
}

struct Range {
  double low = std::numeric_limits<double>::infinity(), high = -std::numeric_limits<double>::infinity();
  void add(double v) {
    if (!std::isfinite(v)) return;
    low = std::min(low, v);
    high = std::max(high, v);
  }
  bool empty() const { return !(low <= high); }
};

std::string open_svg(const Axes& a, int extra) {
  return fmt::format(
      "<figure><svg role=\"img\" aria-label=\"{0}\" width=\"{1}\" height=\"{2}\" viewBox=\"0 0 {1} {2}\">"
      "<text x=\"{3}\" y=\"18\" font-weight=\"600\">{0}</text>\n",
      escape(a.title), a.width, a.height + extra, kLeft);
}

std::string grid(const Axes& a, const Scale& x, const Scale& y, bool x_ticks = true) {
  std::string out;
  const int bottom = a.height - kBottom, right = a.width - kRight;
  for (const double t : y.ticks) {
    out += fmt::format(
        "<line class=\"g\" x1=\"{}\" x2=\"{}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/><text class=\"m\" x=\"{}\" y=\"{:.1f}\" "
        "text-anchor=\"end\">{}</text>\n",
        kLeft, right, y(t), y(t), kLeft - 6, y(t) + 4, short_number(t));
  }
  if (x_ticks) {
    for (const double t : x.ticks) {
      out += fmt::format("<text class=\"m\" x=\"{:.1f}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n", x(t), bottom + 16,
                         short_number(t));
    }
  }
  out += fmt::format("<line class=\"a\" x1=\"{0}\" x2=\"{1}\" y1=\"{2}\" y2=\"{2}\"/>", kLeft, right, bottom);
  out += fmt::format("<text class=\"m\" x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n", (kLeft + right) / 2,
                     bottom + 34, escape(a.x));
  out += fmt::format("<text class=\"m\" transform=\"translate(14 {}) rotate(-90)\" text-anchor=\"middle\">{}</text>\n",
                     (kTop + bottom) / 2, escape(a.y));
  return out;
}

std::string legend(const Axes& a, const std::vector<std::string>& names, int& rows) {
  rows = 0;
  if (names.size() < 2) return "";
  std::string out;
  int x = kLeft, y = a.height + 6;
  rows = 1;
  for (size_t i = 0; i < names.size(); ++i) {
    const int width = 26 + 7 * static_cast<int>(names[i].size());
    if (x + width > a.width && x > kLeft) {
      x = kLeft;
      y += 18;
      ++rows;
    }
    out += fmt::format("<rect class=\"f{}\" x=\"{}\" y=\"{}\" width=\"12\" height=\"4\"/><text x=\"{}\" y=\"{}\">{}</text>\n",
                       i % 8, x, y - 2, x + 17, y + 4, escape(names[i]));
    x += width + 10;
  }
  return out;
}

}  // namespace

std::string line_chart(const Axes& a, const std::vector<Series>& series) {
  Range rx, ry;
  std::vector<std::string> names;
  for (const Series& s : series) {
    names.push_back(s.name);
    for (size_t i = 0; i < s.x.size() && i < s.y.size(); ++i) {
      if (!std::isfinite(s.x[i]) || !std::isfinite(s.y[i])) continue;
      if ((a.log_x && s.x[i] <= 0) || (a.log_y && s.y[i] <= 0)) continue;
      rx.add(s.x[i]);
      ry.add(s.y[i]);
    }
  }
  int rows = 0;
  const std::string key = legend(a, names, rows);
  std::string out = open_svg(a, rows * 18);
  if (rx.empty()) return out + fmt::format("<text x=\"{}\" y=\"60\">no data</text></svg></figure>\n", kLeft);
  if (a.from_zero && !a.log_y) ry.add(0);
  const Scale x = make_scale(rx.low, rx.high, a.log_x, kLeft, a.width - kRight);
  const Scale y = make_scale(ry.low, ry.high, a.log_y, a.height - kBottom, kTop);
  out += grid(a, x, y);
  for (size_t k = 0; k < series.size(); ++k) {
    const Series& s = series[k];
    std::string path, dots;
    const size_t n = std::min(s.x.size(), s.y.size()), step = std::max<size_t>(1, n / 400);
    const bool mark = s.points || n <= 60;
    for (size_t i = 0; i < n; i += (i + step < n || i == n - 1) ? step : n - 1 - i) {
      if (!std::isfinite(s.x[i]) || !std::isfinite(s.y[i])) continue;
      if ((a.log_x && s.x[i] <= 0) || (a.log_y && s.y[i] <= 0)) continue;
      path += fmt::format("{}{:.1f} {:.1f}", path.empty() ? "M" : "L", x(s.x[i]), y(s.y[i]));
      if (mark) {
        dots += fmt::format("<circle class=\"f{}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3\"><title>{}: {}, {}</title></circle>",
                            k % 8, x(s.x[i]), y(s.y[i]), escape(s.name), short_number(s.x[i]), short_number(s.y[i]));
      }
    }
    if (!s.points) out += fmt::format("<path class=\"s{}\" fill=\"none\" stroke-width=\"2\" d=\"{}\"/>\n", k % 8, path);
    out += dots;
  }
  return out + key + "</svg></figure>\n";
}

std::string bar_chart(const Axes& a, const std::vector<std::string>& categories,
                      const std::vector<std::pair<std::string, std::vector<double>>>& values, bool stacked) {
  Range ry;
  ry.add(0);
  std::vector<std::string> names;
  for (const auto& [name, v] : values) {
    names.push_back(name);
    for (const double y : v) ry.add(y);
  }
  if (stacked) {
    for (size_t c = 0; c < categories.size(); ++c) {
      double sum = 0;
      for (const auto& [name, v] : values) sum += c < v.size() && std::isfinite(v[c]) ? v[c] : 0;
      ry.add(sum);
    }
  }
  int rows = 0;
  const std::string key = legend(a, names, rows);
  std::string out = open_svg(a, rows * 18);
  if (categories.empty()) return out + "</svg></figure>\n";
  const Scale y = make_scale(ry.low, ry.high, false, a.height - kBottom, kTop);
  out += grid(a, Scale{}, y, false);
  const double slot = static_cast<double>(a.width - kRight - kLeft) / static_cast<double>(categories.size());
  for (size_t c = 0; c < categories.size(); ++c) {
    const double left = kLeft + slot * static_cast<double>(c) + slot * 0.12, wide = slot * 0.76;
    double base = 0;
    for (size_t k = 0; k < values.size(); ++k) {
      const double v = c < values[k].second.size() ? values[k].second[c] : 0;
      if (!std::isfinite(v)) continue;
      const double top = stacked ? base + v : v, bottom = stacked ? base : 0;
      const double width = stacked ? wide : wide / static_cast<double>(values.size());
      const double at = stacked ? left : left + width * static_cast<double>(k);
      out += fmt::format(
          "<rect class=\"f{}\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\"><title>{}, {}: {}</title></rect>",
          k % 8, at, y(std::max(top, bottom)), std::max(width - 1, 1.0), std::abs(y(top) - y(bottom)),
          escape(categories[c]), escape(values[k].first), short_number(v));
      base = top;
    }
    out += fmt::format("<text class=\"m\" x=\"{:.1f}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n", left + wide / 2,
                       a.height - kBottom + 16, escape(categories[c]));
  }
  return out + key + "</svg></figure>\n";
}

std::string gantt_chart(const Axes& a, const std::vector<std::string>& lanes, const std::vector<Interval>& intervals) {
  Range rx;
  for (const Interval& i : intervals) {
    rx.add(i.begin);
    rx.add(i.end);
  }
  std::string out = open_svg(a, 0);
  if (rx.empty() || lanes.empty()) return out + "</svg></figure>\n";
  const Scale x = make_scale(rx.low, rx.high, false, kLeft, a.width - kRight);
  const double row = static_cast<double>(a.height - kTop - kBottom) / static_cast<double>(lanes.size());
  out += grid(a, x, Scale{});
  for (size_t l = 0; l < lanes.size(); ++l) {
    out += fmt::format("<text class=\"m\" x=\"{}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>\n", kLeft - 6,
                       kTop + row * (static_cast<double>(l) + 0.5) + 4, escape(lanes[l].substr(0, 10)));
  }
  for (const Interval& i : intervals) {
    if (i.lane < 0 || i.lane >= static_cast<int>(lanes.size())) continue;
    out += fmt::format("<rect class=\"f{}\" x=\"{:.2f}\" y=\"{:.1f}\" width=\"{:.2f}\" height=\"{:.1f}\"><title>{}</title></rect>",
                       std::abs(i.colour) % 8, x(i.begin), kTop + row * i.lane + 1, std::max(x(i.end) - x(i.begin), 0.4),
                       std::max(row - 2, 1.0), escape(i.label));
  }
  return out + "</svg></figure>\n";
}

}  // namespace callie::report
