#pragma once

#include "core/thread_pool.h"

namespace callie {

/// What a computation runs in. Two contexts can work in one process without sharing state.
struct Context {
  ThreadPool* pool = nullptr;
};

}  // namespace callie
