"""Builds a Hugging Face tokenizer from the vocabulary and merges of a GGUF file: the oracle of token ids.

A GGUF names no normalizer, so none is applied, but for what SentencePiece's blanks need.
"""
import re

import gguf
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
CL100K = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN35 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|"
          r"\s*[\r\n]+|\s+(?!\S)|\s+")
DEEPSEEK3 = [r"\p{N}{1,3}", "[一-龥぀-ゟ゠-ヿ]+",
             r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*"""
             r"""|\s*[\r\n]+|\s+(?!\S)|\s+"""]
PATTERNS = {
    "gpt-2": [GPT2], "mpt": [GPT2],
    "smollm": [r"\p{N}", GPT2], "starcoder": [r"\p{N}", GPT2], "refact": [r"\p{N}", GPT2], "command-r": [r"\p{N}", GPT2],
    "llama-bpe": [CL100K % r"\p{N}{1,3}"], "qwen2": [CL100K % r"\p{N}"], "qwen35": [QWEN35],
    "deepseek-v3": DEEPSEEK3,
    "falcon": [r"[\p{P}\$\+<=>\^~\|`]+", GPT2, "[0-9][0-9][0-9]"],
    "deepseek-coder": ["[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", "[一-龥ࠀ-一가-퟿]+", r"\p{N}"],
}
IGNORE_MERGES = {"llama-bpe"}
CONTROL, UNKNOWN, USER = 3, 2, 4


def fields(path):
    reader = gguf.GGUFReader(path)
    return {k: f.contents() for k, f in reader.fields.items() if k.startswith("tokenizer.")}


def spm_merges(tokens, scores):
    """The joins of a SentencePiece vocabulary, best score first, as Hugging Face's converter makes them."""
    ids = {}
    for i, token in enumerate(tokens):
        ids.setdefault(token, i)
    joins = []
    for token, i in ids.items():
        local = []
        for cut in range(1, len(token)):
            left, right = token[:cut], token[cut:]
            if left in ids and right in ids:
                local.append((left, right, scores[i]))
        joins.extend(sorted(local, key=lambda x: (ids[x[0]], ids[x[1]])))
    joins.sort(key=lambda x: -x[2])
    return [(left, right) for left, right, _ in joins]


def build(path, parse_special):
    data = fields(path)
    g = lambda name, default=None: data.get("tokenizer.ggml." + name, default)
    tokens, types, kind = g("tokens"), g("token_type"), g("model")
    vocab = {}
    for i, token in enumerate(tokens):
        vocab.setdefault(token, i)
    if kind == "gpt2":
        merges = [tuple(m.split(" ", 1)) for m in g("merges")]
        pre = g("pre", "default")
        tok = Tokenizer(models.BPE(vocab=vocab, merges=merges, ignore_merges=pre in IGNORE_MERGES))
        steps = [pre_tokenizers.Split(Regex(p), "isolated") for p in PATTERNS[pre]]
        tok.pre_tokenizer = pre_tokenizers.Sequence(steps + [pre_tokenizers.ByteLevel(False, use_regex=False)])
        tok.decoder = decoders.ByteLevel()
    elif kind == "llama":
        merges = spm_merges(tokens, g("scores"))
        unk = tokens[g("unknown_token_id", 0)]
        tok = Tokenizer(models.BPE(vocab=vocab, merges=merges, unk_token=unk, fuse_unk=True, byte_fallback=True))
        steps = [normalizers.Prepend("▁")] if g("add_space_prefix", True) else []
        tok.normalizer = normalizers.Sequence(steps + [normalizers.Replace(" ", "▁")])
    elif kind == "t5":
        tok = Tokenizer(models.Unigram(list(zip(tokens, g("scores"))), unk_id=g("unknown_token_id", 2), byte_fallback=False))
        steps = [normalizers.Precompiled(bytes(x & 255 for x in g("precompiled_charsmap")))] if g("precompiled_charsmap") else []
        if g("remove_extra_whitespaces", False):
            steps += [normalizers.Strip(), normalizers.Replace(Regex(" {2,}"), " ")]
        tok.normalizer = normalizers.Sequence(steps)
        scheme = "always" if g("add_space_prefix", True) else "never"
        tok.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme=scheme, split=False)
    elif kind == "bert":
        undo = lambda t: t[1:] if t.startswith("▁") else t if re.fullmatch(r"\[\w+\]", t) else "##" + t
        vocab = {}
        for i, token in enumerate(tokens):
            vocab.setdefault(undo(token), i)
        tok = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]", max_input_chars_per_word=100))
        tok.normalizer = normalizers.BertNormalizer()
        tok.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    else:
        raise SystemExit(f"{path}: no oracle for the model '{kind}'")
    added = []
    if types:
        for token, kind in zip(tokens, types):
            if kind in (CONTROL, UNKNOWN, USER):
                added.append(AddedToken(token, special=kind != USER, normalized=False))
    tok.add_special_tokens([a for a in added if a.special])
    tok.add_tokens([a for a in added if not a.special])
    tok.encode_special_tokens = not parse_special
    return tok
