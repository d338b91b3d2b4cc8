#include "report/html.h"

#include <gtest/gtest.h>

#include <cmath>

namespace callie::report {
namespace {

int count(const std::string& text, const std::string& part) {
  int n = 0;
  for (size_t at = 0; (at = text.find(part, at)) != std::string::npos; at += part.size()) ++n;
  return n;
}

TEST(Html, EscapesEverythingThatCouldBeMarkup) {
  EXPECT_EQ(escape("<b a=\"x\" c='y'>&</b>"), "&lt;b a=&quot;x&quot; c=&#39;y&#39;&gt;&amp;&lt;/b&gt;");
  EXPECT_EQ(escape(std::string("a\0\x01z", 4)), "az");
}

TEST(Html, PageIsSelfContained) {
  Page page("A <title>");
  page.heading("Part");
  page.table({"name", "ms"}, {{"x<y", "1.5"}, {"b", "20"}});
  page.figures({{"rate", "3.2"}});
  page.raw(line_chart({.title = "T", .x = "x", .y = "y"}, {{"s", {1, 2, 3}, {4, 5, NAN}}, {"r", {1, 2}, {1, 2}}}));
  const std::string html = page.html();
  EXPECT_NE(html.find("A &lt;title&gt;"), std::string::npos);
  EXPECT_NE(html.find("x&lt;y"), std::string::npos);
  EXPECT_EQ(html.find("http"), std::string::npos);
  EXPECT_EQ(html.find("<script"), std::string::npos);
  EXPECT_EQ(count(html, "<svg"), count(html, "</svg>"));
  EXPECT_EQ(html.find("nan"), std::string::npos);
  EXPECT_EQ(count(html, "<circle"), 4);
  EXPECT_NE(html.find("<td class=\"n\">20</td>"), std::string::npos);
}

TEST(Html, ChartsTakeDegenerateData) {
  for (const bool log : {false, true}) {
    const Axes axes{.title = "t", .log_x = log, .log_y = log};
    for (const std::string& svg :
         {line_chart(axes, {}), line_chart(axes, {{"a", {1}, {1}}}), line_chart(axes, {{"a", {0, 0}, {0, 0}}}),
          line_chart(axes, {{"a", {-1, 1e300}, {INFINITY, -1e300}}}), bar_chart(axes, {}, {}, true),
          bar_chart(axes, {"a"}, {{"s", {0}}}, false), gantt_chart(axes, {"l"}, {{0, 1, 2, 0, "i"}, {9, 1, 2, 0, ""}})}) {
      EXPECT_EQ(svg.find("nan"), std::string::npos) << svg;
      EXPECT_EQ(svg.find("inf"), std::string::npos) << svg;
      EXPECT_EQ(count(svg, "<svg"), 1);
    }
  }
}

TEST(Html, ShortNumbers) {
  EXPECT_EQ(short_number(0), "0");
  EXPECT_EQ(short_number(1234), "1234");
  EXPECT_EQ(short_number(12345), "12.3 k");
  EXPECT_EQ(short_number(0.001234), "0.00123");
  EXPECT_EQ(short_number(4.5e6), "4.5 M");
}

}  // namespace
}  // namespace callie::report
