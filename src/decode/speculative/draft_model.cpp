#include "decode/speculative/draft_model.h"

#include <algorithm>
#include <limits>

namespace callie::decode {
namespace {

constexpr int64_t kMostMemory = int64_t{1} << 30;  // of keys and values; sequences beyond it go without a draft

}  // namespace

Status check_same_vocabulary(const Model& draft, const Model& target) {
  const Tokenizer& a = draft.tokenizer();
  const Tokenizer& b = target.tokenizer();
  if (a.hash() == b.hash()) return ok_status();
  const auto refuse = [&](const std::string& why) {
    return invalid_argument("{}: cannot draft for {}: their vocabularies differ ({})", draft.path(), target.path(), why);
  };
  if (a.vocab_size() != b.vocab_size()) return refuse(fmt::format("{} and {} tokens", a.vocab_size(), b.vocab_size()));
  for (int32_t id = 0; id < a.vocab_size(); ++id) {
    if (a.token_bytes(id) != b.token_bytes(id) || a.is_special(id) != b.is_special(id) ||
        a.is_end_of_generation(id) != b.is_end_of_generation(id)) {
      return refuse(fmt::format("first at token {}", id));
    }
  }
  return ok_status();
}

StatusOr<std::unique_ptr<DraftModel>> DraftModel::create(std::shared_ptr<const Model> draft, const Model& target,
                                                         const DraftModelOptions& options, ThreadPool& pool) {
  CALLIE_RETURN_IF_ERROR(check_same_vocabulary(*draft, target));
  const nn::DecoderSpec& spec = draft->spec();
  DraftModelOptions used = options;
  used.context = std::max<int64_t>(2, std::min(options.context, spec.context > 0 ? spec.context : options.context));
  CALLIE_ASSIGN_OR_RETURN(const kernels::KvLayout layout, KvCache::layout(spec, options.kv_format));
  const auto n_layers = static_cast<int64_t>(spec.layers.size());
  const int64_t blocks_each = (used.context + layout.page_tokens - 1) / layout.page_tokens;
  const int64_t affordable = std::max(blocks_each, kMostMemory / KvCache::block_bytes(layout, n_layers));
  const int64_t n_blocks = std::min(blocks_each * options.max_sequences, affordable);
  CALLIE_ASSIGN_OR_RETURN(KvCache cache, KvCache::create(layout, n_layers, static_cast<int32_t>(n_blocks)));
  return std::unique_ptr<DraftModel>(
      new DraftModel(std::move(draft), target.spec().vocab_size, used, std::move(cache), pool));
}

DraftModel::DraftModel(std::shared_ptr<const Model> draft, int64_t target_vocab_size, const DraftModelOptions& options,
                       KvCache cache, ThreadPool& pool)
    : options_(options),
      cache_(std::move(cache)),
      pool_(cache_.unshared_pool()),
      runner_(draft, std::max<int64_t>(options.max_rows, 4 * options.max_sequences), nn::Precision::kDefault, pool),
      head_(draft, options.head_rows),
      full_(target_vocab_size, -std::numeric_limits<float>::infinity()) {}

void DraftModel::shrink(Lane& lane, int64_t length) {
  lane.computed = std::min(lane.computed, length);
  while (static_cast<int64_t>(lane.blocks.size()) > pool_.blocks_for(lane.computed)) {
    pool_.release(lane.blocks.back());
    lane.blocks.pop_back();
  }
}

bool DraftModel::reserve(Lane& lane, int64_t length) {
  while (static_cast<int64_t>(lane.blocks.size()) < pool_.blocks_for(length)) {
    const int32_t block = pool_.allocate();
    if (block == sched::kNoBlock) return false;
    lane.blocks.push_back(block);
  }
  return true;
}

Status DraftModel::follow(uint64_t sequence, std::span<const int32_t> tokens) {
  if (tokens.empty()) return invalid_argument("draft: no tokens");
  const auto n = static_cast<int64_t>(tokens.size());
  Lane& lane = lanes_[sequence];
  const int64_t held = static_cast<int64_t>(lane.tokens.size());
  int64_t common = 0;
  if (n >= lane.base) {
    const auto seen = tokens.subspan(lane.base);
    common = std::mismatch(lane.tokens.begin(), lane.tokens.end(), seen.begin(), seen.end()).first - lane.tokens.begin();
  }
  // A draft must fit behind; where it does not, the lane begins anew with the text's end.
  const int64_t behind = std::min(kLongestDraft, options_.context / 2);
  const bool fits = n - lane.base + behind <= options_.context;
  if (!fits || (common == 0 && held > 0)) {
    lane.base = std::max<int64_t>(0, n - options_.context / 2);
    lane.tokens.clear();
    shrink(lane, 0);
    common = 0;
  }
  const auto seen = tokens.subspan(lane.base);
  head_.add(seen.subspan(common));
  lane.tokens.resize(common);
  lane.tokens.insert(lane.tokens.end(), seen.begin() + common, seen.end());
  const auto length = static_cast<int64_t>(seen.size());
  shrink(lane, std::min(common, length - 1));
  if (!reserve(lane, length + behind)) {
    forget(sequence);
    return resource_exhausted("draft: no memory for the keys and values of {} tokens", length);
  }
  return ok_status();
}

void DraftModel::forget(uint64_t sequence) {
  const auto lane = lanes_.find(sequence);
  if (lane == lanes_.end()) return;
  shrink(lane->second, 0);
  lanes_.erase(lane);
}

int64_t DraftModel::lag(uint64_t sequence, std::span<const int32_t> tokens) const {
  const auto n = static_cast<int64_t>(tokens.size());
  const auto lane = lanes_.find(sequence);
  const int64_t held = lane == lanes_.end() ? 0 : lane->second.base + lane->second.computed;
  return std::max<int64_t>(1, std::min(n - held, options_.context));
}

int64_t DraftModel::step_bytes() const {
  const nn::Linear& whole = model().decoder().weights().head;
  return model().decoder().bytes_per_token() - whole.bytes() + whole.bytes() * head_.rows() / whole.rows();
}

void DraftModel::add_rows(const Lane& lane, int64_t n, bool logits) {
  for (int64_t i = 0; i < n; ++i) {
    nn::ForwardRow& row = rows_.emplace_back();
    row.token = lane.tokens[lane.computed + i];
    row.sequence = static_cast<int32_t>(pages_.size());
    row.position = row.rope_position = row.slot = static_cast<int32_t>(lane.computed + i);
    row.wants_logits = logits && i == n - 1;
  }
  pages_.push_back({lane.blocks});
}

void DraftModel::catch_up(uint64_t sequence, int64_t most) {
  Lane& lane = lanes_[sequence];
  most = std::min(most, static_cast<int64_t>(lane.tokens.size()) - 1 - lane.computed);
  while (most > 0) {
    const int64_t part = std::min(most, runner_.max_rows());
    rows_.clear();
    pages_.clear();
    add_rows(lane, part, false);
    runner_.forward({rows_, pages_, cache_.storage()});
    lane.computed += part;
    most -= part;
  }
}

void DraftModel::extend(std::span<Extension> extensions) {
  // Long tails first, each alone; then the last few tokens of all together.
  constexpr int64_t kTogether = 4;
  for (const Extension& extension : extensions) {
    const Lane& lane = lanes_[extension.sequence];
    catch_up(extension.sequence, static_cast<int64_t>(lane.tokens.size()) - kTogether - lane.computed);
  }
  rows_.clear();
  pages_.clear();
  for (const Extension& extension : extensions) {
    Lane& lane = lanes_[extension.sequence];
    const auto length = static_cast<int64_t>(lane.tokens.size());
    add_rows(lane, length - lane.computed, true);
    for (size_t h = 0; h < extension.hints.size(); ++h) {
      nn::ForwardRow& row = rows_.emplace_back(rows_.back());
      row.token = extension.hints[h];
      ++row.position;
      row.rope_position = row.slot = row.position;
    }
  }
  nn::Taps taps;
  taps.head = head_.linear();
  const std::span<const float> logits = runner_.forward({rows_, pages_, cache_.storage()}, &taps);
  const int64_t width = head_.rows();
  int64_t first_row = 0;
  for (Extension& extension : extensions) {
    Lane& lane = lanes_[extension.sequence];
    for (size_t h = 0; h <= extension.hints.size(); ++h) {
      lane.computed = static_cast<int64_t>(lane.tokens.size());
      head_.spread(logits.subspan((first_row + static_cast<int64_t>(h)) * width, width), full_);
      float margin;
      const auto token = extension.sampler->choose(full_, &margin);
      // A constraint that allows nothing more is no error of the answer: the target decides.
      if (!token.ok() || !extension.sampler->accept(*token).ok()) break;
      lane.tokens.push_back(*token);
      extension.tokens.push_back(*token);
      extension.margins.push_back(margin);
      if (h == extension.hints.size() || extension.hints[h] != *token) break;
    }
    first_row += 1 + static_cast<int64_t>(extension.hints.size());
  }
}

}  // namespace callie::decode
