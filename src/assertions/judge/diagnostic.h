#pragma once

#include <string>
#include <string_view>
#include <vector>

/// What the judge has to say about an answer. Codes are stable: programs and repair prompts may rely on them.
namespace callie::assertions {

struct Diagnostic {
  std::string code;
  bool is_error = true;     ///< an error keeps an answer from being accepted; a warning does not
  std::string message;      ///< one line
  int line = 1, column = 1; ///< in the answer, counted from 1
  int end_line = 1, end_column = 1;  ///< behind the last character
  bool in_module = false;   ///< about the code that was to be asserted: line and column are the module's
};

namespace code {

// The defects of published sets.
inline constexpr std::string_view kMissingSemicolon = "missing-semicolon";
inline constexpr std::string_view kNameReuse = "name-reuse";
inline constexpr std::string_view kClockInExpression = "clock-in-expression";
inline constexpr std::string_view kOrJoinedDefault = "or-joined-default";
inline constexpr std::string_view kOverlapOnRegister = "overlap-on-register";
inline constexpr std::string_view kXLiteral = "x-literal";
inline constexpr std::string_view kSiblingAsNested = "sibling-as-nested";
inline constexpr std::string_view kOverwrittenSource = "overwritten-source";
inline constexpr std::string_view kSelfAssignedCondition = "self-assigned-condition";
inline constexpr std::string_view kMixedAssignments = "mixed-assignments";

// Reading an answer.
inline constexpr std::string_view kNoAssertion = "no-assertion";
inline constexpr std::string_view kSyntax = "syntax";
inline constexpr std::string_view kUnbalanced = "unbalanced-parenthesis";
inline constexpr std::string_view kProse = "prose";
inline constexpr std::string_view kNotAsserted = "not-asserted";
inline constexpr std::string_view kAssumption = "assumption";
inline constexpr std::string_view kDrivesDesign = "drives-design";

// Meaning.
inline constexpr std::string_view kUnknownName = "unknown-name";
inline constexpr std::string_view kInvalidExpression = "invalid-expression";
inline constexpr std::string_view kWidthMismatch = "width-mismatch";
inline constexpr std::string_view kUnclocked = "unclocked";
inline constexpr std::string_view kUnsupported = "unsupported";
inline constexpr std::string_view kModule = "module";

// Verdicts and their causes.
inline constexpr std::string_view kRefuted = "refuted";
inline constexpr std::string_view kVacuous = "vacuous";
inline constexpr std::string_view kTriviallyTrue = "trivially-true";
inline constexpr std::string_view kUndetermined = "undetermined";
inline constexpr std::string_view kMissingPast = "missing-past";
inline constexpr std::string_view kDelayWithoutRegister = "delay-without-register";
inline constexpr std::string_view kWrongClockEdge = "wrong-clock-edge";
inline constexpr std::string_view kMissingReset = "missing-reset";

}  // namespace code

}  // namespace callie::assertions
