#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace callie::report {

/// Text with &, <, >, " and ' replaced, for content and attributes.
std::string escape(std::string_view text);

/// One self-contained page: no script from elsewhere, no network, readable in light and dark mode, printable.
class Page {
 public:
  explicit Page(std::string title);

  void heading(std::string_view text, int level = 2);
  void paragraph(std::string_view text);
  /// Fixed-width text, such as a configuration.
  void preformatted(std::string_view text);
  /// Cells are text; columns whose cells are numbers are aligned to the right.
  void table(const std::vector<std::string>& header, const std::vector<std::vector<std::string>>& rows);
  /// Short figures side by side: name and value.
  void figures(const std::vector<std::pair<std::string, std::string>>& items);
  /// Trusted markup, such as a chart.
  void raw(std::string_view html);

  std::string html() const;

 private:
  std::string title_, body_;
};

struct Series {
  std::string name;
  std::vector<double> x, y;
  bool points = false;  ///< marks without a line
};

struct Axes {
  std::string title, x, y;
  bool log_x = false, log_y = false;
  bool from_zero = true;  ///< the y axis starts at 0 (unless logarithmic)
  int width = 640, height = 320;
};

/// A line or scatter chart as inline SVG, with grid, ticks, legend and a tooltip on every point. Series longer than 400
/// points are thinned. Non-finite points are left out.
std::string line_chart(const Axes& axes, const std::vector<Series>& series);

/// Bars of `values[series][category]`, stacked or side by side.
std::string bar_chart(const Axes& axes, const std::vector<std::string>& categories,
                      const std::vector<std::pair<std::string, std::vector<double>>>& values, bool stacked);

/// Horizontal intervals on lanes, such as a schedule.
struct Interval {
  int lane = 0;
  double begin = 0, end = 0;
  int colour = 0;
  std::string label;
};
std::string gantt_chart(const Axes& axes, const std::vector<std::string>& lanes, const std::vector<Interval>& intervals);

/// A number for a label: 12 345, 1.23 k, 4.5 M; three significant digits.
std::string short_number(double value);

}  // namespace callie::report
