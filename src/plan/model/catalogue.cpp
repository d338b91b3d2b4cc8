// Sizes from each model's public config.json on Hugging Face.

#include <algorithm>
#include <cctype>

#include "plan/model/shape.h"

namespace callie::plan {
namespace {

struct Entry {
  const char* name;
  const char* alias;
  ModelShape shape;
};

ModelShape dense(int layers, int hidden, int heads, int kv_heads, int head_dim, int64_t intermediate,
                 int64_t vocabulary, int64_t max_context, bool tied = false) {
  ModelShape s;
  s.layers = layers;
  s.hidden = hidden;
  s.heads = heads;
  s.kv_heads = kv_heads;
  s.head_dim = head_dim;
  s.intermediate = intermediate;
  s.vocabulary = vocabulary;
  s.max_context = max_context;
  s.tied = tied;
  return s;
}

ModelShape mixture(ModelShape s, int experts, int per_token, int64_t width, int64_t shared = 0, int first_dense = 0) {
  s.experts = experts;
  s.experts_per_token = per_token;
  s.expert_intermediate = width;
  s.shared_intermediate = shared;
  s.first_dense_layers = first_dense;
  return s;
}

ModelShape windowed(ModelShape s, int window, double share) {
  s.window = window;
  s.window_share = share;
  return s;
}

ModelShape latent(ModelShape s, int kv_rank, int q_rank) {
  s.kv_rank = kv_rank;
  s.q_rank = q_rank;
  s.rope_dim = 64;
  s.nope_dim = 128;
  s.v_dim = 128;
  return s;
}

ModelShape encoder(ModelShape s) {
  s.decoder = false;
  s.gated = false;
  return s;
}

const std::vector<Entry>& entries() {
  static const std::vector<Entry> kEntries = {
      {"meta-llama/Llama-2-7b-hf", "llama-2-7b", dense(32, 4096, 32, 32, 128, 11008, 32000, 4096)},
      {"meta-llama/Llama-2-13b-hf", "llama-2-13b", dense(40, 5120, 40, 40, 128, 13824, 32000, 4096)},
      {"meta-llama/Llama-2-70b-hf", "llama-2-70b", dense(80, 8192, 64, 8, 128, 28672, 32000, 4096)},
      {"meta-llama/Meta-Llama-3-8B", "llama-3-8b", dense(32, 4096, 32, 8, 128, 14336, 128256, 8192)},
      {"meta-llama/Meta-Llama-3-70B", "llama-3-70b", dense(80, 8192, 64, 8, 128, 28672, 128256, 8192)},
      {"meta-llama/Llama-3.1-8B", "llama-3.1-8b", dense(32, 4096, 32, 8, 128, 14336, 128256, 131072)},
      {"meta-llama/Llama-3.1-70B", "llama-3.1-70b", dense(80, 8192, 64, 8, 128, 28672, 128256, 131072)},
      {"meta-llama/Llama-3.1-405B", "llama-3.1-405b", dense(126, 16384, 128, 8, 128, 53248, 128256, 131072)},
      {"meta-llama/Llama-3.2-1B", "llama-3.2-1b", dense(16, 2048, 32, 8, 64, 8192, 128256, 131072, true)},
      {"meta-llama/Llama-3.2-3B", "llama-3.2-3b", dense(28, 3072, 24, 8, 128, 8192, 128256, 131072, true)},
      {"meta-llama/Llama-3.3-70B-Instruct", "llama-3.3-70b", dense(80, 8192, 64, 8, 128, 28672, 128256, 131072)},
      {"Qwen/Qwen2.5-0.5B", "qwen2.5-0.5b", dense(24, 896, 14, 2, 64, 4864, 151936, 32768, true)},
      {"Qwen/Qwen2.5-1.5B", "qwen2.5-1.5b", dense(28, 1536, 12, 2, 128, 8960, 151936, 131072, true)},
      {"Qwen/Qwen2.5-7B", "qwen2.5-7b", dense(28, 3584, 28, 4, 128, 18944, 152064, 131072)},
      {"Qwen/Qwen2.5-14B", "qwen2.5-14b", dense(48, 5120, 40, 8, 128, 13824, 152064, 131072)},
      {"Qwen/Qwen2.5-32B", "qwen2.5-32b", dense(64, 5120, 40, 8, 128, 27648, 152064, 131072)},
      {"Qwen/Qwen2.5-72B", "qwen2.5-72b", dense(80, 8192, 64, 8, 128, 29568, 152064, 131072)},
      {"Qwen/Qwen3-0.6B", "qwen3-0.6b", dense(28, 1024, 16, 8, 128, 3072, 151936, 40960, true)},
      {"Qwen/Qwen3-1.7B", "qwen3-1.7b", dense(28, 2048, 16, 8, 128, 6144, 151936, 40960, true)},
      {"Qwen/Qwen3-4B", "qwen3-4b", dense(36, 2560, 32, 8, 128, 9728, 151936, 40960, true)},
      {"Qwen/Qwen3-8B", "qwen3-8b", dense(36, 4096, 32, 8, 128, 12288, 151936, 40960)},
      {"Qwen/Qwen3-14B", "qwen3-14b", dense(40, 5120, 40, 8, 128, 17408, 151936, 40960)},
      {"Qwen/Qwen3-32B", "qwen3-32b", dense(64, 5120, 64, 8, 128, 25600, 151936, 40960)},
      {"Qwen/Qwen3-30B-A3B-Instruct-2507", "qwen3-30b-a3b",
       mixture(dense(48, 2048, 32, 4, 128, 6144, 151936, 262144), 128, 8, 768)},
      {"Qwen/Qwen3-30B-A3B", "qwen3-30b-a3b-base",
       mixture(dense(48, 2048, 32, 4, 128, 6144, 151936, 40960), 128, 8, 768)},
      {"Qwen/Qwen3-235B-A22B", "qwen3-235b-a22b",
       mixture(dense(94, 4096, 64, 4, 128, 12288, 151936, 40960), 128, 8, 1536)},
      {"Qwen/Qwen3-Coder-30B-A3B-Instruct", "qwen3-coder-30b-a3b",
       mixture(dense(48, 2048, 32, 4, 128, 6144, 151936, 262144), 128, 8, 768)},
      {"mistralai/Mistral-7B-v0.1", "mistral-7b", windowed(dense(32, 4096, 32, 8, 128, 14336, 32000, 32768), 4096, 1)},
      {"mistralai/Mistral-7B-v0.3", "mistral-7b-v0.3", dense(32, 4096, 32, 8, 128, 14336, 32768, 32768)},
      {"mistralai/Mistral-Small-24B-Instruct-2501", "mistral-small-24b",
       dense(40, 5120, 32, 8, 128, 32768, 131072, 32768)},
      {"mistralai/Mistral-Large-Instruct-2407", "mistral-large",
       dense(88, 12288, 96, 8, 128, 28672, 32768, 131072)},
      {"mistralai/Mixtral-8x7B-v0.1", "mixtral-8x7b",
       mixture(dense(32, 4096, 32, 8, 128, 14336, 32000, 32768), 8, 2, 14336)},
      {"mistralai/Mixtral-8x22B-v0.1", "mixtral-8x22b",
       mixture(dense(56, 6144, 48, 8, 128, 16384, 32000, 65536), 8, 2, 16384)},
      {"microsoft/Phi-mini-MoE-instruct", "phi-mini-moe",
       mixture(dense(32, 4096, 16, 4, 128, 960, 32064, 4096), 16, 2, 960)},
      {"google/gemma-2-2b", "gemma-2-2b", windowed(dense(26, 2304, 8, 4, 256, 9216, 256000, 8192, true), 4096, 0.5)},
      {"google/gemma-2-9b", "gemma-2-9b", windowed(dense(42, 3584, 16, 8, 256, 14336, 256000, 8192, true), 4096, 0.5)},
      {"google/gemma-2-27b", "gemma-2-27b",
       windowed(dense(46, 4608, 32, 16, 128, 36864, 256000, 8192, true), 4096, 0.5)},
      {"google/gemma-3-1b-it", "gemma-3-1b",
       windowed(dense(26, 1152, 4, 1, 256, 6912, 262144, 32768, true), 512, 22.0 / 26)},
      {"google/gemma-3-27b-it", "gemma-3-27b",
       windowed(dense(62, 5376, 32, 16, 128, 21504, 262208, 131072, true), 1024, 52.0 / 62)},
      {"deepseek-ai/DeepSeek-V2-Lite", "deepseek-v2-lite",
       mixture(latent(dense(27, 2048, 16, 16, 128, 10944, 102400, 163840), 512, 0), 64, 6, 1408, 2816, 1)},
      {"deepseek-ai/DeepSeek-V3", "deepseek-v3",
       mixture(latent(dense(61, 7168, 128, 128, 128, 18432, 129280, 163840), 512, 1536), 256, 8, 2048, 2048, 3)},
      {"deepseek-ai/DeepSeek-R1", "deepseek-r1",
       mixture(latent(dense(61, 7168, 128, 128, 128, 18432, 129280, 163840), 512, 1536), 256, 8, 2048, 2048, 3)},
      {"deepseek-ai/DeepSeek-R1-Distill-Llama-70B", "deepseek-r1-distill-70b",
       dense(80, 8192, 64, 8, 128, 28672, 128256, 131072)},
      {"HuggingFaceTB/SmolLM2-135M-Instruct", "smollm2-135m", dense(30, 576, 9, 3, 64, 1536, 49152, 8192, true)},
      {"bigscience/bloom", "bloom-176b",
       [] {
         ModelShape s = dense(70, 14336, 112, 112, 128, 57344, 250880, 2048, true);
         s.gated = false;
         return s;
       }()},
      {"intfloat/e5-large-v2", "e5-large", encoder(dense(24, 1024, 16, 16, 64, 4096, 30522, 512))},
      {"sentence-transformers/all-MiniLM-L6-v2", "all-minilm-l6-v2",
       encoder(dense(6, 384, 12, 12, 32, 1536, 30522, 512))},
  };
  return kEntries;
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), [](unsigned char c) { return std::tolower(c); });
  return out;
}

}  // namespace

StatusOr<ModelShape> find_model(std::string_view name) {
  const std::string wanted = lower(name);
  const Entry* found = nullptr;
  for (const Entry& entry : entries()) {
    const std::string full = lower(entry.name);
    if (full == wanted || wanted == entry.alias) {
      found = &entry;
      break;
    }
    if (!found && full.substr(full.find('/') + 1) == wanted) found = &entry;
  }
  if (!found && wanted.ends_with("-instruct")) return find_model(name.substr(0, name.size() - 9));
  if (!found && wanted.ends_with("-hf")) return find_model(name.substr(0, name.size() - 3));
  if (!found) return not_found("model \"{}\" is not in the catalogue; give its config.json", name);
  ModelShape shape = found->shape;
  shape.name = found->name;
  return shape;
}

std::vector<std::string> model_names() {
  std::vector<std::string> names;
  for (const Entry& entry : entries()) names.emplace_back(entry.name);
  return names;
}

}  // namespace callie::plan
