#pragma once

#include "plan/hardware/preset.h"

namespace callie::plan {

/// An IVF-PQ index and the processor that searches it.
struct IndexOptions {
  double vectors = 1e6;     ///< N
  double dimension = 128;   ///< d
  double code_bytes = 32;   ///< m
  double lists = 1024;      ///< nlist
  double probes = 64;       ///< nprobe
  /// Codes that a query really scans in multiples of N nprobe / nlist. Queries fall where vectors are dense, so that the
  /// lists they visit are longer than the mean; how much depends on the data and on nprobe.
  double imbalance = 1;
  double cores = 1;         ///< used by one query batch
  double fixed_us = 150;    ///< per search call (libfaiss 1.7.3, one core)
  double single_us = 300;   ///< more for a call with one query; not in ivfpq_us
  double ns_per_code = 43;  ///< scan of one code on one core, measured with 32-byte codes
  double rerank = 0;        ///< full vectors read again per query
};

/// Microseconds of each query of a search call: coarse quantiser 2 nlist d, tables 2*256 d nprobe, scan of
/// N nprobe / nlist codes times the imbalance at the measured rate per core but no faster than the memory, re-ranking reads. A call costs fixed_us beside them.
double ivfpq_query_us(const IndexOptions& index, const Hardware& hardware);

}  // namespace callie::plan
