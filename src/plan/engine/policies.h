#pragma once

#include <memory>

#include "plan/engine/engine.h"

namespace callie::plan {

// One function per policy file; registry.cpp maps names to them.
std::unique_ptr<Engine> make_vllm1(const EngineOptions& options);
std::unique_ptr<Engine> make_vllm0(const EngineOptions& options);
std::unique_ptr<Engine> make_orca(const EngineOptions& options);        ///< orca and continuous
std::unique_ptr<Engine> make_chunked(const EngineOptions& options);     ///< chunked, mixed and sarathi
std::unique_ptr<Engine> make_static(const EngineOptions& options);
std::unique_ptr<Engine> make_callie(const EngineOptions& options);

}  // namespace callie::plan
