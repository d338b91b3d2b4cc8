#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/status.h"
#include "engine/model.h"

namespace callie::edge_cloud {

/// T(m) of a model on this machine, in microseconds: [m-1] for passes over m = 1..most positions of one sequence at
/// context 256, with the logits of all. Widths between the measured ones lie on lines. Takes the best of three.
/// Errors: kResourceExhausted (memory).
StatusOr<std::vector<uint32_t>> measure_passes(std::shared_ptr<const Model> model, int most, ThreadPool& pool);

}  // namespace callie::edge_cloud
