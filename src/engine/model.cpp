#include "engine/model.h"

#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "core/aligned_buffer.h"
#include "core/interrupt.h"
#include "core/progress.h"
#include "engine/vocabulary_from_checkpoint.h"
#include "io/checkpoint.h"
#include "io/packed_cache.h"
#include "models/decoder_loader.h"

namespace callie {
namespace {

// The packed layout is the same on every instruction set.
constexpr const char* kLayout = "panel16";

io::PackedKey packed_key(const io::Checkpoint& checkpoint) {
  return {checkpoint.fingerprint(), models::kPackedFormat, kLayout, checkpoint.path()};
}

// Packed weights from the cache: nullptr when there are none that fit.
std::shared_ptr<const io::PackedCache> open_cache(const io::Checkpoint& checkpoint, const models::DecoderPlan& plan,
                                                  const LoadOptions& options, const Context& context) {
  if (options.packed_folder.empty()) return nullptr;
  auto cache = io::PackedCache::open(options.packed_folder, packed_key(checkpoint), context);
  if (!cache.ok()) return nullptr;
  for (const models::PackedEntry& entry : plan.entries()) {
    const io::PackedBlob* blob = (*cache)->find(entry.name);
    const std::vector<uint8_t> descriptor = entry.descriptor();
    if (!blob || static_cast<int64_t>(blob->data.size()) != entry.bytes ||
        !std::equal(descriptor.begin(), descriptor.end(), blob->descriptor.begin(), blob->descriptor.end())) {
      return nullptr;
    }
  }
  return std::move(*cache);
}

Status write_cache(const io::PackedKey& key, const std::vector<models::PackedEntry>& entries,
                   const AlignedBuffer<uint8_t>& memory, const LoadOptions& options) {
  CALLIE_ASSIGN_OR_RETURN(const auto writer, io::PackedCacheWriter::create(options.packed_folder, key, memory.size(),
                                                                           options.packed_limit_bytes));
  for (const models::PackedEntry& entry : entries) {
    if (interrupted()) return Status(StatusCode::kCancelled, "");
    CALLIE_RETURN_IF_ERROR(
        writer->add(entry.name, entry.descriptor(), memory.span().subspan(entry.offset, entry.bytes)));
  }
  return writer->commit();
}

}  // namespace

Model::~Model() {
  if (cache_writer_.joinable()) cache_writer_.join();
}

StatusOr<std::shared_ptr<const Model>> Model::load(const std::string& path, const LoadOptions& options,
                                                   Context& context) {
  const auto start = std::chrono::steady_clock::now();
  CALLIE_ASSIGN_OR_RETURN(const std::unique_ptr<io::Checkpoint> checkpoint, io::Checkpoint::open(path));
  CALLIE_ASSIGN_OR_RETURN(const models::DecoderPlan plan, models::DecoderPlan::make(*checkpoint));

  // The tokenizer's tables are built while the weights come.
  StatusOr<std::unique_ptr<Tokenizer>> tokenizer = std::unique_ptr<Tokenizer>();
  std::thread tokenizer_builder([&] { tokenizer = tokenizer_from_checkpoint(*checkpoint); });
  std::shared_ptr<Model> model(new Model);
  const Status weights_status = model->load_weights(*checkpoint, plan, options, context);
  tokenizer_builder.join();
  CALLIE_RETURN_IF_ERROR(weights_status);
  if (!tokenizer.ok()) return tokenizer.status();
  if ((*tokenizer)->vocab_size() > plan.spec().vocab_size) {
    return data_loss("{}: {} tokens, but an embedding table of {} rows", path, (*tokenizer)->vocab_size(),
                     plan.spec().vocab_size);
  }
  model->path_ = path;
  model->tokenizer_ = std::move(*tokenizer);
  model->fingerprint_ = checkpoint->fingerprint();
  model->load_s_ = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return std::shared_ptr<const Model>(std::move(model));
}

Status Model::load_weights(const io::Checkpoint& checkpoint, const models::DecoderPlan& plan,
                           const LoadOptions& options, Context& context) {
  models::DecoderPlan::PackedMemory packed;
  std::shared_ptr<const AlignedBuffer<uint8_t>> memory;
  if (const auto cache = open_cache(checkpoint, plan, options, context)) {
    packed = [cache = cache.get()](const models::PackedEntry& entry) { return cache->find(entry.name)->data; };
    weight_memory_ = cache;
    from_cache_ = true;
  } else {
    CALLIE_ASSIGN_OR_RETURN(auto buffer, AlignedBuffer<uint8_t>::allocate(plan.packed_bytes(), "weights"));
    Progress progress("packing weights", plan.packed_bytes(), "MB", 1e6, options.quiet);
    CALLIE_RETURN_IF_ERROR(
        plan.pack(checkpoint, buffer.span(), context, [&](int64_t bytes) { progress.update(bytes); }));
    memory = std::make_shared<const AlignedBuffer<uint8_t>>(std::move(buffer));
    packed = [base = memory->span()](const models::PackedEntry& entry) {
      return std::span<const uint8_t>(base).subspan(entry.offset, entry.bytes);
    };
    weight_memory_ = memory;
  }
  CALLIE_ASSIGN_OR_RETURN(nn::DecoderWeights weights, plan.bind(checkpoint, packed));
  CALLIE_ASSIGN_OR_RETURN(decoder_, nn::Decoder::create(plan.spec(), std::move(weights)));
  if (memory && !options.packed_folder.empty()) {
    // At the lowest priority: the first answer should not wait for the disk.
    cache_writer_ = std::thread([key = packed_key(checkpoint), entries = plan.entries(), memory, options] {
      setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), 19);
      const Status status = write_cache(key, entries, *memory, options);
      if (!status.ok() && !status.message().empty()) spdlog::warn("packed cache: {}", status.message());
    });
  }
  return ok_status();
}

}  // namespace callie
