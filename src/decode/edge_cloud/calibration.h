#pragma once

#include <string>

#include "core/status.h"
#include "decode/edge_cloud/predictor.h"

namespace callie::edge_cloud {

/// What a session or a bench has measured of a pair of models, kept for the next session's first plans (JSON). The round
/// trip is not among it: each session measures its own. Errors: those of the file; kDataLoss ("PATH: field: problem").
StatusOr<Costs> read_calibration(const std::string& path);
Status write_calibration(const std::string& path, const Costs& costs);

}  // namespace callie::edge_cloud
