#include "models/architecture.h"

namespace callie::models {

DecoderTensorNames gguf_decoder_names() {
  return {
      .embedding = "token_embd.weight",
      .output_norm = "output_norm.weight",
      .head = "output.weight",
      .attention_norm = "blk.{}.attn_norm.weight",
      .query = "blk.{}.attn_q.weight",
      .key = "blk.{}.attn_k.weight",
      .value = "blk.{}.attn_v.weight",
      .attention_output = "blk.{}.attn_output.weight",
      .query_norm = "blk.{}.attn_q_norm.weight",
      .key_norm = "blk.{}.attn_k_norm.weight",
      .post_attention_norm = "blk.{}.post_attention_norm.weight",
      .ffn_norm = "blk.{}.ffn_norm.weight",
      .gate = "blk.{}.ffn_gate.weight",
      .up = "blk.{}.ffn_up.weight",
      .down = "blk.{}.ffn_down.weight",
      .post_ffn_norm = "blk.{}.post_ffw_norm.weight",
      .rope_frequencies = "rope_freqs.weight",
  };
}

DecoderTensorNames hugging_face_decoder_names() {
  return {
      .embedding = "model.embed_tokens.weight",
      .output_norm = "model.norm.weight",
      .head = "lm_head.weight",
      .attention_norm = "model.layers.{}.input_layernorm.weight",
      .query = "model.layers.{}.self_attn.q_proj.weight",
      .key = "model.layers.{}.self_attn.k_proj.weight",
      .value = "model.layers.{}.self_attn.v_proj.weight",
      .attention_output = "model.layers.{}.self_attn.o_proj.weight",
      .query_norm = "model.layers.{}.self_attn.q_norm.weight",
      .key_norm = "model.layers.{}.self_attn.k_norm.weight",
      .post_attention_norm = "",
      .ffn_norm = "model.layers.{}.post_attention_layernorm.weight",
      .gate = "model.layers.{}.mlp.gate_proj.weight",
      .up = "model.layers.{}.mlp.up_proj.weight",
      .down = "model.layers.{}.mlp.down_proj.weight",
      .post_ffn_norm = "",
      .rope_frequencies = "",
  };
}

}  // namespace callie::models
