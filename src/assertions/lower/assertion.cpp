#include "assertions/lower/property.h"

/// Assertions of all kinds to checks.
namespace callie::assertions {

void Elaborator::lower_assertion(const ast::Assertion& assertion, const std::string& label, Frame& frame, Span span) {
  if (assertion.kind == ast::AssertKind::kCover || assertion.kind == ast::AssertKind::kCoverSequence) return;
  Check check;
  check.kind = assertion.kind;
  check.source = &assertion;
  check.span = span;
  check.name = label.empty() ? "" : frame.scope->path + label;
  try {
    Frame inner = frame;
    inner.in_assertion = true;
    if (assertion.concurrent) {
      if (frame.is_initial) unsupported(assertion.span, "concurrent assertion in an initial block");
      PropertyLowering lowering(*this, inner);
      lowering.lower(*assertion.property, check);
    } else {
      const Lit guard = aig_.land(frame.guard, negate(frame.dead));
      const Lit holds = condition(*assertion.expr, inner);
      check.bad = aig_.land(guard, negate(holds));
      check.fire = guard;
      check.has_fire = guard != kTrue && !frame.is_initial;
      check.has_clock = frame.has_clock;
      check.clock = frame.clock;
    }
  } catch (const SourceError& problem) {
    // An assertion that cannot be lowered (a construct, an unknown name) does not end the others.
    if (problem.code == StatusCode::kResourceExhausted) throw;
    check.supported = false;
    check.reason = problem.message;
    check.reason_span = problem.span;
    check.reason_code = problem.code;
  }
  add_check(std::move(check), frame.scope->path);
}

// A statement that is executed several times (a loop, a function) is one assertion: it fails where one of them fails.
void Elaborator::add_check(Check check, const std::string& path) {
  std::vector<size_t>& same = checks_of_[{check.source, path}];
  for (size_t i : same) {
    Check& other = design_.checks[i];
    if (check.reached && other.reached && (other.has_clock != check.has_clock || (check.has_clock && !(other.clock == check.clock)))) continue;
    if (!check.reached || !other.supported) return;
    if (!other.reached || !check.supported) {
      other = std::move(check);
      return;
    }
    other.bad = aig_.lor(other.bad, check.bad);
    other.fire = aig_.lor(other.has_fire ? other.fire : kTrue, check.has_fire ? check.fire : kTrue);
    other.has_fire = other.fire != kTrue;
    return;
  }
  same.push_back(design_.checks.size());
  design_.checks.push_back(std::move(check));
}

}  // namespace callie::assertions
