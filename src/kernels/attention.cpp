#include "kernels/attention.h"

#include <algorithm>
#include <cassert>
#include <cstring>

#include "kernels/attention_chunk.h"

namespace callie::kernels {
namespace {

constexpr int64_t kRow = kAttentionChunk + 16;  // the row stride of queries and scores
constexpr int64_t align16(int64_t floats) { return (floats + 15) / 16 * 16; }

int group_of(const AttentionShape& shape) { return shape.n_heads / shape.kv.n_kv_heads; }
int64_t tile_rows(const AttentionShape& shape) {
  return std::max<int64_t>(1, kTileQueries / group_of(shape));
}

/// Lays the buffers out one behind the other; with a null base it only counts.
struct Carver {
  float* base;
  int64_t used = 0;
  float* take(int64_t floats) {
    float* at = base == nullptr ? nullptr : base + used;
    used += align16(floats);
    return at;
  }
};

AttentionScratch carve(const AttentionShape& shape, Carver& carver) {
  const int64_t queries = tile_rows(shape) * group_of(shape);
  const int64_t state = state_floats(shape.kv.v_head_dim);
  AttentionScratch s;
  s.q = carver.take(queries * kRow);
  s.scores = carver.take(queries * kRow);
  s.running = carver.take(queries * state);
  s.chunk = carver.take(queries * state);
  s.k = carver.take(int64_t{kAttentionChunk + 16} * shape.kv.k_head_dim);
  s.v = carver.take(kAttentionChunk * align16(shape.kv.v_head_dim));
  s.k_scale = carver.take(kAttentionChunk);
  s.k_min = carver.take(kAttentionChunk);
  s.v_scale = carver.take(kAttentionChunk);
  s.v_min = carver.take(kAttentionChunk);
  s.q_sum = carver.take(queries);
  s.offsets = carver.take(queries);
  return s;
}

int64_t chunk_of(int64_t key) { return key / kAttentionChunk; }

/// The first of a tile's chunks that holds tree slots; those are computed row by row.
int64_t first_gathered_chunk(std::span<const AttentionRow> rows) {
  int64_t first = INT64_MAX;
  for (const AttentionRow& row : rows) {
    if (row.tail_slots != nullptr && row.tail_start < row.n_keys)
      first = std::min(first, chunk_of(row.tail_start));
  }
  return first;
}

}  // namespace

int64_t AttentionPlan::scratch_floats(const AttentionShape& shape) {
  Carver carver{nullptr};
  carve(shape, carver);
  return carver.used;
}

void AttentionPlan::build(const AttentionShape& shape, std::span<const AttentionRow> rows,
                          int n_workers) {
  shape_ = shape;
  n_workers_ = std::max(1, n_workers);
  units_.clear();
  splits_.clear();
  worker_begin_.clear();
  partial_floats_ = 0;

  // Tiles: neighbours of one sequence, with every KV head. A tile's cost is queries x keys, plus
  // reading the keys.
  const int64_t max_rows = tile_rows(shape);
  const int group = group_of(shape);
  const auto chunk_cost = [&](int64_t n_rows) { return n_rows * group + 4; };
  int64_t total = 0;
  for (size_t row = 0; row < rows.size();) {
    size_t end = row + 1;
    while (end < rows.size() && static_cast<int64_t>(end - row) < max_rows &&
           rows[end].pages == rows[row].pages)
      ++end;
    int64_t low = INT64_MAX, high = 0;
    for (size_t r = row; r < end; ++r) {
      assert(rows[r].n_keys > rows[r].first_key);
      low = std::min(low, rows[r].first_key);
      high = std::max(high, rows[r].n_keys);
    }
    Unit unit{static_cast<int32_t>(row),
              static_cast<int32_t>(end - row),
              0,
              static_cast<int32_t>(chunk_of(low)),
              static_cast<int32_t>(chunk_of(high - 1) + 1),
              -1,
              true};
    for (int head = 0; head < shape.kv.n_kv_heads; ++head) {
      unit.kv_head = head;
      units_.push_back(unit);
    }
    total += shape.kv.n_kv_heads * (unit.chunk_end - unit.chunk_begin) * chunk_cost(unit.n_rows);
    row = end;
  }

  // Cut the line of tiles into equal shares, at chunk borders; a tile that is cut leaves partial
  // states.
  const int64_t state = state_floats(shape.kv.v_head_dim);
  tiles_.swap(units_);
  units_.clear();
  worker_begin_.push_back(0);
  int64_t done = 0;
  for (const Unit& tile : tiles_) {
    const int64_t queries = int64_t{tile.n_rows} * group;
    const int64_t cost = chunk_cost(tile.n_rows);
    const int32_t unit_begin = static_cast<int32_t>(units_.size());
    int32_t chunk = tile.chunk_begin;
    while (chunk < tile.chunk_end) {
      // The chunk border nearest to the end of this worker's share.
      int32_t end = tile.chunk_end;
      const int64_t worker = static_cast<int64_t>(worker_begin_.size());
      const bool last_worker = worker >= n_workers_;
      const int64_t target = total * worker / n_workers_;
      if (!last_worker && done + (end - chunk) * cost > target) {
        const int64_t wanted = std::max<int64_t>(0, (target - done + cost / 2) / cost);
        end = static_cast<int32_t>(std::min<int64_t>(end, chunk + wanted));
      }
      if (end > chunk) {
        Unit unit = tile;
        unit.chunk_begin = chunk;
        unit.chunk_end = end;
        unit.first = chunk == tile.chunk_begin;
        units_.push_back(unit);
        done += (end - chunk) * cost;
        chunk = end;
      }
      if (!last_worker && (chunk < tile.chunk_end || done >= target)) {
        worker_begin_.push_back(static_cast<int32_t>(units_.size()));
      }
    }
    const int32_t unit_end = static_cast<int32_t>(units_.size());
    if (unit_end - unit_begin > 1) {
      for (int32_t u = unit_begin; u < unit_end; ++u) {
        Unit& unit = units_[u];
        unit.partial = partial_floats_;
        partial_floats_ += queries * state * (unit.first ? 1 : unit.chunk_end - unit.chunk_begin);
      }
      splits_.push_back({unit_begin, unit_end});
    }
  }
  while (static_cast<int>(worker_begin_.size()) <= n_workers_) {
    worker_begin_.push_back(static_cast<int32_t>(units_.size()));
  }
}

void AttentionPlan::run(std::span<const AttentionRow> rows, int worker, float* scratch_base,
                        float* partials) const {
  Carver carver{scratch_base};
  const AttentionScratch scratch = carve(shape_, carver);
  const int group = group_of(shape_);
  const int64_t state = state_floats(shape_.kv.v_head_dim);
  for (int32_t u = worker_begin_[worker]; u < worker_begin_[worker + 1]; ++u) {
    const Unit& unit = units_[u];
    const AttentionRow* tile = rows.data() + unit.row;
    const int64_t queries = int64_t{unit.n_rows} * group;
    const int64_t gathered = first_gathered_chunk(rows.subspan(unit.row, unit.n_rows));
    attention_load_queries(shape_, tile, unit.n_rows, unit.kv_head, scratch);
    const bool per_chunk = unit.partial >= 0 && !unit.first;
    float* running = unit.partial >= 0 ? partials + unit.partial : scratch.running;
    bool fresh = true;
    for (int32_t chunk = unit.chunk_begin; chunk < unit.chunk_end; ++chunk) {
      float* states = fresh ? running : scratch.chunk;
      const int step = chunk >= gathered ? 1 : unit.n_rows;
      for (int row = 0; row < unit.n_rows; row += step) {
        attention_chunk(shape_, tile, row, step, unit.kv_head, chunk, scratch,
                        states + row * group * state);
      }
      if (per_chunk) {
        running += queries * state;
      } else {
        if (!fresh) attention_fold(shape_, queries, states, running);
        fresh = false;
      }
    }
    if (unit.partial < 0) attention_finish(shape_, tile, unit.n_rows, unit.kv_head, running);
  }
}

void AttentionPlan::merge(std::span<const AttentionRow> rows, int worker, float* partials) const {
  const int group = group_of(shape_);
  const int64_t state = state_floats(shape_.kv.v_head_dim);
  for (size_t i = worker; i < splits_.size(); i += n_workers_) {
    const Unit& first = units_[splits_[i].unit_begin];
    const int64_t queries = int64_t{first.n_rows} * group;
    float* running = partials + first.partial;
    for (int32_t u = splits_[i].unit_begin + 1; u < splits_[i].unit_end; ++u) {
      const Unit& unit = units_[u];
      const float* chunk = partials + unit.partial;
      for (int32_t c = unit.chunk_begin; c < unit.chunk_end; ++c, chunk += queries * state) {
        attention_fold(shape_, queries, chunk, running);
      }
    }
    attention_finish(shape_, rows.data() + first.row, first.n_rows, first.kv_head, running);
  }
}

}  // namespace callie::kernels
