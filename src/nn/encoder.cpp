#include "nn/encoder.h"

#include <cmath>

#include "core/aligned_buffer.h"
#include "kernels/activations.h"
#include "kernels/attention.h"
#include "kernels/norm.h"
#include "kernels/vector_ops.h"

namespace callie::nn {
namespace {

// The buffers of one pass over m tokens.
struct EncoderPass {
  EncoderPass(const EncoderSpec& spec, int64_t m, int n_workers)
      : m(m),
        hidden(m * spec.hidden_size),
        qkv(m * 3 * spec.hidden_size),
        attended(m * spec.hidden_size),
        delta(m * spec.hidden_size),
        up(m * spec.ffn_size),
        quantized(kernels::quantized_rows_bytes(m, std::max(spec.hidden_size, spec.ffn_size))),
        scratch_floats(kernels::attention_bidirectional_scratch_floats(
            m, static_cast<int>(spec.hidden_size / spec.n_heads))),
        scratch(scratch_floats * n_workers) {}

  int64_t m;
  AlignedBuffer<float> hidden, qkv, attended, delta, up;
  AlignedBuffer<uint8_t> quantized;
  int64_t scratch_floats;
  AlignedBuffer<float> scratch;
};

void project(const Worker& worker, EncoderPass& pass, const Linear& linear, const float* x, Precision precision,
             float* y) {
  const kernels::QuantizedRows quantized{pass.quantized.data(), pass.m, linear.cols()};
  if (linear.reads_quantized(precision)) {
    const auto share = worker.share(pass.m);
    if (share.begin < share.end) kernels::quantize_rows(x, linear.cols(), quantized, share.begin, share.end);
    worker.sync();
  }
  linear_forward(worker, linear, {x, linear.cols(), &quantized}, pass.m, precision, y, linear.rows());
  worker.sync();
}

void add_and_norm(const Worker& worker, EncoderPass& pass, const LayerNorm& norm, int64_t size, float eps) {
  const auto share = worker.share(pass.m);
  for (int64_t i = share.begin; i < share.end; ++i) {
    float* row = pass.hidden.data() + i * size;
    kernels::add_to(pass.delta.data() + i * size, size, row);
    kernels::layer_norm(row, norm.weight.data(), norm.bias.data(), size, eps, row);
  }
  worker.sync();
}

}  // namespace

std::vector<float> Encoder::forward(std::span<const int32_t> tokens, Precision precision, ThreadPool& pool) const {
  const auto m = static_cast<int64_t>(tokens.size());
  const int64_t size = spec_.hidden_size, head_dim = size / spec_.n_heads;
  EncoderPass pass(spec_, m, pool.size());
  pool.run([&](const Worker& worker) {
    const auto rows = worker.share(m);
    for (int64_t i = rows.begin; i < rows.end; ++i) {
      float* row = pass.hidden.data() + i * size;
      weights_.embedding.unpack_row(tokens[i], row);
      kernels::add_to(weights_.positions.data() + i * size, size, row);
      kernels::add_to(weights_.token_type.data(), size, row);
      kernels::layer_norm(row, weights_.embedding_norm.weight.data(), weights_.embedding_norm.bias.data(), size,
                          spec_.norm_eps, row);
    }
    worker.sync();
    for (const EncoderLayer& layer : weights_.layers) {
      project(worker, pass, layer.qkv, pass.hidden.data(), precision, pass.qkv.data());
      const float scale = 1 / std::sqrt(static_cast<float>(head_dim));
      const auto heads = worker.share(spec_.n_heads);
      for (int64_t h = heads.begin; h < heads.end; ++h) {
        float* q = pass.qkv.data() + h * head_dim;
        for (int64_t i = 0; i < m; ++i) kernels::scale(q + i * 3 * size, head_dim, scale);
        kernels::BidirectionalHead head{q, q + size, q + 2 * size, pass.attended.data() + h * head_dim};
        head.n = m;
        head.head_dim = static_cast<int>(head_dim);
        head.q_stride = head.k_stride = head.v_stride = 3 * size;
        head.out_stride = size;
        kernels::attention_bidirectional(head, pass.scratch.data() + worker.index * pass.scratch_floats);
      }
      worker.sync();
      project(worker, pass, layer.output, pass.attended.data(), precision, pass.delta.data());
      add_and_norm(worker, pass, layer.attention_norm, size, spec_.norm_eps);
      project(worker, pass, layer.up, pass.hidden.data(), precision, pass.up.data());
      for (int64_t i = rows.begin; i < rows.end; ++i) {
        float* row = pass.up.data() + i * spec_.ffn_size;
        kernels::activate(kernels::Activation::kGeluErf, row, spec_.ffn_size, row);
      }
      worker.sync();
      project(worker, pass, layer.down, pass.up.data(), precision, pass.delta.data());
      add_and_norm(worker, pass, layer.ffn_norm, size, spec_.norm_eps);
    }
  });
  return {pass.hidden.data(), pass.hidden.data() + m * size};
}

std::vector<float> mean_pool_unit(std::span<const float> hidden, int64_t hidden_size) {
  std::vector<double> mean(hidden_size, 0.0);
  for (size_t i = 0; i < hidden.size(); ++i) mean[i % hidden_size] += hidden[i];
  double square = 0;
  for (double value : mean) square += value * value;
  const double inverse = square > 0 ? 1 / std::sqrt(square) : 0;
  std::vector<float> unit(hidden_size);
  for (int64_t i = 0; i < hidden_size; ++i) unit[i] = static_cast<float>(mean[i] * inverse);
  return unit;
}

}  // namespace callie::nn
