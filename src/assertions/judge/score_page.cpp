#include "assertions/judge/score_page.h"

#include <algorithm>
#include <set>

#include "assertions/prove/witness.h"
#include "report/html.h"
#include "report/waveform.h"

namespace callie::assertions {
namespace {

const char* meaning(const std::string& key) {
  if (key == "S1") return "parses";
  if (key == "S2") return "names and expressions resolve";
  if (key == "F1") return "proven";
  if (key == "F2") return "proven, neither vacuous nor trivially true";
  if (key == "F3") return "equivalent to the reference";
  if (key == "F3_partial") return "equivalent, stronger or weaker";
  if (key == "F4") return "wrong designs caught";
  if (key == "F5") return "reference assertions implied";
  return "accepted: proven, meaningful, no finding";
}

std::string percent(double value) { return fmt::format("{:.1f} %", 100 * value); }

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> out(1);
  for (char c : text) {
    if (c == '\n') out.emplace_back();
    else out.back() += c;
  }
  if (out.size() > 1 && out.back().empty()) out.pop_back();
  return out;
}

// The answer with line numbers and one place marked.
std::string marked_text(const std::string& text, const Diagnostic* d) {
  std::string out = "<pre style=\"white-space:pre-wrap\">";
  const std::vector<std::string> lines = lines_of(text);
  for (size_t i = 0; i < lines.size(); ++i) {
    const int number = static_cast<int>(i) + 1;
    out += fmt::format("<span style=\"color:var(--muted)\">{:>3}  </span>", number);
    const std::string& line = lines[i];
    if (!d || d->in_module || number < d->line || number > d->end_line) {
      out += report::escape(line) + "\n";
      continue;
    }
    const size_t begin = number == d->line ? std::min<size_t>(static_cast<size_t>(d->column - 1), line.size()) : 0;
    size_t end = number == d->end_line ? std::min<size_t>(static_cast<size_t>(d->end_column - 1), line.size()) : line.size();
    end = std::max(end, begin);
    const std::string inside = begin == end ? "\u2038" : line.substr(begin, end - begin);
    out += fmt::format("{}<mark>{}</mark>{}\n", report::escape(line.substr(0, begin)), report::escape(inside), report::escape(line.substr(end)));
  }
  return out + "</pre>\n";
}

std::string drawn(const Witness& witness) {
  std::vector<report::Wave> waves;
  for (size_t s = 0; s < witness.signals.size() && waves.size() < 24; ++s) {
    report::Wave wave;
    wave.name = witness.signals[s].name;
    wave.is_bit = witness.signals[s].width == 1;
    for (const auto& cycle : witness.cycles) {
      const std::string literal = verilog_literal(cycle[s]);
      wave.values.push_back(wave.is_bit ? (cycle[s][0] ? "1" : "0") : literal.substr(literal.find('h') + 1));
    }
    waves.push_back(std::move(wave));
  }
  const int last = static_cast<int>(witness.cycles.size()) - 1;
  return report::waveform(waves, last, fmt::format("a run that refutes the assertion; it fails in cycle {}", last));
}

struct Finding {
  size_t answer;
  const Diagnostic* diagnostic;
  const AssertionJudgement* assertion;  // null: of the answer as a whole
};

}  // namespace

std::string score_page(const std::string& title, const std::vector<Task>& tasks, const std::vector<AnswerLine>& answers,
                       const std::vector<AnswerJudgement>& judged, int examples) {
  const ScoreSummary summary = summarize(judged);
  report::Page page(title);
  page.paragraph(fmt::format("{} answers to {} snippets, {} assertions. Every verdict is a proof or a run that refutes: two-state "
                             "semantics, from any start value where a register has no initializer.",
                             summary.answers, summary.snippets, summary.assertions));
  std::vector<std::pair<std::string, std::string>> figures;
  for (const auto& [key, label] : {std::pair{"S1", "answers parse"}, {"F1", "answers proven"}, {"accepted", "answers accepted"}, {"F5", "of the reference implied"}}) {
    if (const auto it = summary.by_answer.find(key); it != summary.by_answer.end()) figures.emplace_back(label, percent(it->second.mean));
  }
  page.figures(figures);

  page.heading("Rates");
  page.paragraph("Shares of answers, averaged over snippets; the interval is 95 % from drawing snippets again 2,000 times.");
  std::vector<std::vector<std::string>> rows;
  for (const char* key : {"S1", "S2", "F1", "F2", "F3", "F3_partial", "F4", "F5", "accepted"}) {
    const auto it = summary.by_answer.find(key);
    if (it == summary.by_answer.end()) continue;
    rows.push_back({key, meaning(key), percent(it->second.mean), percent(it->second.low), percent(it->second.high)});
  }
  for (const auto& [k, e] : summary.pass) {
    rows.push_back({"pass@" + std::to_string(k), "one of so many answers is accepted", percent(e.mean), percent(e.low), percent(e.high)});
  }
  page.table({"Stage", "Meaning", "Rate", "from", "to"}, rows);

  page.heading("Verdicts");
  std::vector<std::string> names;
  std::vector<double> counts;
  for (const auto& [verdict, count] : summary.verdicts) {
    names.push_back(verdict);
    counts.push_back(count);
  }
  if (!names.empty()) {
    page.raw(report::bar_chart({.title = "Assertions by verdict", .x = "verdict", .y = "assertions"}, names, {{"assertions", counts}}, false));
  }

  page.heading("Findings by class");
  rows.clear();
  for (const auto& [one, count] : summary.diagnostics) {
    rows.push_back({one, std::to_string(count), percent(static_cast<double>(count) / std::max(1, summary.answers))});
  }
  std::sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) { return std::stoi(a[1]) > std::stoi(b[1]); });
  page.table({"Class", "Answers", "Share"}, rows);

  std::map<std::string, std::vector<Finding>> by_class;
  for (size_t i = 0; i < judged.size(); ++i) {
    std::set<std::string> seen;
    const auto add = [&](const Diagnostic& d, const AssertionJudgement* one) {
      if (static_cast<int>(by_class[d.code].size()) < examples && seen.insert(d.code).second) by_class[d.code].push_back({i, &d, one});
    };
    for (const Diagnostic& d : judged[i].diagnostics) add(d, nullptr);
    for (const AssertionJudgement& one : judged[i].assertions) {
      for (const Diagnostic& d : one.diagnostics) add(d, &one);
    }
  }
  std::map<std::string, const Task*> task_by_id;
  for (const Task& task : tasks) task_by_id[task.id] = &task;
  page.heading("Examples");
  for (const auto& [one, findings] : by_class) {
    page.heading(one, 3);
    for (const Finding& f : findings) {
      const AnswerJudgement& answer = judged[f.answer];
      page.paragraph(fmt::format("{}, sample {}{}: {}", answer.id, answer.sample,
                                 f.assertion ? fmt::format(", assertion {} ({})", f.assertion->name, f.assertion->verdict) : "",
                                 f.diagnostic->message));
      if (const auto it = task_by_id.find(answer.id); it != task_by_id.end()) {
        page.raw("<details><summary>the code</summary>");
        page.raw(marked_text(it->second->module, nullptr));
        page.raw("</details>\n");
      }
      page.raw(marked_text(answers[f.answer].text, f.diagnostic));
      if (f.assertion && f.assertion->witness) page.raw(drawn(*f.assertion->witness));
    }
  }
  return page.html();
}

}  // namespace callie::assertions
