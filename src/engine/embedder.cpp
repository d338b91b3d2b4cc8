#include "engine/embedder.h"

#include "engine/vocabulary_from_checkpoint.h"
#include "io/checkpoint.h"
#include "models/architecture.h"
#include "models/bert.h"

namespace callie {

StatusOr<std::unique_ptr<Embedder>> Embedder::load(const std::string& path, Context& context) {
  CALLIE_ASSIGN_OR_RETURN(const auto checkpoint, io::Checkpoint::open(path));
  if (!models::is_bert(*checkpoint)) {
    CALLIE_ASSIGN_OR_RETURN(const std::string name, models::architecture_name(*checkpoint));
    return error(StatusCode::kUnimplemented, "{}: architecture '{}' is not a sentence encoder (known: bert)", path, name);
  }
  std::unique_ptr<Embedder> embedder(new Embedder);
  CALLIE_ASSIGN_OR_RETURN(embedder->encoder_, models::load_bert(*checkpoint, context));
  CALLIE_ASSIGN_OR_RETURN(embedder->tokenizer_, tokenizer_from_checkpoint(*checkpoint));
  embedder->pool_ = context.pool;
  return embedder;
}

StatusOr<Embedder::Embedding> Embedder::embed(std::string_view text, nn::Precision precision) const {
  CALLIE_ASSIGN_OR_RETURN(std::vector<int32_t> tokens, tokenizer_->encode(text, {.add_special = true}));
  if (tokens.empty()) return invalid_argument("the text has no tokens");
  Embedding out;
  if (static_cast<int64_t>(tokens.size()) > context()) {
    // The end marker stays.
    const int32_t last = tokens.back();
    tokens.resize(context());
    tokens.back() = last;
    out.truncated = true;
  }
  out.tokens = static_cast<int64_t>(tokens.size());
  out.vector = embed_tokens(tokens, precision);
  return out;
}

}  // namespace callie
