#include "engine/session.h"

#include <algorithm>

namespace callie {
namespace {

constexpr int64_t kDefaultContext = 4096;

}  // namespace

StatusOr<std::unique_ptr<Session>> Session::create(std::shared_ptr<const Model> model, const SessionOptions& options,
                                                   ThreadPool& pool) {
  const nn::DecoderSpec& spec = model->spec();
  if (options.context < 0) return invalid_argument("--ctx: {} is not a number of tokens", options.context);
  const int64_t wanted = options.context > 0 ? options.context : std::min(spec.context, kDefaultContext);
  KvCache::Demand demand;
  demand.format = options.kv_format;
  demand.context = wanted;
  demand.memory = options.kv_memory;
  CALLIE_ASSIGN_OR_RETURN(KvCache cache, KvCache::create(spec, demand));
  const int64_t context = std::min(wanted, cache.tokens());
  return std::unique_ptr<Session>(new Session(std::move(model), options, context, std::move(cache), pool));
}

Session::Session(std::shared_ptr<const Model> model, const SessionOptions& options, int64_t context, KvCache cache,
                 ThreadPool& pool)
    : context_(context),
      cache_(std::move(cache)),
      block_pool_(cache_.unshared_pool()),
      runner_(std::move(model), std::min(options.max_rows, context), options.precision, pool) {}

StatusOr<std::span<const float>> Session::append(std::span<const int32_t> tokens, Logits logits, const nn::Taps* taps) {
  if (tokens.empty()) return invalid_argument("no tokens to append");
  const int64_t n = static_cast<int64_t>(tokens.size());
  if (size() + n > context_) {
    return resource_exhausted("context full: {} tokens do not fit into {} (--ctx)", size() + n, context_);
  }
  if (logits == Logits::kAll && n > runner_.max_rows()) {
    return invalid_argument("{} rows of logits asked for, at most {}", n, runner_.max_rows());
  }
  while (block_pool_.blocks_for(size() + n) > static_cast<int32_t>(blocks_.size())) {
    blocks_.push_back(block_pool_.allocate());
  }
  std::span<const float> result;
  for (int64_t done = 0; done < n; done += static_cast<int64_t>(rows_.size())) {
    const int64_t part = std::min(n - done, runner_.max_rows());
    rows_.assign(part, {});
    for (int64_t i = 0; i < part; ++i) {
      nn::ForwardRow& row = rows_[i];
      row.token = tokens[done + i];
      row.position = row.rope_position = row.slot = static_cast<int32_t>(size() + i);
      row.wants_logits = logits == Logits::kAll || (logits == Logits::kLast && done + i == n - 1);
    }
    const nn::SequencePages pages{blocks_};
    result = runner_.forward({rows_, {&pages, 1}, cache_.storage()}, taps);
    tokens_.insert(tokens_.end(), tokens.begin() + done, tokens.begin() + done + part);
  }
  return result;
}

void Session::truncate(int64_t length) {
  tokens_.resize(length);
  while (block_pool_.blocks_for(length) < static_cast<int32_t>(blocks_.size())) {
    block_pool_.release(blocks_.back());
    blocks_.pop_back();
  }
}

}  // namespace callie
