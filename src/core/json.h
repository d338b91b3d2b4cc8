#pragma once

#include <nlohmann/json.hpp>

namespace callie {

/// Keys keep their order, so that output reads as it was written.
using Json = nlohmann::ordered_json;

}  // namespace callie
