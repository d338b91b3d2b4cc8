#include "eval/speed.h"

#include <algorithm>
#include <chrono>

#include "core/interrupt.h"
#include "kernels/machine_probe.h"
#include "kernels/target.h"

namespace callie::eval {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int64_t kVerifyContext = 256;
constexpr int kLargestVerify = 16;
constexpr int kBatchSizes[] = {1, 2, 4, 8, 16};
constexpr int64_t kBatchSteps = 24;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// Any ids do: the cost of a pass does not depend on them. Spread over the vocabulary so that embedding rows are cold.
std::vector<int32_t> some_tokens(int64_t n, int64_t vocab_size, int64_t first = 0) {
  std::vector<int32_t> tokens(n);
  for (int64_t i = 0; i < n; ++i) tokens[i] = static_cast<int32_t>((first + i) * 7919 % vocab_size);
  return tokens;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t n = values.size();
  return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

SpeedResult summarize(std::string name, const std::vector<double>& tok_s) {
  SpeedResult result;
  result.name = std::move(name);
  result.tok_s_median = median(tok_s);
  result.tok_s_min = *std::min_element(tok_s.begin(), tok_s.end());
  result.tok_s_max = *std::max_element(tok_s.begin(), tok_s.end());
  return result;
}

Status fill(Session& session, int64_t length) {
  if (session.size() > length) session.truncate(length);
  if (session.size() == length) return ok_status();
  const auto tokens = some_tokens(length - session.size(), session.runner().vocab_size(), session.size());
  return session.append(tokens, Session::Logits::kNone).status();
}

Status stop_if_interrupted() { return interrupted() ? Status(StatusCode::kCancelled, "") : ok_status(); }

StatusOr<SpeedResult> measure_prefill(Session& session, const SpeedOptions& options, const std::string& suffix) {
  const auto prompt = some_tokens(options.prompt, session.runner().vocab_size());
  std::vector<double> tok_s;
  for (int r = 0; r <= options.repeat; ++r) {
    CALLIE_RETURN_IF_ERROR(stop_if_interrupted());
    CALLIE_RETURN_IF_ERROR(fill(session, options.depth));
    const auto start = Clock::now();
    CALLIE_RETURN_IF_ERROR(session.append(prompt, Session::Logits::kLast).status());
    if (r > 0) tok_s.push_back(static_cast<double>(options.prompt) / seconds_since(start));  // the first warms up
  }
  return summarize(fmt::format("pp{}{}", options.prompt, suffix), tok_s);
}

StatusOr<SpeedResult> measure_decode(Session& session, const SpeedOptions& options, const std::string& suffix) {
  const auto tokens = some_tokens(options.generate, session.runner().vocab_size());
  std::vector<double> tok_s;
  for (int r = 0; r <= options.repeat; ++r) {
    CALLIE_RETURN_IF_ERROR(stop_if_interrupted());
    CALLIE_RETURN_IF_ERROR(fill(session, options.depth));
    const auto start = Clock::now();
    const int64_t n = r == 0 ? std::min<int64_t>(8, options.generate) : options.generate;
    for (int64_t i = 0; i < n; ++i) {
      CALLIE_RETURN_IF_ERROR(session.append({&tokens[i], 1}, Session::Logits::kLast).status());
    }
    if (r > 0) tok_s.push_back(static_cast<double>(n) / seconds_since(start));
  }
  return summarize(fmt::format("tg{}{}", options.generate, suffix), tok_s);
}

Status measure_verify(Session& session, int repeat, SpeedReport& report) {
  const auto tokens = some_tokens(kLargestVerify, session.runner().vocab_size());
  std::vector<std::vector<double>> ms(kLargestVerify + 1);
  // Rounds over all m, so that a slow moment of the machine meets every m alike.
  for (int r = 0; r <= 2 * repeat; ++r) {
    for (int m = 1; m <= kLargestVerify; ++m) {
      CALLIE_RETURN_IF_ERROR(stop_if_interrupted());
      CALLIE_RETURN_IF_ERROR(fill(session, kVerifyContext));
      const auto start = Clock::now();
      CALLIE_RETURN_IF_ERROR(session.append(std::span(tokens).first(m), Session::Logits::kAll).status());
      if (r > 0) ms[m].push_back(seconds_since(start) * 1e3);
    }
  }
  const double one = median(ms[1]);
  for (int m = 1; m <= kLargestVerify; ++m) report.verify_cost.push_back({m, median(ms[m]), median(ms[m]) / one});
  return ok_status();
}

// Several sequences decoded together, each with pages of its own.
Status measure_batch(std::shared_ptr<const Model> model, const SpeedOptions& options, ThreadPool& pool,
                     SpeedReport& report) {
  const nn::DecoderSpec& spec = model->spec();
  constexpr int kMost = kBatchSizes[std::size(kBatchSizes) - 1];
  CALLIE_ASSIGN_OR_RETURN(const kernels::KvLayout layout, KvCache::layout(spec, options.session.kv_format));
  const int blocks_each =
      static_cast<int>((kVerifyContext + kBatchSteps + layout.page_tokens - 1) / layout.page_tokens);
  CALLIE_ASSIGN_OR_RETURN(const KvCache cache, KvCache::create(layout, static_cast<int64_t>(spec.layers.size()), blocks_each * kMost));
  std::vector<std::vector<int32_t>> blocks(kMost);
  std::vector<nn::SequencePages> pages;
  for (int s = 0; s < kMost; ++s) {
    for (int b = 0; b < blocks_each; ++b) blocks[s].push_back(s * blocks_each + b);
    pages.push_back({blocks[s]});
  }
  ModelRunner runner(model, kVerifyContext, options.session.precision, pool);
  const auto tokens = some_tokens(kVerifyContext + kBatchSteps, spec.vocab_size);
  const auto row = [&](int s, int64_t position, bool logits) {
    nn::ForwardRow out;
    out.token = tokens[position];
    out.sequence = s;
    out.position = out.rope_position = out.slot = static_cast<int32_t>(position);
    out.wants_logits = logits;
    return out;
  };
  std::vector<nn::ForwardRow> rows;
  for (int s = 0; s < kMost; ++s) {
    rows.clear();
    for (int64_t p = 0; p < kVerifyContext; ++p) rows.push_back(row(s, p, false));
    runner.forward({rows, pages, cache.storage()});
  }
  std::vector<double> tok_s[std::size(kBatchSizes)];
  for (int r = 0; r < std::max(2, options.repeat / 2 + 1); ++r) {
    for (size_t i = 0; i < std::size(kBatchSizes); ++i) {
      CALLIE_RETURN_IF_ERROR(stop_if_interrupted());
      const auto start = Clock::now();
      for (int64_t step = 0; step < kBatchSteps; ++step) {
        rows.clear();
        for (int s = 0; s < kBatchSizes[i]; ++s) rows.push_back(row(s, kVerifyContext + step, true));
        runner.forward({rows, pages, cache.storage()});
      }
      tok_s[i].push_back(static_cast<double>(kBatchSteps * kBatchSizes[i]) / seconds_since(start));
    }
  }
  for (size_t i = 0; i < std::size(kBatchSizes); ++i) report.batch.push_back({kBatchSizes[i], median(tok_s[i])});
  return ok_status();
}

}  // namespace

StatusOr<SpeedReport> measure_speed(std::shared_ptr<const Model> model, const SpeedOptions& options, ThreadPool& pool) {
  if (options.prompt < 1 || options.generate < 1 || options.depth < 0 || options.repeat < 1) {
    return invalid_argument("bench: -p, -n and --repeat must be at least 1, --depth at least 0");
  }
  SpeedReport report;
  report.bytes_per_token = model->decoder().bytes_per_token();
  report.macs_per_token = model->decoder().macs_per_token();
  report.isa = kernels::current_target();
  report.read_gb_s = kernels::read_gb_s(pool);
  report.vnni_gmac_s = kernels::dot_peak_gmac_s(pool);

  SessionOptions session_options = options.session;
  session_options.context =
      std::max(options.depth + std::max(options.prompt, options.generate), kVerifyContext + kLargestVerify) + 1;
  CALLIE_ASSIGN_OR_RETURN(const auto session, Session::create(model, session_options, pool));
  const std::string suffix = options.depth > 0 ? fmt::format(" @ d{}", options.depth) : "";
  const auto add = [&](SpeedResult result) {
    result.bandwidth_fraction = static_cast<double>(report.bytes_per_token) * result.tok_s_median / 1e9 / report.read_gb_s;
    result.compute_fraction =
        static_cast<double>(report.macs_per_token) * result.tok_s_median / 1e9 / report.vnni_gmac_s;
    report.results.push_back(std::move(result));
  };
  if (options.prefill) {
    CALLIE_ASSIGN_OR_RETURN(SpeedResult result, measure_prefill(*session, options, suffix));
    add(std::move(result));
    report.results.back().bandwidth_fraction = 0;  // a prefill reads the weights once for many tokens
  }
  if (options.decode) {
    CALLIE_ASSIGN_OR_RETURN(SpeedResult result, measure_decode(*session, options, suffix));
    add(std::move(result));
  }
  if (options.verify) CALLIE_RETURN_IF_ERROR(measure_verify(*session, options.repeat, report));
  if (options.batch) CALLIE_RETURN_IF_ERROR(measure_batch(model, options, pool, report));
  return report;
}

}  // namespace callie::eval
