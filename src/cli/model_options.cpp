#include "cli/model_options.h"

#include <CLI/CLI.hpp>

#include "cli/number_checks.h"
#include "io/model_path.h"


namespace callie::cli {

void ModelOptions::add_to(CLI::App& verb) {
  verb.add_option("MODEL", model, "catalogue name, GGUF file, Hugging Face folder, URL or hf:owner/repo/file")
      ->capture_default_str();
  verb.add_option("--threads", threads, "threads (0 = physical cores)")->check(CLI::Range(0, 1024))->capture_default_str();
  verb.add_flag("--no-cache", no_cache, "neither read nor write the cache of packed weights");
}

int ModelOptions::thread_count() const { return threads > 0 ? threads : ThreadPool::physical_cores(); }

void ContextOptions::add_to(CLI::App& verb) {
  verb.add_option("--ctx", ctx, "context length in tokens (0 = the model's, at most 4096)")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 30))
      ->capture_default_str();
  verb.add_option("--kv", kv, "format of keys and values")->check(CLI::IsMember({"f16", "q8", "q4"}))->capture_default_str();
  verb.add_option("--kv-memory", kv_memory, "memory for keys and values at most, for example 512M");
  verb.add_option("--precision", precision, "f32 computes every product in f32 (slow, the oracle)")
      ->check(CLI::IsMember({"default", "f32"}))
      ->capture_default_str();
}

StatusOr<SessionOptions> ContextOptions::session_options() const {
  SessionOptions options;
  options.context = ctx;
  options.kv_format = kv == "q8"   ? kernels::KvFormat::kQ8
                      : kv == "q4" ? kernels::KvFormat::kQ4
                                   : kernels::KvFormat::kF16;
  options.precision = precision == "f32" ? nn::Precision::kF32 : nn::Precision::kDefault;
  if (!kv_memory.empty()) {
    CALLIE_ASSIGN_OR_RETURN(options.kv_memory, parse_bytes("--kv-memory", kv_memory));
  }
  return options;
}

void SamplingFlags::add_to(CLI::App& verb) {
  verb.add_option("--temp", sampling.temperature, "temperature; 0 = greedy")
      ->check(CLI::Range(0.0f, 100.0f))
      ->capture_default_str();
  verb.add_option("--top-k", sampling.top_k, "keep the k best tokens (0 = off)")
      ->check(non_negative_number())
      ->capture_default_str();
  verb.add_option("--top-p", sampling.top_p, "keep the best tokens that hold this probability (1 = off)")
      ->capture_default_str();
  verb.add_option("--min-p", sampling.min_p, "drop tokens below this share of the best one's probability (0 = off)")
      ->capture_default_str();
  verb.add_option("--repeat-penalty", sampling.repeat_penalty, "penalty on tokens already generated (1 = off)")
      ->capture_default_str();
  verb.add_option("--seed", sampling.seed, "seed; the same seed gives the same text")->capture_default_str();
  verb.add_option("--stop", stops, "text that ends the answer (repeatable)")->expected(1)->take_all();
}

StatusOr<int64_t> parse_bytes(const std::string& flag, const std::string& text) {
  char* end = nullptr;
  const double number = std::strtod(text.c_str(), &end);
  const std::string unit = end;
  const double scale = unit.empty() || unit == "B"       ? 1
                       : unit == "K" || unit == "KiB"    ? 1024.0
                       : unit == "M" || unit == "MiB"    ? 1048576.0
                       : unit == "G" || unit == "GiB"    ? 1073741824.0
                                                         : 0;
  if (end == text.c_str() || scale == 0 || !(number > 0) || number * scale > 9e15) {
    return error(StatusCode::kUsage, "{}: '{}' is not a size such as 512M or 2G", flag, text);
  }
  return static_cast<int64_t>(number * scale);
}

StatusOr<std::shared_ptr<const Model>> load_model(const ModelOptions& options, Context& context) {
  CALLIE_ASSIGN_OR_RETURN(const Environment environment, Environment::from_process());
  CALLIE_ASSIGN_OR_RETURN(const std::string path, io::resolve_model(options.model, environment));
  LoadOptions load;
  if (!options.no_cache) load.packed_folder = environment.packed_folder();
  load.packed_limit_bytes = environment.packed_limit_bytes;
  load.quiet = false;
  return Model::load(path, load, context);
}

}  // namespace callie::cli
