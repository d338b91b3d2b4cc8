#include "engine/model.h"

#include <chrono>

#include "core/progress.h"
#include "engine/vocabulary_from_checkpoint.h"
#include "io/checkpoint.h"
#include "models/decoder_loader.h"
#include "tensor/huge_buffer.h"

namespace callie {

Model::~Model() = default;

StatusOr<std::shared_ptr<const Model>> Model::load(const std::string& path, const LoadOptions& options,
                                                   Context& context) {
  const auto start = std::chrono::steady_clock::now();
  CALLIE_ASSIGN_OR_RETURN(const std::unique_ptr<io::Checkpoint> checkpoint, io::Checkpoint::open(path));
  CALLIE_ASSIGN_OR_RETURN(const models::DecoderPlan plan, models::DecoderPlan::make(*checkpoint));
  CALLIE_ASSIGN_OR_RETURN(auto tokenizer, tokenizer_from_checkpoint(*checkpoint));
  if (tokenizer->vocab_size() > plan.spec().vocab_size) {
    return data_loss("{}: {} tokens, but an embedding table of {} rows", path, tokenizer->vocab_size(),
                     plan.spec().vocab_size);
  }
  CALLIE_ASSIGN_OR_RETURN(tensor::HugeBuffer memory, tensor::HugeBuffer::allocate(plan.packed_bytes()));
  Progress progress("packing weights", plan.packed_bytes(), "MB", 1e6, options.quiet);
  CALLIE_RETURN_IF_ERROR(
      plan.pack(*checkpoint, memory.span(), context, [&](int64_t bytes) { progress.update(bytes); }));
  CALLIE_ASSIGN_OR_RETURN(nn::DecoderWeights weights, plan.bind(*checkpoint, memory.span()));

  std::shared_ptr<Model> model(new Model);
  model->path_ = path;
  CALLIE_ASSIGN_OR_RETURN(model->decoder_, nn::Decoder::create(plan.spec(), std::move(weights)));
  model->tokenizer_ = std::move(tokenizer);
  model->weight_memory_ = std::make_shared<tensor::HugeBuffer>(std::move(memory));
  model->fingerprint_ = checkpoint->fingerprint();
  model->load_s_ = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return std::shared_ptr<const Model>(std::move(model));
}

}  // namespace callie
