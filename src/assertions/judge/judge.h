#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "assertions/dataset/task.h"
#include "assertions/judge/bench.h"

/// The judge of assertions that a model wrote: stages S1 (parses), S2 (names and expressions resolve), F1 (proven),
/// F2 (neither vacuous nor trivially true), F3 (relation to the reference), F4 (wrong designs it catches), F5 (share
/// of the reference's assertions that it implies). docs/assertions.md states what each means.
namespace callie::assertions {

struct JudgeOptions {
  double time_limit_s = 5;    ///< for each assertion and question
  bool relations = true;      ///< F3 and F5
  bool wrong_designs = true;  ///< F4
};

enum class Relation { kNone, kFull, kStronger, kWeaker, kIncomparable };
/// "full", "stronger", "weaker", "incomparable"; empty for kNone.
std::string_view name(Relation relation);

struct AssertionJudgement {
  std::string name;
  std::string verdict;      ///< as of `prove`, or "invalid": does not parse or resolve
  std::string method, reason;
  int depth = 0;
  Relation relation = Relation::kNone;
  bool parses = false, resolves = false, proven = false, meaningful = false, accepted = false;
  std::optional<Witness> witness;
  std::vector<Diagnostic> diagnostics;
  int line = 1, column = 1;
};

struct AnswerJudgement {
  std::string id;
  int sample = 0;
  bool accepted = false;
  Relation relation = Relation::kNone;   ///< of all proven assertions together
  std::optional<double> kills, implied;  ///< F4, F5; none: nothing to kill, no obligations
  std::vector<Diagnostic> diagnostics;   ///< of the answer as a whole
  std::vector<AssertionJudgement> assertions;
};

/// Judges answers to one reference. Thread-safe.
class Judge {
 public:
  /// A module that does not parse or elaborate is not an error: every answer gets a diagnostic about it. Where only a
  /// ';' is missing it is put in, so that the rest can be judged.
  Judge(const Task& task, const JudgeOptions& options);
  ~Judge();
  Judge(Judge&&) noexcept;

  AnswerJudgement judge(const std::string& answer) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace callie::assertions
