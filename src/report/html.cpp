#include "report/html.h"

#include <algorithm>
#include <cctype>
#include <cmath>

#include <fmt/format.h>

namespace callie::report {
namespace {

// Colours of series: distinguishable without colour vision in this order, with enough contrast on both backgrounds.
constexpr const char* kStyle = R"(
:root{color-scheme:light dark;--bg:#fff;--fg:#1b1f24;--muted:#5a6472;--line:#d5dae0;--card:#f5f7f9;
--c0:#1f6feb;--c1:#d1651b;--c2:#1a7f4b;--c3:#a03fb0;--c4:#b8860b;--c5:#0e8a9c;--c6:#c0392b;--c7:#64748b}
@media (prefers-color-scheme:dark){:root{--bg:#14171b;--fg:#e6e9ed;--muted:#9aa5b1;--line:#343b44;--card:#1d2228;
--c0:#6cb0ff;--c1:#ff9f5a;--c2:#5fd08f;--c3:#d68ae3;--c4:#e3b94f;--c5:#5cc8d7;--c6:#ff8a7a;--c7:#a3b0c0}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:1080px;padding:2rem 1.25rem 4rem;background:var(--bg);color:var(--fg);
font:15px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
h1{font-size:1.7rem;margin:0 0 .25rem}h2{font-size:1.25rem;margin:2.2rem 0 .6rem;border-bottom:1px solid var(--line);
padding-bottom:.25rem}h3{font-size:1.05rem;margin:1.4rem 0 .4rem}
p{margin:.5rem 0 .8rem;max-width:75ch}
pre{background:var(--card);border:1px solid var(--line);border-radius:6px;padding:.8rem;overflow:auto;font-size:12.5px}
.scroll{overflow-x:auto}
table{border-collapse:collapse;margin:.6rem 0 1rem;font-variant-numeric:tabular-nums;font-size:14px}
th,td{padding:.3rem .75rem;text-align:left;border-bottom:1px solid var(--line);white-space:nowrap}
th{color:var(--muted);font-weight:600}td.n,th.n{text-align:right}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:.7rem;margin:1rem 0}
.figures div{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:.6rem .8rem}
.figures b{display:block;font-size:1.25rem;font-variant-numeric:tabular-nums}.figures span{color:var(--muted);font-size:13px}
figure{margin:.8rem 0;display:inline-block;max-width:100%;vertical-align:top}
svg{max-width:100%;height:auto;font:12px system-ui,sans-serif}
svg text{fill:var(--fg)}svg .m{fill:var(--muted)}svg .g{stroke:var(--line);stroke-width:1}svg .a{stroke:var(--muted)}
.s0{stroke:var(--c0)}.s1{stroke:var(--c1)}.s2{stroke:var(--c2)}.s3{stroke:var(--c3)}.s4{stroke:var(--c4)}
.s5{stroke:var(--c5)}.s6{stroke:var(--c6)}.s7{stroke:var(--c7)}
.f0{fill:var(--c0)}.f1{fill:var(--c1)}.f2{fill:var(--c2)}.f3{fill:var(--c3)}.f4{fill:var(--c4)}.f5{fill:var(--c5)}
.f6{fill:var(--c6)}.f7{fill:var(--c7)}
@media print{body{max-width:none;padding:0}h2{break-after:avoid}figure,table{break-inside:avoid}}
)";

bool looks_numeric(std::string_view cell) {
  if (cell.empty() || cell == "-" || cell == "–") return true;
  bool digit = false;
  for (const char c : cell) {
    digit |= std::isdigit(static_cast<unsigned char>(c)) != 0;
    if (std::isalpha(static_cast<unsigned char>(c)) && c != 'k' && c != 'M' && c != 'e') return false;
  }
  return digit;
}

}  // namespace

std::string escape(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        if (static_cast<unsigned char>(c) >= 0x20 || c == '\n' || c == '\t') out += c;
    }
  }
  return out;
}

std::string short_number(double value) {
  if (!std::isfinite(value)) return "–";
  const double size = std::abs(value);
  if (size == 0) return "0";
  if (size >= 1e9) return fmt::format("{:.3g} G", value / 1e9);
  if (size >= 1e6) return fmt::format("{:.3g} M", value / 1e6);
  if (size >= 1e4) return fmt::format("{:.3g} k", value / 1e3);
  return fmt::format("{:.3g}", size >= 1000 ? std::round(value) : value).find('e') != std::string::npos
             ? fmt::format("{:.0f}", value)
             : fmt::format("{:.3g}", value);
}

Page::Page(std::string title) : title_(std::move(title)) {}

void Page::heading(std::string_view text, int level) {
  level = std::clamp(level, 2, 4);
  body_ += fmt::format("<h{0}>{1}</h{0}>\n", level, escape(text));
}
void Page::paragraph(std::string_view text) { body_ += fmt::format("<p>{}</p>\n", escape(text)); }
void Page::preformatted(std::string_view text) { body_ += fmt::format("<pre>{}</pre>\n", escape(text)); }
void Page::raw(std::string_view html) { body_ += html; }

void Page::figures(const std::vector<std::pair<std::string, std::string>>& items) {
  body_ += "<div class=\"figures\">";
  for (const auto& [name, value] : items) {
    body_ += fmt::format("<div><b>{}</b><span>{}</span></div>", escape(value), escape(name));
  }
  body_ += "</div>\n";
}

void Page::table(const std::vector<std::string>& header, const std::vector<std::vector<std::string>>& rows) {
  std::vector<bool> numeric(header.size(), !rows.empty());
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size() && i < numeric.size(); ++i) {
      if (!looks_numeric(row[i])) numeric[i] = false;
    }
  }
  body_ += "<div class=\"scroll\"><table><thead><tr>";
  for (size_t i = 0; i < header.size(); ++i) {
    body_ += fmt::format("<th{}>{}</th>", numeric[i] ? " class=\"n\"" : "", escape(header[i]));
  }
  body_ += "</tr></thead><tbody>\n";
  for (const auto& row : rows) {
    body_ += "<tr>";
    for (size_t i = 0; i < row.size(); ++i) {
      body_ += fmt::format("<td{}>{}</td>", i < numeric.size() && numeric[i] ? " class=\"n\"" : "", escape(row[i]));
    }
    body_ += "</tr>\n";
  }
  body_ += "</tbody></table></div>\n";
}

std::string Page::html() const {
  return fmt::format(
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
      "<title>{0}</title>\n<style>{1}</style></head>\n<body>\n<h1>{0}</h1>\n{2}</body></html>\n",
      escape(title_), kStyle, body_);
}

}  // namespace callie::report
