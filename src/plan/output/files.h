#pragma once

#include <string>

#include "plan/config/config.h"
#include "plan/sim/result.h"

namespace callie::plan {

/// requests.csv: one row per request in order of completion; times in nanoseconds from the first arrival's clock.
Status write_requests_csv(const std::string& path, const SimResult& result);
/// timeseries.csv: waiting, running, KV and power of each client at the sampling ticks.
Status write_timeseries_csv(const std::string& path, const SimResult& result);
/// A Chrome trace for Perfetto: process = client, counters for KV, queue and power, one slice per step, flow arrows for
/// requests. Stops at `max_events` events.
Status write_perfetto(const std::string& path, const Config& config, const SimResult& result, size_t max_events = 400'000);
/// requests.parquet with the columns of requests.csv, uncompressed, plain encoding.
Status write_requests_parquet(const std::string& path, const SimResult& result);

}  // namespace callie::plan
