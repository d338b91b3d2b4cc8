#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace callie::kernels {

/// Instruction sets for which this build has kernels and which this machine can run, best first: "AVX3", "AVX2",
/// "NEON", ..., "SCALAR". Kernels use the first one unless set_target() was called.
std::vector<std::string> list_targets();

/// The instruction set in use.
std::string current_target();

/// Makes every kernel use `name` (a kernel that has no code for it uses the next lower one); an empty name restores the
/// best. Returns false, and changes nothing, when `name` is not in list_targets(). For tests and benches; not to be
/// called while a kernel runs.
bool set_target(std::string_view name);

}  // namespace callie::kernels
