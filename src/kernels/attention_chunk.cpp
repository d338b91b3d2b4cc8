#include "kernels/attention_chunk.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/attention_chunk.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cstring>
#include <limits>

#include "kernels/math-inl.h"
#include "kernels/panel_product-inl.h"

HWY_BEFORE_NAMESPACE();
namespace callie::kernels::HWY_NAMESPACE {

constexpr float kLog2E = 0x1.715476p0f;

void load_queries(const AttentionShape& shape, const AttentionRow* rows, int n_rows, int kv_head,
                  const AttentionScratch& scratch) {
  const int dim = shape.kv.k_head_dim;
  const int group = shape.n_heads / shape.kv.n_kv_heads;
  const float unit = shape.soft_cap > 0.0f ? 1.0f : kLog2E;
  const bool rotate = shape.kv.k == KvFormat::kQ4;
  for (int r = 0; r < n_rows; ++r) {
    for (int g = 0; g < group; ++g) {
      const float* from = rows[r].q + (int64_t{kv_head} * group + g) * dim;
      float* to = scratch.q + (int64_t{r} * group + g) * kRowStride;
      for (int d = 0; d < dim; ++d) to[d] = from[d] * unit;
      if (!rotate) continue;
      hadamard_rotate(to, dim);
      V16 sum = zero16();
      int d = 0;
      for (; d + 16 <= dim; d += 16) sum = add(sum, load16(to + d));
      if (d < dim) sum = add(sum, load16n(to + d, dim - d));
      scratch.q_sum[int64_t{r} * group + g] = reduce_add(sum);
    }
  }
}

/// Where the keys of a part of a chunk lie: columns [begin, end) of the chunk, as panels in a page
/// or in the scratch.
struct Segment {
  int begin, end;    ///< key offsets inside the chunk; exact
  const uint8_t* k;  ///< panel of the 16 keys that contain `begin`, in the page's format
  const uint8_t* v;  ///< row `begin` of the first panel of V
  int64_t v_stride;  ///< elements between V's panels
};

/// The rows of one tile that work on one chunk together.
struct ChunkView {
  const AttentionShape& shape;
  const AttentionRow* rows;  ///< of the tile's part
  int n_rows, group;
  int64_t start;   ///< key index of the chunk's first key
  int begin, end;  ///< key offsets that any row sees

