#pragma once

#include <array>
#include <string>
#include <vector>

#include "core/philox.h"
#include "io/gguf_writer.h"
#include "kernels/half.h"
#include "tensor/storage_type.h"

namespace callie::test {

/// Where a block of a storage type keeps its binary16 factors, and values for them that give weights of about 1/16.
struct BlockScales {
  tensor::StorageType type;
  std::array<std::pair<int, float>, 2> fields;  ///< (byte offset, value); offset -1 = none
};
inline constexpr BlockScales kBlockScales[] = {
    {tensor::StorageType::kQ4_0, {{{0, 0.012f}, {-1, 0}}}},
    {tensor::StorageType::kQ4_1, {{{0, 0.012f}, {2, -0.09f}}}},
    {tensor::StorageType::kQ5_0, {{{0, 0.006f}, {-1, 0}}}},
    {tensor::StorageType::kQ5_1, {{{0, 0.006f}, {2, -0.093f}}}},
    {tensor::StorageType::kQ8_0, {{{0, 0.0008f}, {-1, 0}}}},
    {tensor::StorageType::kQ2_K, {{{80, 0.005f}, {82, 0.0075f}}}},
    {tensor::StorageType::kQ3_K, {{{108, 0.0008f}, {-1, 0}}}},
    {tensor::StorageType::kQ4_K, {{{0, 2.5e-4f}, {2, 1.9e-3f}}}},
    {tensor::StorageType::kQ5_K, {{{0, 1.2e-4f}, {2, 1.9e-3f}}}},
    {tensor::StorageType::kQ6_K, {{{208, 2e-5f}, {-1, 0}}}},
    {tensor::StorageType::kIQ4_NL, {{{0, 0.001f}, {-1, 0}}}},
    {tensor::StorageType::kIQ4_XS, {{{0, 4e-5f}, {-1, 0}}}},
};

/// `elements` random weights of a storage type.
inline std::vector<uint8_t> random_weights(tensor::StorageType type, int64_t elements, uint64_t seed) {
  SequentialRng rng(seed, Purpose::kTest);
  const tensor::StorageTypeInfo& info = *tensor::storage_type_info(type);
  std::vector<uint8_t> bytes(elements / info.block_elements * info.block_bytes);
  const auto put_half = [&](size_t at, float value) {
    const uint16_t half = kernels::f32_to_f16(value);
    bytes[at] = static_cast<uint8_t>(half);
    bytes[at + 1] = static_cast<uint8_t>(half >> 8);
  };
  const auto uniform = [&] { return static_cast<float>(rng.next_double() - 0.5) / 4; };
  if (type == tensor::StorageType::kF32 || type == tensor::StorageType::kF16 || type == tensor::StorageType::kBF16) {
    for (int64_t i = 0; i < elements; ++i) {
      const float value = uniform();
      uint32_t bits;
      std::memcpy(&bits, &value, 4);
      if (type == tensor::StorageType::kF32) std::memcpy(&bytes[4 * i], &bits, 4);
      if (type == tensor::StorageType::kF16) put_half(2 * i, value);
      if (type == tensor::StorageType::kBF16) {
        bytes[2 * i] = static_cast<uint8_t>(bits >> 16);
        bytes[2 * i + 1] = static_cast<uint8_t>(bits >> 24);
      }
    }
    return bytes;
  }
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(rng.next_u32());
  for (const BlockScales& scales : kBlockScales) {
    if (scales.type != type) continue;
    for (size_t block = 0; block < bytes.size(); block += info.block_bytes) {
      for (const auto& [offset, value] : scales.fields) {
        if (offset >= 0) put_half(block + offset, value * static_cast<float>(0.5 + rng.next_double()));
      }
    }
  }
  return bytes;
}

/// Writes a llama-shaped GGUF whose matrices are random weights of `type`: hidden 256, two layers, byte vocabulary.
inline Status write_tiny_gguf(const std::string& path, tensor::StorageType type) {
  constexpr int64_t kHidden = 256, kFfn = 512, kKv = 128, kVocab = 264;
  io::GgufWriter writer;
  writer.set_string("general.architecture", "llama");
  writer.set_u32("llama.embedding_length", kHidden);
  writer.set_u32("llama.feed_forward_length", kFfn);
  writer.set_u32("llama.block_count", 2);
  writer.set_u32("llama.attention.head_count", 4);
  writer.set_u32("llama.attention.head_count_kv", 2);
  writer.set_u32("llama.context_length", 512);
  writer.set_f32("llama.attention.layer_norm_rms_epsilon", 1e-5f);
  std::vector<std::string> tokens;
  std::vector<float> scores;
  std::vector<int32_t> types;
  for (int64_t i = 0; i < kVocab; ++i) {
    char name[16];
    const bool byte = i >= 3 && i < 259;
    std::snprintf(name, sizeof name, byte ? "<0x%02X>" : "<t%02X>", static_cast<int>(byte ? i - 3 : i));
    tokens.push_back(i == 0 ? "<unk>" : i == 1 ? "<s>" : i == 2 ? "</s>" : name);
    scores.push_back(0);
    types.push_back(i == 0 ? 2 : i < 3 ? 3 : byte ? 6 : 1);
  }
  writer.set_string("tokenizer.ggml.model", "llama");
  writer.set_strings("tokenizer.ggml.tokens", tokens);
  writer.set_f32s("tokenizer.ggml.scores", scores);
  writer.set_i32s("tokenizer.ggml.token_type", types);
  writer.set_u32("tokenizer.ggml.bos_token_id", 1);
  writer.set_u32("tokenizer.ggml.eos_token_id", 2);
  writer.set_u32("tokenizer.ggml.unknown_token_id", 0);

  std::vector<std::vector<uint8_t>> data;
  const auto matrix = [&](const std::string& name, int64_t rows, int64_t cols) {
    const int64_t shape[] = {rows, cols};
    data.push_back(random_weights(type, rows * cols, data.size() + 1));
    return writer.declare(name, type, shape);
  };
  const auto ones = [&](const std::string& name) {
    const int64_t shape[] = {kHidden};
    std::vector<uint8_t> bytes(kHidden * 4);
    const float one = 1;
    for (int64_t i = 0; i < kHidden; ++i) std::memcpy(&bytes[4 * i], &one, 4);
    data.push_back(std::move(bytes));
    return writer.declare(name, tensor::StorageType::kF32, shape);
  };
  CALLIE_RETURN_IF_ERROR(matrix("token_embd.weight", kVocab, kHidden));
  CALLIE_RETURN_IF_ERROR(ones("output_norm.weight"));
  for (int layer = 0; layer < 2; ++layer) {
    const std::string prefix = "blk." + std::to_string(layer) + ".";
    CALLIE_RETURN_IF_ERROR(ones(prefix + "attn_norm.weight"));
    CALLIE_RETURN_IF_ERROR(ones(prefix + "ffn_norm.weight"));
    CALLIE_RETURN_IF_ERROR(matrix(prefix + "attn_q.weight", kHidden, kHidden));
    CALLIE_RETURN_IF_ERROR(matrix(prefix + "attn_k.weight", kKv, kHidden));
    CALLIE_RETURN_IF_ERROR(matrix(prefix + "attn_v.weight", kKv, kHidden));
    CALLIE_RETURN_IF_ERROR(matrix(prefix + "attn_output.weight", kHidden, kHidden));
    CALLIE_RETURN_IF_ERROR(matrix(prefix + "ffn_gate.weight", kFfn, kHidden));
    CALLIE_RETURN_IF_ERROR(matrix(prefix + "ffn_up.weight", kFfn, kHidden));
    CALLIE_RETURN_IF_ERROR(matrix(prefix + "ffn_down.weight", kHidden, kFfn));
  }
  return writer.write(path, [&](size_t i) -> StatusOr<std::span<const uint8_t>> {
    return std::span<const uint8_t>(data[i]);
  });
}

}  // namespace callie::test
