#!/usr/bin/env python3
"""Tiny random models of every architecture with the logits that Hugging Face transformers computes for them.

Run: pip install torch transformers tokenizers safetensors numpy; python3 make_tiny_models.py
Writes tiny/NAME/{config.json, model.safetensors, tokenizer.json, tokenizer_config.json, expected.json}. Weights are
rounded to bfloat16 and stored so; the forward pass runs in float64 over the rounded weights.
"""
import copy
import json
import pathlib
import shutil

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

HERE = pathlib.Path(__file__).parent / "tiny"
VOCAB = 272  # 256 bytes and a few special tokens
N_TOKENS = 48


def byte_tokenizer(folder):
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {token: i for i, token in enumerate(alphabet)}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<s>", "</s>"] + [f"<extra_{i}>" for i in range(VOCAB - 258)])
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"bos_token": "<s>", "eos_token": "</s>", "add_bos_token": True}) + "\n")


def word_piece_tokenizer(folder):
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    letters = [chr(c) for c in range(97, 123)] + [str(d) for d in range(10)] + list(".,!?-")
    vocab = words + letters + ["##" + c for c in letters]
    vocab += [f"[unused{i}]" for i in range(VOCAB - len(vocab))]
    from tokenizers import normalizers, processors
    tokenizer = Tokenizer(models.WordPiece(vocab={w: i for i, w in enumerate(vocab)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.add_special_tokens(words)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"cls_token": "[CLS]", "sep_token": "[SEP]", "unk_token": "[UNK]", "pad_token": "[PAD]"}) + "\n")


def randomize(model, seed):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float32)
            if "norm" in name.lower() and name.endswith("weight"):
                value = 1.0 + 0.2 * noise if "gemma" not in model.config.model_type else 0.2 * noise
            elif name.endswith("bias"):
                value = 0.1 * noise
            elif "embed" in name:
                value = noise
            else:
                value = noise * (1.6 / parameter.shape[-1] ** 0.5)
            parameter.copy_(value.to(torch.bfloat16).to(parameter.dtype))


def rope(kind, theta, **keys):
    return {"rope_type": kind, "rope_theta": theta, **keys}


def common(**keys):
    return dict(vocab_size=VOCAB, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
                num_key_value_heads=2, head_dim=16, max_position_embeddings=64, rms_norm_eps=1e-5,
                bos_token_id=256, eos_token_id=257, pad_token_id=None) | keys


T = transformers
MODELS = {
    "llama": (T.LlamaConfig, T.LlamaForCausalLM,
              common(tie_word_embeddings=True, rope_parameters=rope("default", 10000.0))),
    "llama_linear": (T.LlamaConfig, T.LlamaForCausalLM,
                     common(rope_parameters=rope("linear", 10000.0, factor=2.0))),
    "llama3": (T.LlamaConfig, T.LlamaForCausalLM,
               common(num_key_value_heads=4, rope_parameters=rope(
                   "llama3", 500.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                   original_max_position_embeddings=32))),
    "llama_yarn": (T.LlamaConfig, T.LlamaForCausalLM,
                   common(rope_parameters=rope("yarn", 10000.0, factor=4.0, original_max_position_embeddings=16))),
    "mistral": (T.MistralConfig, T.MistralForCausalLM,
                common(sliding_window=12, rope_parameters=rope("default", 10000.0))),
    "qwen2": (T.Qwen2Config, T.Qwen2ForCausalLM,
              common(tie_word_embeddings=True, rope_parameters=rope("default", 1000000.0))),
    "qwen3": (T.Qwen3Config, T.Qwen3ForCausalLM,
              common(head_dim=32, attention_bias=False, rope_parameters=rope("default", 1000000.0))),
    "gemma3": (T.Gemma3TextConfig, T.Gemma3ForCausalLM,
               common(num_hidden_layers=3, query_pre_attn_scalar=24, sliding_window=10,
                      layer_types=["sliding_attention", "full_attention", "sliding_attention"],
                      hidden_activation="gelu_pytorch_tanh", tie_word_embeddings=True,
                      rope_parameters={"full_attention": rope("linear", 1000000.0, factor=2.0),
                                       "sliding_attention": rope("default", 10000.0)})),
}


def decoder(name, config_class, model_class, keys, seed):
    folder = HERE / name
    folder.mkdir(parents=True)
    config = config_class(**keys)
    config._attn_implementation = "eager"
    model = model_class(config)
    randomize(model, seed)
    # A copy: the cast would round the rotary frequencies of the reference too.
    copy.deepcopy(model).to(torch.bfloat16).save_pretrained(folder, safe_serialization=True)
    (folder / "generation_config.json").unlink(missing_ok=True)
    model = model.to(torch.float64).eval()
    tokens = torch.randint(0, 256, (1, N_TOKENS), generator=torch.Generator().manual_seed(seed + 1))
    with torch.no_grad():
        logits = model(tokens).logits[0]
    rows = [0, 1, 7, 20, N_TOKENS - 1]
    byte_tokenizer(folder)
    (folder / "expected.json").write_text(json.dumps({
        "tokens": tokens[0].tolist(), "rows": rows,
        "logits": [[float(f"{v:.7g}") for v in logits[r].tolist()] for r in rows]}) + "\n")
    print(name, "largest logit", float(logits.abs().max()))


def bert(seed):
    folder = HERE / "bert"
    folder.mkdir(parents=True)
    config = T.BertConfig(vocab_size=VOCAB, hidden_size=64, intermediate_size=96, num_hidden_layers=2,
                          num_attention_heads=4, max_position_embeddings=64, type_vocab_size=2)
    config._attn_implementation = "eager"
    model = T.BertModel(config, add_pooling_layer=False)
    randomize(model, seed)
    # A copy: the cast would round the rotary frequencies of the reference too.
    copy.deepcopy(model).to(torch.bfloat16).save_pretrained(folder, safe_serialization=True)
    model = model.to(torch.float64).eval()
    word_piece_tokenizer(folder)
    tokens = torch.randint(5, 80, (1, 23), generator=torch.Generator().manual_seed(seed + 1))
    tokens[0, 0], tokens[0, -1] = 2, 3
    with torch.no_grad():
        mean = model(tokens).last_hidden_state[0].mean(0)
    unit = mean / mean.norm()
    (folder / "expected.json").write_text(json.dumps({
        "tokens": tokens[0].tolist(), "embedding": [float(f"{v:.7g}") for v in unit.tolist()]}) + "\n")


if __name__ == "__main__":
    shutil.rmtree(HERE, ignore_errors=True)
    for index, (name, (config_class, model_class, keys)) in enumerate(MODELS.items()):
        decoder(name, config_class, model_class, keys, 100 + 10 * index)
    bert(1000)
