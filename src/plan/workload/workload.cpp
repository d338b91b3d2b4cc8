#include "plan/workload/workload.h"

#include <algorithm>
#include <cmath>

#include "core/philox.h"

namespace callie::plan {
namespace {

/// What a random number of a request decides; each has its own stream.
enum Stream : uint32_t { kGap = 1, kPrompt, kOutput, kClass, kReasoning, kMultiplier };

struct Uniform {
  double u1, u2;
};

Uniform draw(uint64_t seed, Stream stream, int64_t index) {
  const auto w = CounterRng(seed, Purpose::kWorkload, stream).words(static_cast<uint64_t>(index), 0);
  return {CounterRng::uniform53(w[0], w[1]), CounterRng::uniform53(w[2], w[3])};
}

constexpr int32_t kLongest = 100'000'000;

int32_t to_tokens(double value) { return static_cast<int32_t>(std::clamp(std::round(value), 1.0, double{kLongest})); }

uint64_t spread(uint64_t x) {
  x ^= x >> 30;
  x *= 0xBF58476D1CE4E5B9u;
  x ^= x >> 27;
  x *= 0x94D049BB133111EBu;
  return (x ^ (x >> 31)) | 1;
}

}  // namespace

StatusOr<Trace> Trace::with_blocks(int32_t block) const {
  if (hash_block == 0 || hash_block == block) return *this;
  if (block <= 0 || hash_block % block != 0) {
    return invalid_argument("{}: blocks of {} tokens cannot be cut into blocks of {}", source, hash_block, block);
  }
  Trace out;
  out.classes = classes;
  out.source = source;
  out.has_arrivals = has_arrivals;
  out.hash_block = block;
  const int32_t parts = hash_block / block;
  out.rows = rows;
  for (Row& row : out.rows) {
    const uint32_t first = static_cast<uint32_t>(out.hashes.size());
    const int32_t full = row.prompt / block;
    for (uint32_t i = 0; i < row.hash_count; ++i) {
      for (int32_t p = 0; p < parts; ++p) {
        // The last coarse block may be cut off by the end of the prompt.
        if (static_cast<int32_t>(i) * parts + p >= full) break;
        out.hashes.push_back(spread(hashes[row.first_hash + i] * 0x9E3779B97F4A7C15u + static_cast<uint64_t>(p)));
      }
    }
    row.first_hash = first;
    row.hash_count = static_cast<uint32_t>(out.hashes.size()) - first;
  }
  return out;
}

StatusOr<Workload> Workload::create(const WorkloadSpec& spec, int32_t block_size) {
  Workload w;
  w.spec_ = spec;
  if (spec.arrivals.kind == ArrivalSpec::Kind::kGamma) {
    CALLIE_ASSIGN_OR_RETURN(w.gap_, Distribution::parse(fmt::format("gamma(1, {})", spec.arrivals.cv)));
  }
  if (!(spec.scale > 0) || !std::isfinite(spec.scale)) return invalid_argument("workload.scale must be above 0");
  if (spec.requests < 0) return invalid_argument("workload.requests is negative");
  if (spec.trace) {
    if (spec.trace->rows.empty()) return invalid_argument("workload.trace: {} has no requests", spec.trace->source);
    w.expanded_ = spec.trace;
    if (spec.trace->hash_block > 0 && block_size > 0 && spec.trace->hash_block != block_size) {
      auto cut = spec.trace->with_blocks(block_size);
      if (!cut.ok()) return cut.status().with_context("workload.trace");
      w.expanded_ = std::make_shared<const Trace>(std::move(cut).value());
    }
    w.total_ = spec.requests > 0 ? spec.requests : static_cast<int64_t>(spec.trace->rows.size());
    w.class_names_ = spec.trace->classes;
    if (w.class_names_.empty()) w.class_names_.push_back("default");
    const double n = static_cast<double>(spec.trace->rows.size());
    w.period_s_ = spec.trace->span_s() * (n > 1 ? n / (n - 1) : 1);
    if (spec.arrivals.kind == ArrivalSpec::Kind::kTrace && !spec.trace->has_arrivals) {
      return invalid_argument("workload.arrivals: {} has no arrival times; give a rate, such as poisson(5)",
                              spec.trace->source);
    }
  } else {
    if (spec.arrivals.kind == ArrivalSpec::Kind::kTrace) return invalid_argument("workload.arrivals is missing");
    w.total_ = spec.requests > 0 ? spec.requests : 1000;
    if (spec.classes.empty()) return invalid_argument("workload.prompt and workload.output are missing");
    for (const ClassSpec& c : spec.classes) {
      w.class_names_.push_back(c.name);
      w.class_prefix_.emplace_back();
      for (int32_t i = 0; block_size > 0 && i < c.shared_prefix / block_size; ++i) {
        w.class_prefix_.back().push_back(
            spread((w.class_names_.size() << 40) + static_cast<uint64_t>(i) * 0x9E3779B97F4A7C15u));
      }
    }
  }
  if (spec.arrivals.kind != ArrivalSpec::Kind::kTrace && spec.arrivals.kind != ArrivalSpec::Kind::kAll &&
      !(spec.arrivals.rate > 0)) {
    return invalid_argument("workload.arrivals: the rate must be above 0");
  }
  return w;
}

void Workload::reset() {
  index_ = 0;
  clock_s_ = 0;
}

bool Workload::next(RequestSpec& out) {
  if (index_ >= total_) return false;
  const int64_t i = index_++;
  out = RequestSpec{};
  out.serial = static_cast<uint64_t>(i);
  out.max_tokens = 0;  // not said so far
  const uint64_t seed = spec_.seed;
  switch (spec_.arrivals.kind) {
    case ArrivalSpec::Kind::kTrace: {
      const auto n = static_cast<int64_t>(expanded_->rows.size());
      clock_s_ = (static_cast<double>(i / n) * period_s_ + expanded_->rows[i % n].arrival_s) / spec_.scale;
      break;
    }
    case ArrivalSpec::Kind::kPoisson:
      clock_s_ += -std::log(draw(seed, kGap, i).u1) / (spec_.arrivals.rate * spec_.scale);
      break;
    case ArrivalSpec::Kind::kGamma:
      clock_s_ += gap_.sample(draw(seed, kGap, i).u1, 0) / (spec_.arrivals.rate * spec_.scale);
      break;
    case ArrivalSpec::Kind::kFixed:
      clock_s_ += 1 / (spec_.arrivals.rate * spec_.scale);
      break;
    case ArrivalSpec::Kind::kAll:
      break;
  }
  out.arrival = from_seconds(clock_s_);
  if (expanded_) {
    const Trace::Row& row = expanded_->rows[i % static_cast<int64_t>(expanded_->rows.size())];
    out.prompt = row.prompt;
    out.output = row.output;
    out.max_tokens = row.max_tokens;
    out.klass = row.klass;
    out.priority = row.priority;
    out.hashes = {expanded_->hashes.data() + row.first_hash, row.hash_count};
  } else {
    size_t c = 0;
    if (spec_.classes.size() > 1) {
      double total = 0;
      for (const ClassSpec& k : spec_.classes) total += k.share;
      double left = draw(seed, kClass, i).u1 * total;
      while (c + 1 < spec_.classes.size() && left >= spec_.classes[c].share) left -= spec_.classes[c++].share;
    }
    const ClassSpec& k = spec_.classes[c];
    const Uniform p = draw(seed, kPrompt, i), o = draw(seed, kOutput, i);
    out.prompt = to_tokens(k.prompt.sample(p.u1, p.u2)) + k.shared_prefix;
    out.output = to_tokens(k.output.sample(o.u1, o.u2));
    out.klass = static_cast<int16_t>(c);
    out.priority = static_cast<int16_t>(k.priority);
    out.hashes = class_prefix_[c];
  }
  if (spec_.reasoning.share > 0 && draw(seed, kReasoning, i).u1 < spec_.reasoning.share) {
    const Uniform m = draw(seed, kMultiplier, i);
    out.output = to_tokens(out.output * std::max(spec_.reasoning.multiplier.sample(m.u1, m.u2), 0.0));
    out.paths = std::max(spec_.reasoning.paths, 1);
    out.join = spec_.reasoning.join;
  }
  if (out.max_tokens <= 0) out.max_tokens = spec_.max_tokens > 0 ? spec_.max_tokens : out.output;
  out.output = std::min(out.output, out.max_tokens);
  return true;
}

}  // namespace callie::plan
