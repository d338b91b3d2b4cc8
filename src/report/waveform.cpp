#include "report/waveform.h"

#include <algorithm>

#include <fmt/format.h>

#include "report/html.h"

namespace callie::report {
namespace {

constexpr int kRow = 26, kHigh = 16, kTop = 22, kChar = 7;

}  // namespace

std::string waveform(const std::vector<Wave>& waves, int marked, const std::string& label) {
  size_t name_chars = 5, cycles = 0, value_chars = 2;
  for (const Wave& wave : waves) {
    name_chars = std::max(name_chars, wave.name.size());
    cycles = std::max(cycles, wave.values.size());
    if (wave.is_bit) continue;
    for (const std::string& value : wave.values) value_chars = std::max(value_chars, value.size());
  }
  const int left = static_cast<int>(name_chars) * kChar + 14;
  const int step = std::max(34, static_cast<int>(value_chars) * kChar + 14);
  const int width = left + static_cast<int>(cycles) * step + 8;
  const int height = kTop + static_cast<int>(waves.size()) * kRow + 6;
  std::string out = fmt::format("<figure><svg role=\"img\" aria-label=\"{}\" viewBox=\"0 0 {} {}\" width=\"{}\" height=\"{}\">",
                                escape(label), width, height, width, height);
  if (marked >= 0) {
    out += fmt::format("<rect x=\"{}\" y=\"2\" width=\"{}\" height=\"{}\" class=\"f6\" opacity=\"0.16\"/>", left + marked * step, step, height - 4);
  }
  for (size_t c = 0; c < cycles; ++c) {
    const int x = left + static_cast<int>(c) * step;
    out += fmt::format("<line x1=\"{0}\" x2=\"{0}\" y1=\"{1}\" y2=\"{2}\" class=\"g\"/><text class=\"m\" x=\"{3}\" y=\"14\" text-anchor=\"middle\">{4}</text>",
                       x, kTop - 4, height - 4, x + step / 2, c);
  }
  for (size_t w = 0; w < waves.size(); ++w) {
    const Wave& wave = waves[w];
    const int low = kTop + static_cast<int>(w) * kRow + kHigh + 4, high = low - kHigh;
    out += fmt::format("<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>", left - 6, low - 3, escape(wave.name));
    std::string path;
    for (size_t c = 0; c < wave.values.size(); ++c) {
      const int x = left + static_cast<int>(c) * step;
      if (wave.is_bit) {
        const int y = wave.values[c] == "1" ? high : low;
        path += fmt::format("{}{} {} H{} ", c == 0 ? "M" : "L", x, y, x + step);
        continue;
      }
      // Equal neighbours share a box.
      size_t last = c;
      while (last + 1 < wave.values.size() && wave.values[last + 1] == wave.values[c]) ++last;
      const int end = left + static_cast<int>(last + 1) * step, middle = (low + high) / 2;
      path += fmt::format("M{} {} L{} {} H{} L{} {} L{} {} H{} Z ", x, middle, x + 3, high, end - 3, end, middle, end - 3, low, x + 3);
      out += fmt::format("<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>", (x + end) / 2, middle + 4, escape(wave.values[c]));
      c = last;
    }
    out += fmt::format("<path d=\"{}\" fill=\"none\" class=\"s0\" stroke-width=\"1.5\"/>", path);
  }
  return out + "</svg></figure>\n";
}

}  // namespace callie::report
