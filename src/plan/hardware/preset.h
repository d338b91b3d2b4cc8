#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"

namespace callie::plan {

/// The limits of one accelerator or processor, and what running it costs. Rates are the vendor's dense (not sparse)
/// figures; `source` says where they stand.
struct Hardware {
  std::string name;
  double bf16_tflops = 0;   ///< dense
  double fp8_tflops = 0;    ///< 0: no faster than bf16
  double memory_gb = 0;     ///< GiB
  double memory_gbs = 0;    ///< GB/s
  double link_gbs = 0;      ///< GB/s per device and direction, inside a node
  double link_us = 0;       ///< latency of one hop, microseconds
  double host_gbs = 0;      ///< GB/s to host memory, one direction
  double idle_w = 0;
  double max_w = 0;
  double usd_per_hour = 0;  ///< a typical on-demand price for one device; an assumption, set `usd_per_hour` yourself
  double compute_efficiency = 0.6;  ///< reached share of peak in large matrix products
  double memory_efficiency = 0.8;   ///< reached share of bandwidth
  double launch_us = 0;             ///< fixed cost of one layer's kernels beyond their work
  std::string source;
};

/// Errors: kNotFound listing nothing but the name.
StatusOr<Hardware> find_hardware(std::string_view name);
std::vector<std::string> hardware_names();

}  // namespace callie::plan
