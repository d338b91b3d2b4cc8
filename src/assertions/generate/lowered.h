#pragma once

#include <string>

#include "assertions/generate/properties.h"

namespace callie::assertions {

/// The snippet with its assertions as immediate ones over history registers: a module for tools without concurrent
/// assertions (`read_verilog -sv -formal`). One labelled assert for each assertion.
std::string lowered_module(const Snippet& snippet, const DerivedSet& set);

}  // namespace callie::assertions
