#pragma once

#include <string>

#include "core/status.h"

namespace CLI {
class App;
}

namespace callie::cli {

/// Gives the options of `verb` the values of a YAML mapping: a key is a long flag without its dashes ("max-seqs: 16",
/// "no-page: true"), or `models`, a name or a list of names. What the command line gave wins. Errors are
/// "FILE:LINE: KEY: why": kNotFound (no such file), kUsage (unknown or repeated key, a value out of range).
Status apply_yaml_config(const std::string& path, CLI::App& verb);

}  // namespace callie::cli
