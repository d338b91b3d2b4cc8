// Speed of single kernels, all threads of the process's affinity mask together: bytes and
// multiply-accumulates a second, and their shares of what this machine reads and multiplies.
//   build/release/bench_kernels --benchmark_filter='matmul/Q4_K'
#include <benchmark/benchmark.h>

#include <memory>

#include "core/aligned_buffer.h"
#include "core/thread_pool.h"
#include "kernels/activations.h"
#include "kernels/attention.h"
#include "kernels/machine_probe.h"
#include "kernels/matmul.h"
#include "kernels/norm.h"
#include "kernels/quantize_rows.h"
#include "kernels/random_packed.h"

namespace callie::kernels {
namespace {

struct Machine {
  ThreadPool pool{ThreadPool::physical_cores(), true};
  double read_gb_s = kernels::read_gb_s(pool);
  double dot_gmac_s = dot_peak_gmac_s(pool);
};
Machine& machine() {
  static Machine instance;
  return instance;
}

void report(benchmark::State& state, double bytes, double dot_macs) {
  const auto rate = benchmark::Counter::kIsIterationInvariantRate;
  state.counters["GB/s"] = benchmark::Counter(bytes / 1e9, rate);
  state.counters["of_read"] = benchmark::Counter(bytes / 1e9 / machine().read_gb_s, rate);
  if (dot_macs == 0) return;
  state.counters["GMAC/s"] = benchmark::Counter(dot_macs / 1e9, rate);
  state.counters["of_dots"] = benchmark::Counter(dot_macs / 1e9 / machine().dot_gmac_s, rate);
}

constexpr int64_t kCols = 1536;
constexpr int64_t kStreamedRows = 1 << 17;  ///< far larger than the caches in any family
constexpr int64_t kBlockedRows = 1 << 13;

/// Made once for the sizes of a family that follow each other.
const RandomPacked& weights(const PackedFamily& family, int64_t rows) {
  static std::unique_ptr<RandomPacked> last;
  if (!last || !(last->view.family == family) || last->view.rows != rows) {
    last.reset();
    last = std::make_unique<RandomPacked>(family, rows, kCols, 1);
  }
  return *last;
}

void bench_matmul(benchmark::State& state, const PackedFamily& family) {
  ThreadPool& pool = machine().pool;
  const int64_t m = state.range(0), rows = m <= 16 ? kStreamedRows : kBlockedRows;
  const RandomPacked& w = weights(family, rows);
  const auto x = random_floats(m * kCols, 2);
  AlignedBuffer<uint8_t> codes(quantized_rows_bytes(m, kCols));
  const QuantizedRows quantized{codes.data(), m, kCols};
  quantize_rows(x.data(), kCols, quantized, 0, m);
  AlignedBuffer<float> y(m * rows);
  for (auto _ : state) {
    pool.run([&](const Worker& worker) {
      const auto share = worker.share(w.view.panels());
      if (family.is_float()) {
        matmul_f32(w.view, x.data(), kCols, m, share.begin, share.end, y.data(), rows);
      } else {
        matmul(w.view, quantized, share.begin, share.end, y.data(), rows);
      }
    });
  }
  report(state, static_cast<double>(w.view.bytes()), static_cast<double>(m * rows * kCols));
}

struct Heads {
  const char* model;
  int n_heads, n_kv_heads, head_dim;
};
constexpr Heads kHeads[] = {
    {"smollm2-135m", 9, 3, 64}, {"qwen2.5-0.5b", 14, 2, 64}, {"qwen2.5-1.5b", 12, 2, 128}};

/// `rows` queries behind `depth` keys; several layers, so that the keys come from memory.
void bench_attention(benchmark::State& state, const Heads& heads, KvFormat format) {
  ThreadPool& pool = machine().pool;
  const int64_t rows = state.range(0), depth = state.range(1);
  constexpr int kPageTokens = 64, kLayers = 24;
  AttentionShape shape;
  shape.n_heads = heads.n_heads;
  shape.kv = *make_kv_layout(format, format, kPageTokens, heads.n_kv_heads, heads.head_dim, heads.head_dim);
  const int64_t n_pages = (depth + rows + kPageTokens - 1) / kPageTokens;
  AlignedBuffer<uint8_t> memory(kLayers * n_pages * shape.kv.page_bytes);
  const auto kv = random_floats(2 * int64_t{heads.n_kv_heads} * heads.head_dim * kPageTokens, 3);
  for (int slot = 0; slot < kPageTokens; ++slot) {
    const float* k = kv.data() + int64_t{2} * slot * heads.n_kv_heads * heads.head_dim;
    kv_write(shape.kv, memory.data(), slot, k, k + heads.n_kv_heads * heads.head_dim);
  }
  for (int64_t page = 1; page < kLayers * n_pages; ++page) {
    std::memcpy(memory.data() + page * shape.kv.page_bytes, memory.data(), shape.kv.page_bytes);
  }
  const int64_t q_size = int64_t{heads.n_heads} * heads.head_dim;
  const auto q = random_floats(rows * q_size, 4);
  std::vector<float> out(rows * q_size);
  std::vector<std::vector<const uint8_t*>> pages(kLayers);
  std::vector<std::vector<AttentionRow>> layers(kLayers);
  for (int layer = 0; layer < kLayers; ++layer) {
    for (int64_t p = 0; p < n_pages; ++p) {
      pages[layer].push_back(memory.data() + (layer * n_pages + p) * shape.kv.page_bytes);
    }
    for (int64_t r = 0; r < rows; ++r) {
      AttentionRow& row = layers[layer].emplace_back();
      row.q = q.data() + r * q_size;
      row.out = out.data() + r * q_size;
      row.n_keys = depth + r + 1;
      row.pages = pages[layer].data();
    }
  }
  AttentionPlan plan;
  plan.build(shape, layers[0], pool.size());
  AlignedBuffer<float> partials(plan.partial_floats());
  const int64_t scratch_floats = AttentionPlan::scratch_floats(shape);
  AlignedBuffer<float> scratch(scratch_floats * pool.size());
  int layer = 0;
  for (auto _ : state) {
    pool.run([&](const Worker& worker) {
      plan.run(layers[layer], worker.index, scratch.data() + worker.index * scratch_floats, partials.data());
      if (!plan.needs_merge()) return;
      worker.sync();
      plan.merge(layers[layer], worker.index, partials.data());
    });
    layer = (layer + 1) % kLayers;
  }
  const double keys = static_cast<double>(rows * depth) + static_cast<double>(rows * (rows + 1)) / 2;
  report(state, static_cast<double>(n_pages * shape.kv.page_bytes), 0);
  state.counters["GFMA/s"] =
      benchmark::Counter(2 * keys * static_cast<double>(q_size) / 1e9, benchmark::Counter::kIsIterationInvariantRate);
}

constexpr int64_t kFfn = 8960;

void bench_quantize(benchmark::State& state) {
  const auto x = random_floats(kFfn, 5);
  AlignedBuffer<uint8_t> codes(quantized_rows_bytes(1, kFfn));
  const QuantizedRows out{codes.data(), 1, kFfn};
  for (auto _ : state) quantize_rows(x.data(), kFfn, out, 0, 1);
  report(state, 4.0 * kFfn, 0);
}

void bench_gated(benchmark::State& state) {
  const auto x = random_floats(2 * kFfn, 6);
  std::vector<float> out(kFfn);
  for (auto _ : state) gated(Activation::kSilu, x.data(), x.data() + kFfn, kFfn, out.data());
  report(state, 8.0 * kFfn, 0);
}

void bench_norm(benchmark::State& state) {
  auto residual = random_floats(kCols, 7);
  const auto delta = random_floats(kCols, 8), weight = random_floats(kCols, 9);
  std::vector<float> out(kCols);
  for (auto _ : state) {
    add_rms_norm(residual.data(), delta.data(), weight.data(), kCols, 1e-6f, out.data());
  }
  report(state, 12.0 * kCols, 0);
}

void register_all() {
  using benchmark::RegisterBenchmark;
  for (const NamedFamily& named : test_families()) {
    auto* bench = RegisterBenchmark(("matmul/" + named.name).c_str(),
                                    [family = named.family](benchmark::State& s) { bench_matmul(s, family); });
    for (const int64_t m : {1, 2, 4, 8, 16, 32, 64, 512}) bench->Arg(m);
    bench->UseRealTime()->Unit(benchmark::kMillisecond);
  }
  constexpr std::pair<const char*, KvFormat> kFormats[] = {
      {"f16", KvFormat::kF16}, {"q8", KvFormat::kQ8}, {"q4", KvFormat::kQ4}};
  for (const Heads& heads : kHeads) {
    for (const auto& [name, format] : kFormats) {
      auto* bench = RegisterBenchmark((std::string("attention/") + heads.model + "/" + name).c_str(),
                                      [&heads, format = format](benchmark::State& s) { bench_attention(s, heads, format); });
      for (const int64_t depth : {256, 4096}) {
        for (const int64_t rows : {1, 8, 512}) bench->Args({rows, depth});
      }
      bench->UseRealTime()->Unit(benchmark::kMicrosecond);
    }
  }
  RegisterBenchmark("quantize_rows/8960", bench_quantize);
  RegisterBenchmark("gated/8960", bench_gated);
  RegisterBenchmark("add_rms_norm/1536", bench_norm);
}

}  // namespace
}  // namespace callie::kernels

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  auto& machine = callie::kernels::machine();
  std::printf("%d threads: read %.1f GB/s, dot products %.0f GMAC/s\n", machine.pool.size(), machine.read_gb_s,
              machine.dot_gmac_s);
  callie::kernels::register_all();
  benchmark::RunSpecifiedBenchmarks();
}
