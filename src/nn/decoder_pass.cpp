#include "nn/decoder_pass.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "kernels/activations.h"
#include "kernels/norm.h"
#include "kernels/rope.h"
#include "kernels/vector_ops.h"
#include "nn/exit_head.h"
#include "nn/perturbation.h"

namespace callie::nn {
namespace {

// Number of a matrix inside its layer, for the noise of perturbations.
enum Matrix { kQkv = 0, kOutput = 1, kGateUp = 2, kDown = 3 };

}  // namespace

DecoderPass::DecoderPass(const Decoder& decoder, const ForwardBatch& batch, Precision precision, const Taps* taps,
                         Decoder::Workspace& workspace, float* logits, int n_workers)
    : spec_(decoder.spec()),
      weights_(decoder.weights()),
      ropes_(decoder.ropes()),
      batch_(batch),
      precision_(precision),
      taps_(taps),
      ws_(workspace),
      logits_(logits),
      n_layers_(static_cast<int>(spec_.layers.size())) {
  if (taps && taps->stop_after_layers > 0) n_layers_ = std::min(n_layers_, taps->stop_after_layers);
  ws_.selected.clear();
  for (size_t i = 0; i < batch.rows.size(); ++i) {
    if (batch.rows[i].wants_logits) ws_.selected.push_back(static_cast<int32_t>(i));
  }
  compacts_ = ws_.selected.size() < batch.rows.size() && !wants_tap(n_layers_ - 1) &&
              !(taps && (taps->head_scale || taps->attention_mass));
  int64_t rope_floats = 0;
  for (const kernels::Rope& rope : ropes_) rope_floats += static_cast<int64_t>(batch.rows.size()) * rope.table_floats();
  ws_.cos_sin.ensure(rope_floats);
  if (taps) {
    const auto n = static_cast<int64_t>(ws_.selected.size());
    for (const ExitHead& exit : taps->exits) {
      ws_.exit_mapped.ensure(n * spec_.hidden_size);
      ws_.exit_logits.ensure(n * exit.head->rows());
    }
  }
  plan_attention(n_workers);
}

bool DecoderPass::wants_tap(int layer) const {
  return taps_ && taps_->after_layer && (!taps_->wanted_layers || layer < 0 || taps_->wanted_layers[layer]);
}

bool DecoderPass::perturbs(int layer) const {
  return taps_ && taps_->perturbation && layer >= taps_->perturbation->layer_begin &&
         layer < taps_->perturbation->layer_end;
}

void DecoderPass::rope_tables(const Worker& worker) {
  const int64_t m = static_cast<int64_t>(batch_.rows.size());
  const auto share = worker.share(m);
  float* table = ws_.cos_sin.data();
  for (const kernels::Rope& rope : ropes_) {
    for (int64_t i = share.begin; i < share.end; ++i) {
      const int64_t position = batch_.rows[i].rope_position;
      rope.fill({&position, 1}, table + i * rope.table_floats());
    }
    table += m * rope.table_floats();
  }
}

void DecoderPass::add_plan(int64_t window, std::span<const int32_t> rows, int n_workers) {
  if (ws_.n_plans == ws_.plans.size()) ws_.plans.emplace_back();
  Plan& plan = ws_.plans[ws_.n_plans++];
  plan.rows.clear();
  plan.window = window;
  const int64_t q_size = spec_.q_size(), row_size = q_size + 2 * spec_.kv_size();
  const int32_t* tail = ws_.tail_slots.data();
  // Rows of a tree carry the slots of their path; `tail` advances over all rows in order, as plan_attention wrote them.
  size_t next = 0;
  for (size_t i = 0; i < batch_.rows.size(); ++i) {
    const ForwardRow& row = batch_.rows[i];
    const int64_t first_new = ws_.tail_starts[i];
    const int32_t* slots = nullptr;
    if (first_new >= 0) {
      slots = tail;
      tail += row.position + 1 - first_new;
    }
    if (next >= rows.size() || rows[next] != static_cast<int32_t>(i)) continue;
    kernels::AttentionRow& out = plan.rows.emplace_back();
    out.q = ws_.qkv.data() + static_cast<int64_t>(i) * row_size;
    out.out = ws_.attended.data() + static_cast<int64_t>(next) * q_size;
    out.n_keys = row.position + 1;
    out.first_key = window > 0 ? std::max<int64_t>(0, out.n_keys - window) : 0;
    out.pages = ws_.page_tables[row.sequence].data();
    if (slots) {
      out.tail_start = first_new;
      out.tail_slots = slots;
    }
    ++next;
  }
  kernels::AttentionShape shape;
  shape.n_heads = static_cast<int>(spec_.n_heads);
  shape.kv = batch_.kv.layout;
  shape.soft_cap = spec_.attention_softcap;
  plan.plan.build(shape, plan.rows, n_workers);
  ws_.attention_partials.ensure(plan.plan.partial_floats());
  ws_.scratch_floats = kernels::AttentionPlan::scratch_floats(shape);
  ws_.attention_scratch.ensure(ws_.scratch_floats * n_workers);
}

void DecoderPass::plan_attention(int n_workers) {
  ws_.page_tables.resize(batch_.sequences.size());
  for (size_t s = 0; s < batch_.sequences.size(); ++s) ws_.page_tables[s].resize(batch_.sequences[s].blocks.size());

  // A row whose own path is not simply "slot = position" lists the slots of its keys from the batch's first on.
  ws_.tail_slots.clear();
  ws_.tail_starts.assign(batch_.rows.size(), -1);
  size_t sequence_begin = 0;
  std::vector<int32_t>& path = ws_.path;
  for (size_t i = 0; i < batch_.rows.size(); ++i) {
    if (i == 0 || batch_.rows[i].sequence != batch_.rows[i - 1].sequence) sequence_begin = i;
    const ForwardRow& row = batch_.rows[i];
    if (row.slot == row.position) continue;
    path.clear();
    int32_t at = static_cast<int32_t>(i);
    while (true) {
      path.push_back(batch_.rows[at].slot);
      if (batch_.rows[at].parent < static_cast<int32_t>(sequence_begin)) break;
      at = batch_.rows[at].parent;
    }
    ws_.tail_starts[i] = batch_.rows[at].position;
    ws_.tail_slots.insert(ws_.tail_slots.end(), path.rbegin(), path.rend());
  }

  ws_.all_rows.resize(batch_.rows.size());
  std::iota(ws_.all_rows.begin(), ws_.all_rows.end(), 0);
  ws_.n_plans = 0;
  std::vector<int64_t>& windows = ws_.windows;
  windows.clear();
  for (int layer = 0; layer < n_layers_; ++layer) {
    const int64_t window = spec_.layers[layer].window;
    if (std::find(windows.begin(), windows.end(), window) == windows.end()) windows.push_back(window);
  }
  for (int64_t window : windows) add_plan(window, ws_.all_rows, n_workers);
  if (compacts_ && !ws_.selected.empty()) add_plan(spec_.layers[n_layers_ - 1].window, ws_.selected, n_workers);
}

void DecoderPass::update_layer_tables(int layer) {
  for (size_t s = 0; s < batch_.sequences.size(); ++s) {
    const auto blocks = batch_.sequences[s].blocks;
    for (size_t b = 0; b < blocks.size(); ++b) ws_.page_tables[s][b] = batch_.kv.page(layer, blocks[b]);
  }
  if (!taps_ || !(taps_->head_scale || taps_->attention_mass)) return;
  const int64_t m = static_cast<int64_t>(batch_.rows.size());
  for (Plan& plan : ws_.current_plans()) {
    for (int64_t i = 0; i < m; ++i) {
      const int64_t place = (layer * m + i) * spec_.n_heads;
      if (taps_->head_scale) plan.rows[i].head_scale = taps_->head_scale + place;
      if (taps_->attention_mass) {
        plan.rows[i].mass = taps_->attention_mass + place;
        plan.rows[i].mass_ranges = {&ws_.mass_range, 1};
      }
    }
  }
}

void DecoderPass::run(const Worker& worker) {
  Flow flow{static_cast<int64_t>(batch_.rows.size()), ws_.residual.data()};
  embed(worker, flow);
  for (int layer = 0; layer < n_layers_; ++layer) {
    attention_half(worker, flow, layer);
    if (flow.m == 0) return;  // nobody wants logits: keys and values are all that was asked for
    mlp_half(worker, flow, layer);
    if (wants_tap(layer)) tap_layer(worker, flow, layer);
    if (taps_ && !taps_->exits.empty()) take_exits(worker, flow, layer);
  }
  head(worker, flow);
}

void DecoderPass::embed(const Worker& worker, Flow& flow) {
  rope_tables(worker);
  if (worker.index == 0 && taps_ && taps_->attention_mass) ws_.mass_range = {taps_->mass_begin, taps_->mass_end};
  const auto share = worker.share(flow.m);
  for (int64_t i = share.begin; i < share.end; ++i) {
    const ForwardRow& row = batch_.rows[i];
    float* out = flow.residual + i * spec_.hidden_size;
    if (row.embedding) {
      std::memcpy(out, row.embedding, spec_.hidden_size * sizeof(float));
      continue;
    }
    weights_.embedding.unpack_row(row.token, out);
    if (spec_.embedding_scale != 1) {
      for (int64_t d = 0; d < spec_.hidden_size; ++d) out[d] *= spec_.embedding_scale;
    }
  }
  if (wants_tap(-1)) tap_layer(worker, flow, -1);
  // The next phase gives each worker the same rows again; no meeting is needed.
}

kernels::QuantizedRows DecoderPass::quantized(int64_t m, int64_t cols) const {
  return {ws_.quantized.data(), m, cols};
}

void DecoderPass::add_and_norm(const Worker& worker, Flow& flow, const std::vector<float>* norm, const Linear* reader) {
  const int64_t hidden = spec_.hidden_size;
  const auto share = worker.share(flow.m);
  for (int64_t i = share.begin; i < share.end; ++i) {
    float* residual = flow.residual + i * hidden;
    if (flow.pending) {
      float* delta = ws_.delta.data() + i * hidden;
      if (flow.pending_norm) kernels::rms_norm(delta, flow.pending_norm->data(), hidden, spec_.norm_eps, delta);
      if (norm) {
        kernels::add_rms_norm(residual, delta, norm->data(), hidden, spec_.norm_eps, ws_.normed.data() + i * hidden);
      } else {
        kernels::add_to(delta, hidden, residual);
      }
    } else if (norm) {
      kernels::rms_norm(residual, norm->data(), hidden, spec_.norm_eps, ws_.normed.data() + i * hidden);
    }
  }
  if (reader && reader->reads_quantized(precision_)) {
    quantize_input(*reader, ws_.normed.data(), flow.m, ws_.quantized.data(), share.begin, share.end, ws_.remainder.data());
  }
  flow.pending = false;
  flow.pending_norm = nullptr;
  worker.sync();
}

void DecoderPass::project(const Worker& worker, const Linear& linear, const float* rows, int64_t m, int layer,
                          int matrix, float* y) {
  const kernels::QuantizedRows input = quantized(linear.fine ? 2 * m : m, linear.cols());
  LinearInput x{rows, linear.cols(), &input};
  if (linear.fine) x.scratch = ws_.fine_scratch.data() + worker.index * fine_scratch_floats(ws_.max_rows);
  linear_forward(worker, linear, x, m, precision_, y, linear.rows());
  worker.sync();
  if (matrix >= 0 && perturbs(layer)) {
    perturb_output(worker, *taps_->perturbation, layer, matrix, rows, m, linear.cols(), linear.rows(), y);
    worker.sync();
  }
}

void DecoderPass::rotate_and_store(const Worker& worker, int layer) {
  const DecoderLayer& weights = weights_.layers[layer];
  const LayerSpec& spec = spec_.layers[layer];
  const kernels::Rope& rope = ropes_[spec.rope];
  const int64_t m = static_cast<int64_t>(batch_.rows.size());
  const int64_t head_dim = spec_.head_dim, row_size = spec_.q_size() + 2 * spec_.kv_size();
  const float scale =
      spec_.attention_scale > 0 ? spec_.attention_scale : 1 / std::sqrt(static_cast<float>(head_dim));
  const float* tables = ws_.cos_sin.data();
  for (int r = 0; r < spec.rope; ++r) tables += m * ropes_[r].table_floats();

  // Items: each query head of each row, and as one item the keys and values of each row.
  const int64_t per_row = spec_.n_heads + 1;
  const auto share = worker.share(m * per_row);
  for (int64_t item = share.begin; item < share.end; ++item) {
    const int64_t i = item / per_row, h = item % per_row;
    float* row = ws_.qkv.data() + i * row_size;
    const float* table = tables + i * rope.table_floats();
    if (h < spec_.n_heads) {
      float* head = row + h * head_dim;
      if (spec_.qk_norm) kernels::rms_norm(head, weights.query_norm.data(), head_dim, spec_.norm_eps, head);
      rope.apply_scaled(table, head, 1, scale);
      continue;
    }
    float* keys = row + spec_.q_size();
    if (spec_.qk_norm) {
      kernels::rms_norm_heads(keys, weights.key_norm.data(), spec_.n_kv_heads, head_dim, spec_.norm_eps);
    }
    rope.apply(table, keys, spec_.n_kv_heads);
    const ForwardRow& source = batch_.rows[i];
    const int page_tokens = batch_.kv.layout.page_tokens;
    const int32_t block = batch_.sequences[source.sequence].blocks[source.slot / page_tokens];
    kernels::kv_write(batch_.kv.layout, batch_.kv.page(layer, block), source.slot % page_tokens, keys,
                      keys + spec_.kv_size());
  }
  worker.sync();
}

void DecoderPass::attend(const Worker& worker, Plan& plan) {
  float* scratch = ws_.attention_scratch.data() + worker.index * ws_.scratch_floats;
  plan.plan.run(plan.rows, worker.index, scratch, ws_.attention_partials.data());
  worker.sync();
  if (plan.plan.needs_merge()) {
    plan.plan.merge(plan.rows, worker.index, ws_.attention_partials.data());
    worker.sync();
  }
}

void DecoderPass::keep_selected_rows(const Worker& worker, Flow& flow) {
  const int64_t n = static_cast<int64_t>(ws_.selected.size()), hidden = spec_.hidden_size;
  const auto share = worker.share(n);
  for (int64_t i = share.begin; i < share.end; ++i) {
    std::memcpy(ws_.selected_residual.data() + i * hidden, flow.residual + ws_.selected[i] * hidden,
                hidden * sizeof(float));
  }
  flow.m = n;
  flow.residual = ws_.selected_residual.data();
}

void DecoderPass::attention_half(const Worker& worker, Flow& flow, int layer) {
  const DecoderLayer& weights = weights_.layers[layer];
  // Nobody reads the tables between the end of the last layer's attention and this phase's meeting.
  if (worker.index == worker.count - 1) update_layer_tables(layer);
  add_and_norm(worker, flow, &weights.attention_norm, &weights.qkv);
  project(worker, weights.qkv, ws_.normed.data(), flow.m, layer, kQkv, ws_.qkv.data());
  rotate_and_store(worker, layer);

  const bool compact = compacts_ && is_last(layer);
  if (compact) keep_selected_rows(worker, flow);
  if (flow.m == 0) return;
  const int64_t window = spec_.layers[layer].window;
  const std::span<Plan> plans = ws_.current_plans();
  Plan& plan = compact ? plans.back()
                       : *std::find_if(plans.begin(), plans.end(),
                                       [&](const Plan& candidate) { return candidate.window == window; });
  attend(worker, plan);

  if (weights.output.reads_quantized(precision_)) {
    const kernels::QuantizedRows out = quantized(flow.m, spec_.q_size());
    const int64_t units = out.units();
    const auto share = worker.share(flow.m * units);
    for (int64_t item = share.begin; item < share.end;) {
      const int64_t i = item / units, begin = item % units, end = std::min(units, begin + share.end - item);
      kernels::quantize_rows(ws_.attended.data(), spec_.q_size(), out, i, i + 1, begin, end);
      item += end - begin;
    }
    worker.sync();
  }
  project(worker, weights.output, ws_.attended.data(), flow.m, layer, kOutput, ws_.delta.data());
  flow.pending = true;
  flow.pending_norm = spec_.post_norms ? &weights.post_attention_norm : nullptr;
}

void DecoderPass::mlp_half(const Worker& worker, Flow& flow, int layer) {
  const DecoderLayer& weights = weights_.layers[layer];
  const int64_t ffn = spec_.ffn_size;
  add_and_norm(worker, flow, &weights.ffn_norm, &weights.gate_up);
  project(worker, weights.gate_up, ws_.normed.data(), flow.m, layer, kGateUp, ws_.gate_up.data());

  const bool quantize = weights.down.reads_quantized(precision_);
  const kernels::QuantizedRows out = quantized(flow.m, ffn);
  // Units of 32 columns: what one quantization group needs is computed by one worker.
  constexpr int64_t kUnit = kernels::kUnitColumns;
  const int64_t units = (ffn + kUnit - 1) / kUnit;
  const auto share = worker.share(flow.m * units);
  for (int64_t item = share.begin; item < share.end;) {
    const int64_t i = item / units, begin = item % units, end = std::min(units, begin + share.end - item);
    const int64_t from = begin * kUnit, n = std::min(ffn, end * kUnit) - from;
    const float* gate = ws_.gate_up.data() + i * 2 * ffn + from;
    float* activated = ws_.activated.data() + i * ffn + from;
    kernels::gated(spec_.activation, gate, gate + ffn, n, activated);
    if (quantize) kernels::quantize_rows(ws_.activated.data(), ffn, out, i, i + 1, begin, end);
    item += end - begin;
  }
  worker.sync();
  project(worker, weights.down, ws_.activated.data(), flow.m, layer, kDown, ws_.delta.data());
  flow.pending = true;
  flow.pending_norm = spec_.post_norms ? &weights.post_ffn_norm : nullptr;
}

void DecoderPass::tap_layer(const Worker& worker, Flow& flow, int layer) {
  if (layer >= 0) {
    add_and_norm(worker, flow, nullptr, nullptr);
  } else {
    worker.sync();
  }
  if (worker.index == 0) {
    taps_->after_layer(layer, {flow.residual, static_cast<size_t>(flow.m * spec_.hidden_size)});
  }
  worker.sync();
}

void DecoderPass::take_exits(const Worker& worker, Flow& flow, int layer) {
  const auto n = static_cast<int64_t>(ws_.selected.size());
  for (size_t e = 0; e < taps_->exits.size(); ++e) {
    const ExitHead& exit = taps_->exits[e];
    if (exit.layer != layer || n == 0 || is_last(layer)) continue;
    add_and_norm(worker, flow, nullptr, nullptr);
    const int64_t hidden = spec_.hidden_size;
    const auto share = worker.share(n);
    for (int64_t i = share.begin; i < share.end; ++i) {
      kernels::rms_norm(flow.residual + ws_.selected[i] * hidden, nullptr, hidden, spec_.norm_eps,
                        ws_.normed.data() + i * hidden);
    }
    worker.sync();
    const ExitScratch scratch{ws_.normed.data(),    ws_.exit_mapped.data(),  ws_.quantized.data(),
                              ws_.remainder.data(), ws_.fine_scratch.data(), fine_scratch_floats(ws_.max_rows)};
    exit_forward(worker, exit, scratch, n, precision_, ws_.exit_logits.data());
    if (worker.index == 0) {
      taps_->on_exit(static_cast<int>(e),
                     {n, {ws_.exit_mapped.data(), static_cast<size_t>(n * hidden)},
                      {ws_.exit_logits.data(), static_cast<size_t>(n * exit.head->rows())}});
    }
  }
}

void DecoderPass::head(const Worker& worker, Flow& flow) {
  if (ws_.selected.empty()) return;
  if (flow.m != static_cast<int64_t>(ws_.selected.size())) {
    add_and_norm(worker, flow, nullptr, nullptr);
    keep_selected_rows(worker, flow);
  }
  const Linear& head = taps_ && taps_->head ? *taps_->head : weights_.head;
  add_and_norm(worker, flow, &weights_.output_norm, &head);
  project(worker, head, ws_.normed.data(), flow.m, -1, -1, logits_);
  if (spec_.logit_softcap > 0) {
    const auto share = worker.share(flow.m * head.rows());
    kernels::soft_cap(logits_ + share.begin, share.end - share.begin, spec_.logit_softcap);
  }
}

}  // namespace callie::nn
