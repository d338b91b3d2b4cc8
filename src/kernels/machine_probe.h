#pragma once

#include <cstdint>

#include "core/thread_pool.h"

namespace callie::kernels {

/// Bytes per second / 1e9 that all threads of the pool read together: the best of `passes` passes over `bytes` of huge
/// pages, each thread its contiguous share. 0 when the memory cannot be had. Takes about a quarter of a second at the
/// defaults.
double read_gb_s(ThreadPool& pool, int64_t bytes = int64_t{1} << 30, int passes = 5);

/// Multiply-adds per second / 1e9 of all threads with the active target's integer dot product (VNNI where there is one)
/// on registers only: the limit of every matrix kernel. The best of a few runs of about 10 ms.
double dot_peak_gmac_s(ThreadPool& pool);

}  // namespace callie::kernels
