#include "nn/decoder.h"

#include <algorithm>

#include "nn/decoder_pass.h"
#include "nn/decoder_workspace.h"

namespace callie::nn {

StatusOr<std::unique_ptr<Decoder>> Decoder::create(DecoderSpec spec, DecoderWeights weights) {
  std::vector<kernels::Rope> ropes;
  for (const kernels::RopeOptions& options : spec.ropes) {
    CALLIE_ASSIGN_OR_RETURN(ropes.emplace_back(), kernels::Rope::create(options));
  }
  return std::unique_ptr<Decoder>(new Decoder(std::move(spec), std::move(weights), std::move(ropes)));
}

Decoder::Decoder(DecoderSpec spec, DecoderWeights weights, std::vector<kernels::Rope> ropes)
    : spec_(std::move(spec)), weights_(std::move(weights)), ropes_(std::move(ropes)) {}

Decoder::~Decoder() = default;

std::unique_ptr<Decoder::Workspace, void (*)(Decoder::Workspace*)> Decoder::make_workspace(const DecoderSpec& spec,
                                                                                           int64_t max_rows,
                                                                                           int n_threads) {
  return {new Workspace(spec, max_rows, n_threads), [](Workspace* workspace) { delete workspace; }};
}

void Decoder::forward(const ForwardBatch& batch, Precision precision, const Taps* taps, Workspace& workspace,
                      float* logits, ThreadPool& pool) const {
  DecoderPass pass(*this, batch, precision, taps, workspace, logits, pool.size());
  pool.run([&](const Worker& worker) { pass.run(worker); });
}

int64_t Decoder::bytes_per_token() const {
  int64_t bytes = weights_.head.bytes();
  for (const DecoderLayer& layer : weights_.layers) {
    bytes += layer.qkv.bytes() + layer.output.bytes() + layer.gate_up.bytes() + layer.down.bytes();
  }
  return bytes;
}

int64_t Decoder::macs_per_token() const {
  int64_t macs = 0;
  for (const DecoderLayer& layer : weights_.layers) {
    for (const Linear* linear : {&layer.qkv, &layer.output, &layer.gate_up, &layer.down}) {
      macs += linear->rows() * linear->cols();
    }
  }
  return macs;
}

Decoder::Workspace::Workspace(const DecoderSpec& spec, int64_t max_rows, int n_threads)
    : residual(max_rows * spec.hidden_size),
      selected_residual(max_rows * spec.hidden_size),
      normed(max_rows * spec.hidden_size),
      delta(max_rows * spec.hidden_size),
      qkv(max_rows * (spec.q_size() + 2 * spec.kv_size())),
      attended(max_rows * spec.q_size()),
      gate_up(max_rows * 2 * spec.ffn_size),
      activated(max_rows * spec.ffn_size),
      quantized(kernels::quantized_rows_bytes(
          max_rows, std::max({(spec.fine_inputs ? 2 : 1) * spec.hidden_size, spec.q_size(), spec.ffn_size}))),
      remainder(spec.fine_inputs ? 2 * max_rows * spec.hidden_size : 0),
      fine_scratch(spec.fine_inputs ? n_threads * fine_scratch_floats(max_rows) : 0),
      max_rows(max_rows),
      n_threads(n_threads) {}

}  // namespace callie::nn
