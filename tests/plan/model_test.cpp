// Model shapes against published sizes, and config.json files.

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "plan/config/config.h"
#include "plan/model/shape.h"

namespace callie::plan {
namespace {

const std::string kTiny = std::string(CALLIE_SOURCE_DIR) + "/tests/golden/tiny/";

std::string write(const std::string& name, const std::string& text) {
  const std::string path = (std::filesystem::temp_directory_path() / name).string();
  std::ofstream(path) << text;
  return path;
}

TEST(Models, ParametersAreAsPublished) {
  // Billions, from the models' own cards.
  const std::pair<const char*, double> published[] = {
      {"llama-2-7b", 6.74},       {"llama-3.1-8b", 8.03},   {"llama-3.1-70b", 70.6},  {"llama-3.1-405b", 405.9},
      {"llama-3.2-1b", 1.24},     {"qwen2.5-7b", 7.62},     {"qwen2.5-72b", 72.7},    {"qwen3-8b", 8.19},
      {"qwen3-30b-a3b", 30.5},    {"qwen3-235b-a22b", 235.1}, {"mistral-7b", 7.24},   {"mixtral-8x7b", 46.7},
      {"mixtral-8x22b", 140.6},   {"gemma-2-9b", 9.24},     {"gemma-2-27b", 27.2},    {"deepseek-v3", 671.0},
      {"deepseek-v2-lite", 15.7}, {"smollm2-135m", 0.1345}};
  for (const auto& [name, billions] : published) {
    const auto shape = find_model(name);
    ASSERT_TRUE(shape.ok()) << name;
    EXPECT_NEAR(shape->parameters() / 1e9, billions, 0.01 * billions) << name;
  }
  EXPECT_EQ(find_model("llama-3-8b")->kv_bytes_per_token(2), 131'072);
  EXPECT_EQ(find_model("llama-3-70b")->kv_bytes_per_token(2), 327'680);
  // Latent attention: 512 + 64 numbers a token and layer.
  EXPECT_EQ(find_model("deepseek-v3")->kv_bytes_per_token(2), (512 + 64) * 61 * 2);
}

TEST(Models, AConfigGivesTheCataloguesShape) {
  // SmolLM2-135M, with what its config.json says about its shape.
  const std::string path = write("callie_plan_model_test.json", R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama",
      "hidden_size": 576, "intermediate_size": 1536, "max_position_embeddings": 8192, "num_attention_heads": 9,
      "num_hidden_layers": 30, "num_key_value_heads": 3, "tie_word_embeddings": true, "vocab_size": 49152})");
  const auto read = model_from_config(path), known = find_model("smollm2-135m");
  ASSERT_TRUE(read.ok()) << read.status().message();
  EXPECT_EQ(read->parameters(), known->parameters());
  EXPECT_EQ(read->kv_bytes_per_token(2), 2 * 30 * 3 * 64 * 2);
  EXPECT_EQ(read->max_context, known->max_context);
  for (const char* name : {"llama", "llama3", "gemma3", "mistral", "qwen2", "qwen3"}) {
    const auto tiny = model_from_config(kTiny + name + "/config.json");
    ASSERT_TRUE(tiny.ok()) << name << ": " << tiny.status().message();
    EXPECT_TRUE(tiny->decoder) << name;
    EXPECT_GT(tiny->parameters(), 0) << name;
  }
}

TEST(Models, AnEncoderEmbedsAndDoesNotGenerate) {
  const std::string encoder = kTiny + "bert/config.json";
  const std::string config = write("callie_plan_model_test.yaml",
                                   "models: {m: {name: llama-3.1-8b}}\nhardware: {h: {preset: h100_sxm}}\n"
                                   "clients:\n  - {name: c, model: m, hw: h}\n"
                                   "workload: {arrivals: poisson(1), prompt: 5, output: 5}\n");
  ConfigLoader loader;
  const auto loaded = loader.load(config, {model_override(encoder)});
  ASSERT_FALSE(loaded.ok());
  EXPECT_NE(loaded.status().message().find("is an encoder"), std::string::npos) << loaded.status().message();
  EXPECT_NE(model_from_config(write("callie_plan_model_test.json", R"({"model_type": "t5", "d_model": 512})"))
                .status().message().find("callie_plan_model_test.json: num_hidden_layers: missing"), std::string::npos);
}

TEST(Models, AConfigFileTakesThePlaceOfTheCatalogue) {
  const auto message = [](const std::string& models, const std::string& change) {
    ConfigLoader loader;
    const auto loaded = loader.load(write("callie_plan_model_test.yaml",
                                          "models: " + models + "\nhardware: {h: {preset: h100_sxm}}\n"
                                          "clients:\n  - {name: c, model: qwen2.5, hw: h}\n"
                                          "workload: {arrivals: poisson(1), prompt: 5, output: 5}\n"),
                                    {model_override(change)});
    if (!loaded.ok()) return loaded.status().message();
    return fmt::format("{} layers", loaded->spec.groups[0].model.layers);
  };
  const std::string tiny = kTiny + "qwen2/config.json";
  const std::string layers = fmt::format("{} layers", model_from_config(tiny)->layers);
  const std::string one = "{qwen2.5: {name: qwen2.5-7b}}", two = "{qwen2.5: {name: qwen2.5-7b}, m: {name: llama-3.1-8b}}";
  EXPECT_EQ(message(one, tiny), layers);
  EXPECT_EQ(message(one, "qwen2.5=" + tiny), layers);
  EXPECT_EQ(message(two, "qwen2.5=" + tiny), layers);
  EXPECT_NE(message(two, tiny).find("not exactly one"), std::string::npos);
  EXPECT_NE(message(two, "other=" + tiny).find("no model \"other\""), std::string::npos);
}

}  // namespace
}  // namespace callie::plan
