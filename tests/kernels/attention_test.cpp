// Attention against a float64 reference over the stored (dequantized) keys and values, on every
// instruction set, and the same bits for any company, split and number of workers.

#include "kernels/attention.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <vector>

#include "kernels/each_target.h"

namespace callie::kernels {
namespace {

/// A sequence's cache for one layer with `n` written slots; every other byte is set (NaN as a
/// float), so that reading an unwritten slot shows.
struct Cache {
  KvLayout layout;
  std::vector<std::unique_ptr<uint8_t[]>> storage;
  std::vector<const uint8_t*> pages;
  std::vector<float> k, v;  // as stored, [n, heads, dim]

  Cache(const KvLayout& kv, int64_t n, uint64_t seed) : layout(kv) {
    const int64_t n_pages = (n + kv.page_tokens - 1) / kv.page_tokens;
    for (int64_t i = 0; i < n_pages; ++i) {
      storage.emplace_back(new uint8_t[kv.page_bytes + 64]);
      std::memset(storage.back().get(), 0xFF, kv.page_bytes + 64);
      uint8_t* base = storage.back().get();
      pages.push_back(base + (64 - reinterpret_cast<uintptr_t>(base) % 64) % 64);
    }
    const size_t k_row = kv.n_kv_heads * kv.k_head_dim, v_row = kv.n_kv_heads * kv.v_head_dim;
    const std::vector<float> all_k = random_floats(n * k_row, seed, 1.5f),
                             all_v = random_floats(n * v_row, seed + 1);
    k.resize(n * k_row);
    v.resize(n * v_row);
    for (int64_t i = 0; i < n; ++i) {
      uint8_t* page = const_cast<uint8_t*>(pages[i / kv.page_tokens]);
      kv_write(kv, page, i % kv.page_tokens, all_k.data() + i * k_row, all_v.data() + i * v_row);
      kv_read(kv, page, i % kv.page_tokens, k.data() + i * k_row, v.data() + i * v_row);
    }
  }
};

/// One row in float64. kQ4 keys and values are stored rotated, so the query is rotated and the
/// output rotated back.
void reference(const AttentionShape& shape, const Cache& cache, const AttentionRow& row,
               std::vector<double>& out, std::vector<double>& mass) {
  const KvLayout& kv = shape.kv;
  const int group = shape.n_heads / kv.n_kv_heads;
  out.assign(size_t(shape.n_heads) * kv.v_head_dim, 0.0);
  mass.assign(size_t(shape.n_heads) * row.mass_ranges.size(), 0.0);
  for (int h = 0; h < shape.n_heads; ++h) {
    std::vector<float> q(row.q + h * kv.k_head_dim, row.q + (h + 1) * kv.k_head_dim);
    if (kv.k == KvFormat::kQ4) hadamard_rotate(q.data(), kv.k_head_dim);
    std::vector<double> s(row.n_keys, -INFINITY);
    double largest = -INFINITY;
    const auto slot_of = [&](int64_t j) {
      return row.tail_slots != nullptr && j >= row.tail_start
                 ? int64_t{row.tail_slots[j - row.tail_start]}
                 : j;
    };
    for (int64_t j = row.first_key; j < row.n_keys; ++j) {
      const float* k = cache.k.data() + (slot_of(j) * kv.n_kv_heads + h / group) * kv.k_head_dim;
      double dot = 0;
      for (int d = 0; d < kv.k_head_dim; ++d) dot += double(q[d]) * k[d];
      s[j] = shape.soft_cap > 0 ? shape.soft_cap * std::tanh(dot / shape.soft_cap) : dot;
      largest = std::max(largest, s[j]);
    }
    double total = 0;
    for (int64_t j = row.first_key; j < row.n_keys; ++j) total += s[j] = std::exp(s[j] - largest);
    std::vector<float> rotated(kv.v_head_dim);
    for (int d = 0; d < kv.v_head_dim; ++d) {
      double sum = 0;
      for (int64_t j = row.first_key; j < row.n_keys; ++j) {
        sum += s[j] * cache.v[(slot_of(j) * kv.n_kv_heads + h / group) * kv.v_head_dim + d];
      }
      const double scale = row.head_scale != nullptr ? row.head_scale[h] : 1.0;
      out[size_t(h) * kv.v_head_dim + d] = scale * sum / total;
    }
    if (kv.v == KvFormat::kQ4) {
      for (int d = 0; d < kv.v_head_dim; ++d)
        rotated[d] = static_cast<float>(out[size_t(h) * kv.v_head_dim + d]);
      hadamard_rotate(rotated.data(), kv.v_head_dim);
      for (int d = 0; d < kv.v_head_dim; ++d) out[size_t(h) * kv.v_head_dim + d] = rotated[d];
    }
    for (size_t i = 0; i < row.mass_ranges.size(); ++i) {
      double sum = 0;
      for (int64_t j = std::max(row.first_key, row.mass_ranges[i].begin);
           j < std::min(row.n_keys, row.mass_ranges[i].end); ++j) {
        sum += s[j];
      }
      mass[h * row.mass_ranges.size() + i] = sum / total;
    }
  }
}

/// Runs all rows with `workers` workers, one after the other (the order of workers must not
/// matter).
void run_plan(const AttentionShape& shape, std::span<const AttentionRow> rows, int workers) {
  AttentionPlan plan;
  plan.build(shape, rows, workers);
  std::vector<float> scratch(AttentionPlan::scratch_floats(shape), NAN),
      partials(plan.partial_floats(), NAN);
  for (int w = workers - 1; w >= 0; --w) plan.run(rows, w, scratch.data(), partials.data());
  if (plan.needs_merge()) {
    for (int w = workers - 1; w >= 0; --w) plan.merge(rows, w, partials.data());
  }
}

struct Case {
  const char* name;
  int heads, kv_heads, k_dim, v_dim;
  KvFormat k, v;
  int page_tokens;
  float soft_cap;
};
const Case kCases[] = {
    {"qwen 0.5b", 14, 2, 64, 64, KvFormat::kF16, KvFormat::kF16, 64, 0},
    {"qwen 1.5b", 12, 2, 128, 128, KvFormat::kF16, KvFormat::kF16, 32, 0},
    {"smollm", 9, 3, 64, 64, KvFormat::kF16, KvFormat::kF16, 64, 0},
    {"gemma", 4, 1, 256, 256, KvFormat::kF16, KvFormat::kF16, 64, 30},
    {"f32", 6, 3, 64, 64, KvFormat::kF32, KvFormat::kF32, 64, 0},
    {"q8", 6, 2, 64, 64, KvFormat::kQ8, KvFormat::kQ8, 64, 0},
    {"q4", 6, 2, 64, 64, KvFormat::kQ4, KvFormat::kQ4, 64, 0},
    {"mixed", 3, 1, 80, 96, KvFormat::kQ8, KvFormat::kQ4, 16, 0},
    {"odd", 2, 2, 33, 17, KvFormat::kF16, KvFormat::kQ8, 128, 10},
    {"odd q4", 5, 1, 33, 17, KvFormat::kQ4, KvFormat::kF16, 256, 0},
    {"one", 1, 1, 1, 1, KvFormat::kF16, KvFormat::kF16, 16, 0},
};

AttentionShape shape_of(const Case& c) {
  AttentionShape shape;
  shape.n_heads = c.heads;
  shape.kv = make_kv_layout(c.k, c.v, c.page_tokens, c.kv_heads, c.k_dim, c.v_dim).value();
  shape.soft_cap = c.soft_cap;
  return shape;
}

/// Restores the best instruction set at the end of a test.
struct EachTarget {
  ~EachTarget() { set_target(""); }
};

TEST(Attention, EqualsTheFloat64ReferenceOnEveryTarget) {
  EachTarget restore;
  const int64_t kKeys = 700;
  for (const Case& c : kCases) {
    const AttentionShape shape = shape_of(c);
    const Cache cache(shape.kv, kKeys, 7);
    const KeyRange ranges[] = {{0, 4}, {200, 300}, {650, 10000}};
    for (const std::string& target : list_targets()) {
      ASSERT_TRUE(set_target(target));
      for (const auto& [n_keys, first_key] : std::vector<std::pair<int64_t, int64_t>>{{1, 0},
                                                                                      {2, 0},
                                                                                      {17, 0},
                                                                                      {255, 0},
                                                                                      {256, 0},
                                                                                      {257, 0},
                                                                                      {700, 0},
                                                                                      {700, 188},
                                                                                      {513, 511},
                                                                                      {600, 256}}) {
        const std::vector<float> q = random_floats(shape.n_heads * shape.kv.k_head_dim, n_keys,
                                                   1.0f / std::sqrt(float(c.k_dim)));
        std::vector<float> out(shape.n_heads * shape.kv.v_head_dim), mass(shape.n_heads * 3);
        AttentionRow row{q.data(), out.data(), n_keys, first_key, cache.pages.data()};
        row.mass_ranges = ranges;
        row.mass = mass.data();
        run_plan(shape, {&row, 1}, 1);
        std::vector<double> expected, expected_mass;
        reference(shape, cache, row, expected, expected_mass);
        // A score is a chain of k_dim roundings of terms of at most |q||k|, about 2^-24 sqrt(k_dim)
        // |s| <= 1e-5 here; it moves a probability by as much, relatively, and exp2 adds 2e-7.
        // Outputs are convex sums of |v| <= 12.
        for (size_t i = 0; i < out.size(); ++i) {
          ASSERT_NEAR(out[i], expected[i], 5e-5)
              << c.name << " " << target << " keys " << n_keys << " at " << i;
        }
        for (size_t i = 0; i < mass.size(); ++i)
          ASSERT_NEAR(mass[i], expected_mass[i], 2e-5) << c.name;
      }
    }
  }
}

TEST(Attention, SameBitsForAnyCompanyWorkersAndInstructionSet) {
  EachTarget restore;
  const int64_t kKeys = 600, kRows = 75;
  for (const Case& c : kCases) {
    const AttentionShape shape = shape_of(c);
    const Cache cache(shape.kv, kKeys, 11), other(shape.kv, 400, 12);
    const size_t q_row = shape.n_heads * shape.kv.k_head_dim,
                 out_row = shape.n_heads * shape.kv.v_head_dim;
    const std::vector<float> q = random_floats((kRows + 1) * q_row, 5, 0.3f);
    std::vector<float> alone(kRows * out_row), together((kRows + 1) * out_row);
    std::vector<AttentionRow> rows;
    for (int64_t r = 0; r < kRows; ++r) {
      // Causal rows at the end of the cache; the later half with a sliding window.
      const int64_t n_keys = kKeys - kRows + r + 1;
      rows.push_back({q.data() + r * q_row, alone.data() + r * out_row, n_keys,
                      r < kRows / 2 ? 0 : n_keys - 300, cache.pages.data()});
    }
    for (const AttentionRow& row : rows) run_plan(shape, {&row, 1}, 1);
    std::vector<std::string> targets = list_targets();
    for (const std::string& target : targets) {
      if (target == "SCALAR") continue;  // no fused multiply-add
      ASSERT_TRUE(set_target(target));
      for (const int workers : {1, 2, 3, 7}) {
        for (const int64_t step : {int64_t{1}, int64_t{2}, int64_t{5}, int64_t{8}, kRows}) {
          std::fill(together.begin(), together.end(), NAN);
          for (int64_t r = 0; r < kRows; r += step) {
            std::vector<AttentionRow> part;
            // Company: a row of another sequence in front.
            part.push_back({q.data() + kRows * q_row, together.data() + kRows * out_row, 333, 0,
                            other.pages.data()});
            for (int64_t i = r; i < std::min(kRows, r + step); ++i) {
              part.push_back(rows[i]);
              part.back().out = together.data() + i * out_row;
            }
            run_plan(shape, part, workers);
          }
          ASSERT_EQ(0, std::memcmp(alone.data(), together.data(), alone.size() * sizeof(float)))
              << c.name << " " << target << " workers " << workers << " step " << step;
        }
      }
    }
  }
}

TEST(Attention, TreeRowsEqualTheSameTokensInARow) {
  for (const Case& c : kCases) {
    const AttentionShape shape = shape_of(c);
    const size_t q_row = shape.n_heads * shape.kv.k_head_dim,
                 out_row = shape.n_heads * shape.kv.v_head_dim;
    const int64_t kTail = 250;  // the tail crosses a chunk border
    Cache cache(shape.kv, 300, 3);
    // The row sees slots 0..249 and then some of 250..299; the same tokens copied in order are the
    // reference.
    const std::vector<int32_t> slots = {251, 254, 259, 260, 270, 271, 272, 299, 255, 253};
    Cache straight(shape.kv, kTail + static_cast<int64_t>(slots.size()), 99);
    for (int64_t j = 0; j < kTail + static_cast<int64_t>(slots.size()); ++j) {
      const int64_t from = j < kTail ? j : slots[j - kTail];
      const int tokens = shape.kv.page_tokens;
      kv_copy_slot(shape.kv, cache.pages[from / tokens], from % tokens,
                   const_cast<uint8_t*>(straight.pages[j / tokens]), j % tokens);
    }
    const std::vector<float> q = random_floats(3 * q_row, 21, 0.3f);
    std::vector<float> tree(3 * out_row), flat(3 * out_row);
    std::vector<AttentionRow> tree_rows, flat_rows;
    for (int64_t r = 0; r < 3; ++r) {
      const int64_t n_keys = kTail + static_cast<int64_t>(slots.size()) - 2 + r;
      tree_rows.push_back(
          {q.data() + r * q_row, tree.data() + r * out_row, n_keys, 0, cache.pages.data()});
      tree_rows.back().tail_start = kTail;
      tree_rows.back().tail_slots = slots.data();
      flat_rows.push_back(
          {q.data() + r * q_row, flat.data() + r * out_row, n_keys, 0, straight.pages.data()});
    }
    run_plan(shape, tree_rows, 2);
    run_plan(shape, flat_rows, 1);
    ASSERT_EQ(0, std::memcmp(tree.data(), flat.data(), tree.size() * sizeof(float))) << c.name;
  }
}

TEST(Attention, MutedHeadsGiveZeroAndOthersKeepTheirBits) {
  const AttentionShape shape = shape_of(kCases[0]);
  const Cache cache(shape.kv, 100, 3);
  const std::vector<float> q = random_floats(14 * 64, 1, 0.3f);
  std::vector<float> plain(14 * 64), muted(14 * 64), scales(14, 1.0f);
  scales[3] = scales[13] = 0.0f;
  AttentionRow row{q.data(), plain.data(), 100, 0, cache.pages.data()};
  run_plan(shape, {&row, 1}, 1);
  row.out = muted.data();
  row.head_scale = scales.data();
  run_plan(shape, {&row, 1}, 1);
  for (size_t i = 0; i < plain.size(); ++i) {
    const bool mute = i / 64 == 3 || i / 64 == 13;
    EXPECT_EQ(muted[i], mute ? 0.0f : plain[i]);
  }
}

TEST(Attention, BidirectionalEqualsTheFloat64Reference) {
  EachTarget restore;
  for (const std::string& target : list_targets()) {
    ASSERT_TRUE(set_target(target));
    for (const int64_t n : {1, 2, 15, 16, 17, 40, 256, 300}) {
      for (const int dim : {32, 64, 20}) {
        const int64_t stride = 3 * dim + 1;
        const std::vector<float> x = random_floats(n * stride, n + dim, 0.5f);
        std::vector<float> out(n * dim),
            scratch(attention_bidirectional_scratch_floats(n, dim), NAN);
        attention_bidirectional({x.data(), x.data() + dim, x.data() + 2 * dim, out.data(), n, dim,
                                 stride, stride, stride, dim},
                                scratch.data());
        for (int64_t i = 0; i < n; ++i) {
          std::vector<double> p(n), expected(dim);
          double total = 0;
          for (int64_t j = 0; j < n; ++j) {
            double dot = 0;
            for (int d = 0; d < dim; ++d)
              dot += double(x[i * stride + d]) * x[j * stride + dim + d];
            total += p[j] = std::exp(dot);
          }
          for (int d = 0; d < dim; ++d) {
            double sum = 0;
            for (int64_t j = 0; j < n; ++j) sum += p[j] * x[j * stride + 2 * dim + d];
            ASSERT_NEAR(out[i * dim + d], sum / total, 3e-5)
                << target << " n " << n << " dim " << dim;
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace callie::kernels
