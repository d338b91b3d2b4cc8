#pragma once

#include <string>
#include <vector>

#include "plan/sim/metrics.h"
#include "plan/types.h"

namespace callie::plan {

struct RequestRow {
  uint64_t serial = 0;
  int16_t klass = 0;
  int16_t client = -1;
  Ns arrival = 0, queued = 0, scheduled = 0, first_token = 0, finished = 0;
  int32_t prompt = 0, cached = 0, output = 0, preemptions = 0, retries = 0;
  uint8_t outcome = 0;  ///< 0 finished, 1 rejected, 2 failed, 3 unfinished
};

struct SampleRow {
  Ns t;
  int16_t client;
  int32_t waiting, running, blocks_used;
  double power_w;
};

struct StepRow {
  Ns start, end;
  int16_t client;
  int32_t prefill_tokens, decode_sequences;
};

struct TransferRow {
  Ns start, end;
  int16_t link;
  uint64_t serial;
  double bytes;
};

struct ClientResult {
  std::string name;
  int group = 0;
  int64_t steps = 0, prefill_tokens = 0, decode_tokens = 0, preemptions = 0, served = 0;
  double busy_s = 0, active_s = 0;
  double energy_j = 0, cost_usd = 0;
  int32_t blocks = 0;
  double mean_waiting = 0, mean_running = 0, peak_blocks = 0;
  double mean_batch = 0;
  // Little's law: time-integral of the requests inside, their number, and the sum of their stays.
  double inside_s = 0, stay_s = 0;
  int64_t left = 0;
};

struct LinkResult {
  std::string name;
  double busy_s = 0, gigabytes = 0, flow_s = 0, stay_s = 0;
  int64_t transfers = 0;
};

struct TierResult {
  std::string name;
  int64_t lookups = 0, hits = 0, tokens = 0, recomputed = 0;
  double used_gb = 0;
};

struct SimResult {
  std::vector<ClassMetrics> classes;
  ClassMetrics all;
  std::vector<ClientResult> clients;
  std::vector<LinkResult> links;
  std::vector<TierResult> tiers;
  std::vector<RequestRow> requests;
  std::vector<SampleRow> samples;
  std::vector<StepRow> steps;
  std::vector<TransferRow> transfers;
  double elapsed_s = 0;       ///< simulated, first arrival to last departure
  double measured_s = 0;      ///< without the warm-up
  int64_t arrived = 0, finished = 0, rejected = 0, failed = 0, unfinished = 0, retries = 0;
  int64_t events = 0, steps_done = 0;
  int64_t extrapolated = 0;
  double cpu_s = 0;
  double energy_j = 0, cost_usd = 0, carbon_g = 0;
  double inside_s = 0, stay_s = 0;  ///< Little's law over the whole system
  int64_t peak_live = 0;
  double last_arrival_s = 0;  ///< after the first
  double growth = 0;          ///< requests waiting at the last arrival, per request: above ~0.05 means overload
  bool stopped_early = false;
};

}  // namespace callie::plan
