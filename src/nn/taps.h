#pragma once

#include <cstdint>
#include <functional>
#include <span>

namespace callie::nn {

struct ExitHead;
struct Linear;

/// What an exit computed for the rows of the batch that want logits, in row order.
struct ExitRows {
  int64_t rows = 0;
  std::span<const float> mapped;  ///< [rows, hidden_size]: what the model's head would read
  std::span<const float> logits;  ///< [rows, head rows]
};

/// Noise added to the weights of one block of layers during a pass: y = (W + scale * Z) x, where Z is a matrix of
/// independent ±1 drawn by counter from (seed, layer, matrix, row, column). The weights in memory stay as they are
/// (zeroth-order tuning, MeZO: arXiv 2305.17333).
struct Perturbation {
  int layer_begin = 0, layer_end = 0;
  uint64_t seed = 0;
  float scale = 0;
};

/// What a caller reads from or changes in a forward pass, without touching a model. All members are optional.
struct Taps {
  /// Called after a layer with the residual stream of every row of the batch, [n_rows, hidden_size]; layer -1 is the
  /// embedding. All workers wait meanwhile; the rows may be changed in place.
  std::function<void(int layer, std::span<float> hidden)> after_layer;
  /// Layers for which after_layer is called, as a bit set by layer; nullptr = all. [n_layers] bytes.
  const uint8_t* wanted_layers = nullptr;

  /// Factor on each head's output, [n_layers, n_rows, n_heads]; 0 mutes a head. nullptr = all one.
  const float* head_scale = nullptr;

  /// Attention mass: for each row and head the probability that falls on keys [mass_begin, mass_end).
  /// [n_layers, n_rows, n_heads], written by the pass. nullptr = not asked for.
  float* attention_mass = nullptr;
  int64_t mass_begin = 0, mass_end = 0;

  const Perturbation* perturbation = nullptr;

  /// Used instead of the model's head: a part of its rows, or cheaper ones (drafts, exits). Reads the same normed hidden
  /// states; a row of logits then has head->rows() floats. Not fine where the model is not.
  const Linear* head = nullptr;

  /// Early exits, at most one after a layer, and who hears of them while the pass goes on: called on the first worker, `exit`
  /// counts from 0. An exit reads the pass and changes nothing in it.
  std::span<const ExitHead> exits;
  std::function<void(int exit, const ExitRows& rows)> on_exit;

  /// The pass ends after this many layers (0 = all): early exits and logit lens read the residual stream there.
  int stop_after_layers = 0;
};

}  // namespace callie::nn
