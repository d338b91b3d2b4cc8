#include "assertions/judge/score.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <optional>
#include <set>

#include "assertions/prove/witness.h"
#include "core/interrupt.h"
#include "core/philox.h"

namespace callie::assertions {
namespace {

constexpr int kResamples = 2000;

using Value = std::optional<double>;

double share(const AnswerJudgement& answer, bool AssertionJudgement::*flag) {
  if (answer.assertions.empty()) return 0;
  return std::all_of(answer.assertions.begin(), answer.assertions.end(), [&](const auto& a) { return a.*flag; });
}

std::map<std::string, Value> figures(const AnswerJudgement& a) {
  std::map<std::string, Value> out;
  out["S1"] = share(a, &AssertionJudgement::parses);
  out["S2"] = share(a, &AssertionJudgement::resolves);
  out["F1"] = share(a, &AssertionJudgement::proven);
  out["F2"] = share(a, &AssertionJudgement::meaningful);
  out["accepted"] = a.accepted;
  if (a.relation != Relation::kNone || a.implied) {
    out["F3"] = a.relation == Relation::kFull;
    out["F3_partial"] = a.relation == Relation::kFull || a.relation == Relation::kStronger || a.relation == Relation::kWeaker;
  }
  out["F4"] = a.kills;
  out["F5"] = a.implied;
  return out;
}

// The mean over snippets and its percentile interval from drawing snippets with replacement.
Estimate estimate(const std::vector<double>& by_snippet, uint64_t seed) {
  Estimate out;
  if (by_snippet.empty()) return out;
  const auto n = by_snippet.size();
  for (double v : by_snippet) out.mean += v;
  out.mean /= static_cast<double>(n);
  SequentialRng random(seed, Purpose::kData, 8);
  std::vector<double> means(kResamples, 0);
  for (double& mean : means) {
    for (size_t i = 0; i < n; ++i) mean += by_snippet[random.next_below(n)];
    mean /= static_cast<double>(n);
  }
  std::sort(means.begin(), means.end());
  out.low = means[kResamples * 25 / 1000];
  out.high = means[kResamples * 975 / 1000 - 1];
  return out;
}

Json to_json(const Estimate& e) { return Json{{"mean", e.mean}, {"low", e.low}, {"high", e.high}}; }

}  // namespace

double pass_at_k(int n, int c, int k) {
  if (n - c < k) return 1;
  double miss = 1;
  for (int i = n - c + 1; i <= n; ++i) miss *= 1.0 - static_cast<double>(k) / i;
  return 1 - miss;
}

ScoreSummary summarize(const std::vector<AnswerJudgement>& answers, uint64_t seed) {
  ScoreSummary out;
  out.answers = static_cast<int>(answers.size());
  std::map<std::string, std::vector<const AnswerJudgement*>> by_id;
  for (const AnswerJudgement& a : answers) by_id[a.id].push_back(&a);
  out.snippets = static_cast<int>(by_id.size());

  std::map<std::string, std::vector<double>> values;
  size_t fewest = answers.size();
  for (const auto& [id, list] : by_id) {
    fewest = std::min(fewest, list.size());
    std::map<std::string, std::pair<double, int>> sums;
    for (const AnswerJudgement* a : list) {
      for (const auto& [key, value] : figures(*a)) {
        if (!value) continue;
        sums[key].first += *value;
        sums[key].second += 1;
      }
    }
    for (const auto& [key, sum] : sums) values[key].push_back(sum.first / sum.second);
  }
  for (const auto& [key, list] : values) out.by_answer[key] = estimate(list, seed);
  for (int k : {1, 2, 3, 4, 5, 8, 10, 16, 20, 32, 50, 100}) {
    if (answers.empty() || k > static_cast<int>(fewest)) break;
    std::vector<double> list;
    for (const auto& [id, samples] : by_id) {
      const auto passed = std::count_if(samples.begin(), samples.end(), [](const auto* a) { return a->accepted; });
      list.push_back(pass_at_k(static_cast<int>(samples.size()), static_cast<int>(passed), k));
    }
    out.pass[k] = estimate(list, seed);
  }

  for (const char* key : {"S1", "S2", "F1", "F2", "F3", "accepted"}) out.by_assertion[key] = 0;
  for (const AnswerJudgement& a : answers) {
    std::set<std::string> codes;
    for (const Diagnostic& d : a.diagnostics) codes.insert(d.code);
    for (const AssertionJudgement& one : a.assertions) {
      ++out.assertions;
      ++out.verdicts[one.verdict];
      if (one.relation != Relation::kNone) ++out.relations[std::string(name(one.relation))];
      out.by_assertion["S1"] += one.parses;
      out.by_assertion["S2"] += one.resolves;
      out.by_assertion["F1"] += one.proven;
      out.by_assertion["F2"] += one.meaningful;
      out.by_assertion["F3"] += one.relation == Relation::kFull;
      out.by_assertion["accepted"] += one.accepted;
      for (const Diagnostic& d : one.diagnostics) codes.insert(d.code);
    }
    for (const std::string& one : codes) ++out.diagnostics[one];
  }
  for (auto& [key, sum] : out.by_assertion) sum = out.assertions ? sum / out.assertions : 0;
  return out;
}

StatusOr<std::vector<AnswerJudgement>> judge_all(const std::vector<Task>& tasks, const std::vector<AnswerLine>& answers,
                                                 const JudgeOptions& options, ThreadPool& pool,
                                                 const std::function<void(int64_t)>& progress) {
  std::map<std::string, size_t> by_id;
  for (size_t i = 0; i < tasks.size(); ++i) by_id[tasks[i].id] = i;
  std::vector<std::vector<size_t>> groups(tasks.size());
  for (size_t i = 0; i < answers.size(); ++i) {
    const auto it = by_id.find(answers[i].id);
    if (it == by_id.end()) return data_loss("{}: no reference has the id '{}'", answers[i].line, answers[i].id);
    groups[it->second].push_back(i);
  }
  std::vector<AnswerJudgement> out(answers.size());
  std::atomic<size_t> next{0};
  std::atomic<int64_t> done{0};
  std::mutex mutex;
  pool.run([&](const Worker&) {
    for (size_t t = next++; t < tasks.size() && !interrupted(); t = next++) {
      if (groups[t].empty()) continue;
      const Judge judge(tasks[t], options);
      for (size_t i : groups[t]) {
        out[i] = judge.judge(answers[i].text);
        out[i].sample = answers[i].sample;
        const int64_t count = ++done;
        const std::lock_guard lock(mutex);
        if (progress) progress(count);
      }
    }
  });
  if (interrupted()) return Status(StatusCode::kCancelled, "stopped");
  return out;
}

Json to_json(const Diagnostic& d) {
  Json out{{"code", d.code}, {"severity", d.is_error ? "error" : "warning"}, {"message", d.message}};
  out["line"] = d.in_module ? 1 : d.line;
  out["column"] = d.in_module ? 1 : d.column;
  out["end_line"] = d.in_module ? 1 : d.end_line;
  out["end_column"] = d.in_module ? 1 : d.end_column;
  if (d.in_module) {
    out["module_line"] = d.line;
    out["module_column"] = d.column;
  }
  return out;
}

Json to_json(const AnswerJudgement& a) {
  const auto relation = [](Relation r) { return r == Relation::kNone ? Json(nullptr) : Json(std::string(name(r))); };
  Json out{{"id", a.id}, {"sample", a.sample}, {"accepted", a.accepted}, {"relation", relation(a.relation)}};
  out["F4"] = a.kills ? Json(*a.kills) : Json(nullptr);
  out["F5"] = a.implied ? Json(*a.implied) : Json(nullptr);
  out["diagnostics"] = Json::array();
  for (const Diagnostic& d : a.diagnostics) out["diagnostics"].push_back(to_json(d));
  out["assertions"] = Json::array();
  for (const AssertionJudgement& one : a.assertions) {
    Json row{{"name", one.name}, {"verdict", one.verdict}, {"relation", relation(one.relation)}, {"accepted", one.accepted}};
    row["reason"] = one.reason.empty() ? Json(nullptr) : Json(one.reason);
    row["line"] = one.line;
    row["column"] = one.column;
    row["witness"] = one.witness ? witness_json(*one.witness) : Json(nullptr);
    row["diagnostics"] = Json::array();
    for (const Diagnostic& d : one.diagnostics) row["diagnostics"].push_back(to_json(d));
    out["assertions"].push_back(std::move(row));
  }
  return out;
}

Json to_json(const ScoreSummary& s) {
  Json out;
  for (const char* key : {"S1", "S2", "F1", "F2", "F3", "F3_partial", "F4", "F5", "accepted"}) {
    const auto it = s.by_answer.find(key);
    out[key] = it == s.by_answer.end() ? Json(nullptr) : Json(it->second.mean);
  }
  for (const auto& [k, e] : s.pass) out["pass@" + std::to_string(k)] = e.mean;
  out["snippets"] = s.snippets;
  out["answers"] = s.answers;
  out["assertions"] = s.assertions;
  out["intervals"] = Json::object();
  for (const auto& [key, e] : s.by_answer) out["intervals"][key] = to_json(e);
  for (const auto& [k, e] : s.pass) out["intervals"]["pass@" + std::to_string(k)] = to_json(e);
  out["by_assertion"] = s.by_assertion;
  out["verdicts"] = s.verdicts;
  out["relations"] = s.relations;
  out["diagnostics"] = s.diagnostics;
  return out;
}

}  // namespace callie::assertions