  int visible_begin(int r) const {
    return static_cast<int>(std::clamp<int64_t>(rows[r].first_key - start, begin, end));
  }
  int visible_end(int r) const {
    return static_cast<int>(std::clamp<int64_t>(rows[r].n_keys - start, begin, end));
  }
};

/// Widens the scales (and minima) of keys slot … slot + count - 1 of a page, if the format has any.
HWY_INLINE void load_scales(KvFormat format, const uint8_t* scales, int page_tokens, int slot,
                            int count, float* scale, float* min) {
  if (format == KvFormat::kF32 || format == KvFormat::kF16) return;
  const uint16_t* halves = reinterpret_cast<const uint16_t*>(scales);
  for (int i = 0; i < count; i += 16) {
    store16(load16_f16(halves + slot + i), scale + i);
    if (format == KvFormat::kQ4) store16(load16_f16(halves + page_tokens + slot + i), min + i);
  }
}

/// Widens key panels [slot, slot + count) of a page; count and slot are multiples of 16.
HWY_INLINE void widen_keys(const KvLayout& kv, const uint8_t* data, int slot, int count,
                           float* to) {
  const int64_t dim = kv.k_head_dim;
  const int64_t first = slot / 16 * dim, rows = count / 16 * dim;
  switch (kv.k) {
    case KvFormat::kF32:
      std::memcpy(to, data + first * 64, rows * 64);
      return;
    case KvFormat::kF16: {
      const uint16_t* from = reinterpret_cast<const uint16_t*>(data) + first * 16;
      for (int64_t i = 0; i < rows; ++i) store16(load16_f16(from + 16 * i), to + 16 * i);
      return;
    }
    case KvFormat::kQ8: {
      const int8_t* from = reinterpret_cast<const int8_t*>(data) + first * 16;
      for (int64_t i = 0; i < rows; ++i) store16(load16_i8(from + 16 * i), to + 16 * i);
      return;
    }
    case KvFormat::kQ4: {
      const int64_t pairs = (dim + 1) / 2;
      for (int panel = 0; panel < count / 16; ++panel) {
        const uint8_t* from = data + (slot / 16 + panel) * pairs * 16;
        float* out = to + panel * dim * 16;
        for (int64_t i = 0; i < pairs; ++i) {
          V16 low, high;
          load16_nibbles(from + 16 * i, low, high);
          store16(low, out + 32 * i);
          if (2 * i + 1 < dim) store16(high, out + 32 * i + 16);
        }
      }
      return;
    }
  }
}

/// Widens value rows [slot, slot + count) of a page to rows `to` of each panel of the scratch.
HWY_INLINE void widen_values(const KvLayout& kv, const uint8_t* data, int slot, int count,
                             float* to) {
  const int panels = (kv.v_head_dim + 15) / 16;
  const int64_t tokens = kv.page_tokens;
  const int64_t to_stride = int64_t{kAttentionChunk} * 16;
  if (kv.v == KvFormat::kQ4) {
    for (int panel = 0; panel < panels; panel += 2) {
      const uint8_t* from = data + (panel / 2 * tokens + slot) * 16;
      for (int i = 0; i < count; ++i) {
        V16 low, high;
        load16_nibbles(from + 16 * i, low, high);
        store16(low, to + panel * to_stride + 16 * i);
        if (panel + 1 < panels) store16(high, to + (panel + 1) * to_stride + 16 * i);
      }
    }
    return;
  }
  for (int panel = 0; panel < panels; ++panel) {
    const int64_t first = (panel * tokens + slot) * 16;
    float* out = to + panel * to_stride;
    if (kv.v == KvFormat::kF32) {
      std::memcpy(out, reinterpret_cast<const float*>(data) + first, int64_t{count} * 64);
    } else if (kv.v == KvFormat::kF16) {
      const uint16_t* from = reinterpret_cast<const uint16_t*>(data) + first;
      for (int i = 0; i < count; ++i) store16(load16_f16(from + 16 * i), out + 16 * i);
    } else {
      const int8_t* from = reinterpret_cast<const int8_t*>(data) + first;
      for (int i = 0; i < count; ++i) store16(load16_i8(from + 16 * i), out + 16 * i);
    }
  }
}

/// Turns raw scores into probabilities relative to the row's maximum; fills the headers of the
/// states.
void softmax_scores(const ChunkView& view, const AttentionScratch& scratch, float* states,
                    int64_t state) {
  const KvLayout& kv = view.shape.kv;
  const int low = view.begin / 16 * 16, high = (view.end + 15) / 16 * 16;
  const float infinity = std::numeric_limits<float>::infinity();
  const float cap = view.shape.soft_cap;
  for (int r = 0; r < view.n_rows; ++r) {
    const AttentionRow& row = view.rows[r];
    const int begin = view.visible_begin(r), end = view.visible_end(r);
    for (int g = 0; g < view.group; ++g) {
      const int64_t query = int64_t{r} * view.group + g;
      float* s = scratch.scores + query * kRowStride;
      float* header = states + query * state;
      std::fill_n(header, kStateHeader, 0.0f);
      header[kStateMax] = -infinity;
      if (begin >= end) {
        std::fill(s + low, s + high, 0.0f);
        continue;
      }
      if (kv.k == KvFormat::kQ8 || kv.k == KvFormat::kQ4) {
        const V16 q_sum = set16(kv.k == KvFormat::kQ4 ? scratch.q_sum[query] : 0.0f);
        for (int j = low; j < high; j += 16) {
          V16 x = mul(load16(s + j), load16(scratch.k_scale + j));
          if (kv.k == KvFormat::kQ4) x = fma(q_sum, load16(scratch.k_min + j), x);
          store16(x, s + j);
        }
      }
      if (cap > 0.0f) {
        for (int j = low; j < high; j += 16) {
          const V16 x = tanh16(mul(load16(s + j), set16(1.0f / cap)));
          store16(mul(x, set16(cap * kLog2E)), s + j);
        }
      }
      std::fill(s + low, s + begin, -infinity);
      std::fill(s + end, s + high, -infinity);
      V16 largest = load16(s + low);
      for (int j = low + 16; j < high; j += 16) largest = max(largest, load16(s + j));
      const float m = reduce_max(largest);
      const V16 base = set16(m);
      V16 sum = zero16();
      for (int j = low; j < high; j += 16) {
        const V16 p = exp2_nonpositive(sub(load16(s + j), base));
        sum = add(sum, p);
        store16(p, s + j);
      }
      header[kStateMax] = m;
      header[kStateSum] = reduce_add(sum);
      if (row.mass != nullptr) {
        for (size_t i = 0; i < row.mass_ranges.size(); ++i) {
          const int64_t from = std::max<int64_t>(row.mass_ranges[i].begin - view.start, begin);
          const int64_t to = std::min<int64_t>(row.mass_ranges[i].end - view.start, end);
          float total = 0.0f;
          for (int64_t j = from; j < to; ++j) total += s[j];
          header[kStateMass + i] = total;
        }
      }
    }
  }
}

/// Multiplies probabilities by the scales of V; returns what the minima add to every output through
/// `offsets`.
void scale_probabilities(const ChunkView& view, const AttentionScratch& scratch, float* offsets) {
  const KvLayout& kv = view.shape.kv;
  const int low = view.begin / 16 * 16, high = (view.end + 15) / 16 * 16;
  for (int64_t query = 0; query < int64_t{view.n_rows} * view.group; ++query) {
    float* p = scratch.scores + query * kRowStride;
    V16 offset = zero16();
    for (int j = low; j < high; j += 16) {
      const V16 x = load16(p + j);
      // Slots that were never written hold anything, so a probability of 0 decides, not the
      // product.
      if (kv.v == KvFormat::kQ4) {
        offset = if_less(zero16(), x, fma(x, load16(scratch.v_min + j), offset), offset);
      }
      store16(if_less(zero16(), x, mul(x, load16(scratch.v_scale + j)), zero16()), p + j);
    }
    offsets[query] = reduce_add(offset);
  }
}

/// Where a page stores what is multiplied: bytes of a panel of 16 keys, and of one row of the first
/// panel (kQ4: the first two panels) of V.
int64_t k_panel_bytes(KvFormat format, int64_t dim) {
  switch (format) {
    case KvFormat::kF32:
      return dim * 64;
    case KvFormat::kF16:
      return dim * 32;
    case KvFormat::kQ8:
      return dim * 16;
    default:
      return (dim + 1) / 2 * 16;
  }
}
int64_t v_row_bytes(KvFormat format) {
  return format == KvFormat::kF32 ? 64 : format == KvFormat::kF16 ? 32 : 16;
}

/// `stride`: elements between panels, see WidenElements.
template <class Widen>
void score_segment(const ChunkView& view, const AttentionScratch& scratch, const Segment& part,
                   int64_t stride, const uint8_t* fetch) {
  const int low = part.begin / 16 * 16;
  const int64_t panels = (part.end + 15) / 16 - part.begin / 16;
  panel_product<Widen>(int64_t{view.n_rows} * view.group, scratch.q,
                       reinterpret_cast<const typename Widen::T*>(part.k), stride, panels,
                       view.shape.kv.k_head_dim, scratch.scores + low, kRowStride, false, fetch);
}

template <class Widen>
void value_segment(const ChunkView& view, const AttentionScratch& scratch, const Segment& part,
                   float* states, int64_t state, bool accumulate, const uint8_t* fetch) {
  const int64_t panels = (view.shape.kv.v_head_dim + 15) / 16;
  panel_product<Widen>(int64_t{view.n_rows} * view.group, scratch.scores + part.begin,
                       reinterpret_cast<const typename Widen::T*>(part.v), part.v_stride, panels,
                       part.end - part.begin, states + kStateHeader, state, accumulate, fetch);
}

void score_part(KvFormat format, const ChunkView& view, const AttentionScratch& scratch,
                const Segment& part, const uint8_t* fetch) {
  const int64_t dim = view.shape.kv.k_head_dim;
  switch (format) {
    case KvFormat::kF32:
      return score_segment<WidenF32>(view, scratch, part, dim * 16, fetch);
    case KvFormat::kF16:
      return score_segment<WidenF16>(view, scratch, part, dim * 16, fetch);
    case KvFormat::kQ8:
      return score_segment<WidenI8>(view, scratch, part, dim * 16, fetch);
    case KvFormat::kQ4:
      return score_segment<WidenNibbleRows>(view, scratch, part, (dim + 1) / 2 * 16, fetch);
  }
}
void value_part(KvFormat format, const ChunkView& view, const AttentionScratch& scratch,
                const Segment& part, float* states, int64_t state, bool accumulate,
                const uint8_t* fetch) {
  switch (format) {
    case KvFormat::kF32:
      return value_segment<WidenF32>(view, scratch, part, states, state, accumulate, fetch);
    case KvFormat::kF16:
      return value_segment<WidenF16>(view, scratch, part, states, state, accumulate, fetch);
    case KvFormat::kQ8:
      return value_segment<WidenI8>(view, scratch, part, states, state, accumulate, fetch);
    case KvFormat::kQ4:
      return value_segment<WidenNibblePanels>(view, scratch, part, states, state, accumulate, fetch);
  }
}

constexpr int kMaxParts = kAttentionChunk / 16 + 1;

/// Lists the pages of a chunk as segments that are read in place. Loads the scales.
int page_segments(const ChunkView& view, int kv_head, const AttentionScratch& scratch,
                  Segment* parts) {
  const KvLayout& kv = view.shape.kv;
  const int tokens = kv.page_tokens;
  int n = 0;
  for (int begin = view.begin; begin < view.end;) {
    const int64_t key = view.start + begin;
    const int slot = static_cast<int>(key % tokens);
    const int end = std::min(view.end, begin - slot + tokens);
    const uint8_t* head = view.rows[0].pages[key / tokens] + kv_head * kv.head_bytes;
    const int panel = slot / 16;
    parts[n++] = {begin, end, head + panel * k_panel_bytes(kv.k, kv.k_head_dim),
                  head + kv.v_offset + slot * v_row_bytes(kv.v), int64_t{tokens} * 16};
    const int low = begin / 16 * 16, count = (end + 15) / 16 * 16 - low;
    load_scales(kv.k, head + kv.k_scales_offset, tokens, panel * 16, count, scratch.k_scale + low,
                scratch.k_min + low);
    load_scales(kv.v, head + kv.v_scales_offset, tokens, panel * 16, count, scratch.v_scale + low,
                scratch.v_min + low);
    begin = end;
  }
  return n;
}

/// Widens a chunk into the scratch; the one segment that results covers it all.
Segment staged_segment(const ChunkView& view, int kv_head, const AttentionScratch& scratch) {
  const KvLayout& kv = view.shape.kv;
  const int tokens = kv.page_tokens;
  for (int begin = view.begin; begin < view.end;) {
    const int64_t key = view.start + begin;
    const int slot = static_cast<int>(key % tokens);
    const int end = std::min(view.end, begin - slot + tokens);
    const uint8_t* head = view.rows[0].pages[key / tokens] + kv_head * kv.head_bytes;
    const int low = begin / 16 * 16, count = (end + 15) / 16 * 16 - low, first = slot / 16 * 16;
    widen_keys(kv, head, first, count, scratch.k + int64_t{low} * kv.k_head_dim);
    widen_values(kv, head + kv.v_offset, slot, end - begin, scratch.v + int64_t{begin} * 16);
    load_scales(kv.k, head + kv.k_scales_offset, tokens, first, count, scratch.k_scale + low,
                scratch.k_min + low);
    load_scales(kv.v, head + kv.v_scales_offset, tokens, first, count, scratch.v_scale + low,
                scratch.v_min + low);
    begin = end;
  }
  const int panel = view.begin / 16;
  return {view.begin, view.end,
          reinterpret_cast<const uint8_t*>(scratch.k + int64_t{panel} * 16 * kv.k_head_dim),
          reinterpret_cast<const uint8_t*>(scratch.v + int64_t{view.begin} * 16),
          int64_t{kAttentionChunk} * 16};
}

/// Gathers the keys of a tree row, one by one, into the scratch.
Segment gathered_segment(const ChunkView& view, int kv_head, const AttentionScratch& scratch) {
  const KvLayout& kv = view.shape.kv;
  const AttentionRow& row = view.rows[0];
  const int dim = kv.k_head_dim;
  for (int j = view.begin; j < view.end; ++j) {
    const int64_t key = view.start + j;
    const int64_t where = key < row.tail_start ? key : row.tail_slots[key - row.tail_start];
    const int slot = static_cast<int>(where % kv.page_tokens);
    const uint8_t* head = row.pages[where / kv.page_tokens] + kv_head * kv.head_bytes;
    // One column of a panel of keys: widen the panel behind the scratch's own panels, then pick.
    float* panel = scratch.k + int64_t{kAttentionChunk} * dim;
    widen_keys(kv, head, slot / 16 * 16, 16, panel);
    float* to = scratch.k + (int64_t{j / 16} * dim) * 16 + j % 16;
    for (int d = 0; d < dim; ++d) to[16 * d] = panel[16 * d + slot % 16];
    widen_values(kv, head + kv.v_offset, slot, 1, scratch.v + int64_t{j} * 16);
    const auto scale = [&](int64_t offset, int value) {
      return f16_to_f32(
          reinterpret_cast<const uint16_t*>(head + offset)[value * kv.page_tokens + slot]);
    };
    if (kv.k == KvFormat::kQ8 || kv.k == KvFormat::kQ4)
      scratch.k_scale[j] = scale(kv.k_scales_offset, 0);
    if (kv.k == KvFormat::kQ4) scratch.k_min[j] = scale(kv.k_scales_offset, 1);
    if (kv.v == KvFormat::kQ8 || kv.v == KvFormat::kQ4)
      scratch.v_scale[j] = scale(kv.v_scales_offset, 0);
    if (kv.v == KvFormat::kQ4) scratch.v_min[j] = scale(kv.v_scales_offset, 1);
  }
  const int panel = view.begin / 16;
  return {view.begin, view.end,
          reinterpret_cast<const uint8_t*>(scratch.k + int64_t{panel} * 16 * dim),
          reinterpret_cast<const uint8_t*>(scratch.v + int64_t{view.begin} * 16),
          int64_t{kAttentionChunk} * 16};
}

void chunk_states(const AttentionShape& shape, const AttentionRow* rows, int first, int n_rows,
                  int kv_head, int64_t chunk, const AttentionScratch& whole, float* states) {
  const KvLayout& kv = shape.kv;
  ChunkView view{
      shape, rows + first, n_rows, shape.n_heads / kv.n_kv_heads, chunk * kAttentionChunk, 0, 0};
  AttentionScratch scratch = whole;
  scratch.q += int64_t{first} * view.group * kRowStride;
  scratch.q_sum += int64_t{first} * view.group;
  view.begin = kAttentionChunk;
  bool gathered = false;
  for (int r = 0; r < n_rows; ++r) {
    const AttentionRow& row = view.rows[r];
    const int64_t begin = std::max<int64_t>(row.first_key - view.start, 0);
    const int64_t end = std::min<int64_t>(row.n_keys - view.start, kAttentionChunk);
    if (begin >= end) continue;
    view.begin = std::min(view.begin, static_cast<int>(begin));
    view.end = std::max(view.end, static_cast<int>(end));
    gathered |= row.tail_slots != nullptr && row.tail_start < view.start + end;
  }
  const int64_t state = state_floats(kv.v_head_dim);
  if (view.begin >= view.end) {
    for (int64_t query = 0; query < int64_t{n_rows} * view.group; ++query)
      states[query * state + kStateSum] = 0.0f;
    return;
  }
  Segment parts[kMaxParts];
  int n_parts = 1;
  // Few queries read pages in place; many share one widened copy. The bits are the same.
  const int64_t queries = int64_t{n_rows} * view.group;
  const bool in_place = !gathered && queries <= 2 * kBlockRows;
  const KvFormat k_format = in_place ? kv.k : KvFormat::kF32;
  const KvFormat v_format = in_place ? kv.v : KvFormat::kF32;
  if (in_place) {
    n_parts = page_segments(view, kv_head, scratch, parts);
  } else {
    parts[0] = gathered ? gathered_segment(view, kv_head, scratch)
                        : staged_segment(view, kv_head, scratch);
  }
  // Pages are read from memory: while keys are multiplied their values are fetched, and then
  // meanwhile the next chunk's keys.
  for (int i = 0; i < n_parts; ++i) {
    score_part(k_format, view, scratch, parts[i], in_place ? parts[i].v : nullptr);
  }
  softmax_scores(view, scratch, states, state);
  const bool scaled = kv.v == KvFormat::kQ8 || kv.v == KvFormat::kQ4;
  if (scaled) scale_probabilities(view, scratch, scratch.offsets);
  for (int i = 0; i < n_parts; ++i) {
    const int64_t next_key = view.start + parts[i].begin + kAttentionChunk;
    const uint8_t* fetch = nullptr;
    if (in_place && next_key < view.rows[0].n_keys) {
      fetch = view.rows[0].pages[next_key / kv.page_tokens] + kv_head * kv.head_bytes;
    }
    value_part(v_format, view, scratch, parts[i], states, state, i > 0, fetch);
  }
  if (kv.v == KvFormat::kQ4) {
    for (int64_t query = 0; query < queries; ++query) {
      float* acc = states + query * state + kStateHeader;
      const V16 offset = set16(scratch.offsets[query]);
      for (int64_t d = 0; d < state - kStateHeader; d += 16)
        store16(add(load16(acc + d), offset), acc + d);
    }
  }
}

void fold(const AttentionShape& shape, int64_t n_queries, const float* chunk, float* running) {
  const int64_t state = state_floats(shape.kv.v_head_dim);
  for (int64_t query = 0; query < n_queries; ++query, chunk += state, running += state) {
    if (chunk[kStateSum] == 0.0f) continue;
    if (running[kStateSum] == 0.0f) {
      std::memcpy(running, chunk, state * sizeof(float));
      continue;
    }
    const float m = std::max(running[kStateMax], chunk[kStateMax]);
    const V16 keep = exp2_nonpositive(set16(running[kStateMax] - m));
    const V16 take = exp2_nonpositive(set16(chunk[kStateMax] - m));
    for (int64_t d = 0; d < state; d += 16) {
      store16(fma(load16(chunk + d), take, mul(load16(running + d), keep)), running + d);
    }
    running[kStateMax] = m;
  }
}

void finish(const AttentionShape& shape, const AttentionRow* rows, int n_rows, int kv_head,
            const float* states) {
  const int group = shape.n_heads / shape.kv.n_kv_heads;
  const int dim = shape.kv.v_head_dim;
  const int64_t state = state_floats(dim);
  for (int r = 0; r < n_rows; ++r) {
    const AttentionRow& row = rows[r];
    for (int g = 0; g < group; ++g) {
      const int64_t head = int64_t{kv_head} * group + g;
      const float* from = states + (int64_t{r} * group + g) * state;
      const float* acc = from + kStateHeader;
      float* out = row.out + head * dim;
      const float head_scale = row.head_scale != nullptr ? row.head_scale[head] : 1.0f;
      const float factor = head_scale / from[kStateSum];
      if (head_scale == 0.0f) {
        std::fill_n(out, dim, 0.0f);
      } else if (shape.kv.v == KvFormat::kQ4) {
        float rotated[kMaxHeadDim];
        for (int d = 0; d < dim; ++d) rotated[d] = acc[d] * factor;
        hadamard_rotate(rotated, dim);
        std::copy_n(rotated, dim, out);
      } else {
        for (int d = 0; d < dim; ++d) out[d] = acc[d] * factor + 0.0f;  // the sum turns -0 into +0
      }
      if (row.mass != nullptr) {
        const size_t n = row.mass_ranges.size();
        for (size_t i = 0; i < n; ++i)
          row.mass[head * n + i] = from[kStateMass + i] / from[kStateSum];
      }
    }
  }
}

}  // namespace callie::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace callie::kernels {

HWY_EXPORT(load_queries);
HWY_EXPORT(chunk_states);
HWY_EXPORT(fold);
HWY_EXPORT(finish);

void attention_load_queries(const AttentionShape& shape, const AttentionRow* rows, int n_rows,
                            int kv_head, const AttentionScratch& scratch) {
  HWY_DYNAMIC_DISPATCH(load_queries)(shape, rows, n_rows, kv_head, scratch);
}
void attention_chunk(const AttentionShape& shape, const AttentionRow* rows, int first, int n_rows,
                     int kv_head, int64_t chunk, const AttentionScratch& scratch, float* states) {
  HWY_DYNAMIC_DISPATCH(chunk_states)(shape, rows, first, n_rows, kv_head, chunk, scratch, states);
}
void attention_fold(const AttentionShape& shape, int64_t n_queries, const float* chunk,
                    float* running) {
  HWY_DYNAMIC_DISPATCH(fold)(shape, n_queries, chunk, running);
}
void attention_finish(const AttentionShape& shape, const AttentionRow* rows, int n_rows,
                      int kv_head, const float* states) {
  HWY_DYNAMIC_DISPATCH(finish)(shape, rows, n_rows, kv_head, states);
}

}  // namespace callie::kernels
#endif  // HWY_ONCE
