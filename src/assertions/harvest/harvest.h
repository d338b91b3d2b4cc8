#pragma once

#include <functional>
#include <string>
#include <vector>

#include "assertions/generate/shapes.h"
#include "core/status.h"

/// Control structures of real designs: skeletons with their provenance, never text.
namespace callie::assertions {

struct HarvestOptions {
  std::string folder;
  std::string repo;       ///< name in the provenance; empty: the folder's own name
  std::string commit;
  std::string spdx;       ///< of files that do not say
  int threads = 1;
};

struct HarvestReport {
  ShapeBank bank;                     ///< most frequent first, then by text
  int files = 0, files_skipped = 0;   ///< skipped: copyleft licence, or no tokens
  int64_t bytes = 0;
  int blocks = 0, blocks_broken = 0, blocks_with_control = 0;
  std::vector<std::string> messages;  ///< of broken blocks and skipped files
  double seconds = 0;
};

/// Reads every .v, .sv, .vh and .svh below the folder. An always block is parsed on its own, behind a preprocessor
/// that lets unknown macros vanish. Files under the GPL or LGPL are skipped.
/// Errors: kNotFound, kCancelled.
StatusOr<HarvestReport> harvest(const HarvestOptions& options, const std::function<void(int64_t)>& progress);

/// One JSON object a line.
std::string write_shapes(const ShapeBank& bank);
/// Structures that differ in more than the kind of process (combinational, clocked, reset).
int count_control_shapes(const ShapeBank& bank);

}  // namespace callie::assertions
