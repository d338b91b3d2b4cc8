#!/usr/bin/env python3
"""Small vocabularies of every kind with the ids that Hugging Face `tokenizers` gives: tokenizers/NAME/.

  make_tokenizers.py        trains on hard_cases.txt and slices/*, writes tokenizer.json, vocab.gguf and expected.json

`json` in expected.json are the ids of tokenizer.json (its normalizer applies), `gguf` those of vocab.gguf (hf_from_gguf.py:
a GGUF names no normalizer). `special`: the same with special tokens in the text parsed. Hard cases go line by line.
Needs: pip install tokenizers sentencepiece protobuf gguf numpy
"""
import io
import json
import pathlib
import tempfile

import gguf
import sentencepiece
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

import hf_from_gguf
from hf_from_gguf import CL100K, GPT2

HERE = pathlib.Path(__file__).parent
OUT = HERE / "tokenizers"
HARD = (HERE / "hard_cases.txt").read_bytes().decode()
SLICES = {p.name: p.read_bytes().decode() for p in sorted((HERE / "slices").iterdir()) if p.suffix != ".md"}
# Tokens that no chain of merges makes: only `ignore_merges` finds them.
UNREACHABLE = ["supercalifragilisticexpialidocious", "Ġantidisestablishmentarianism", "Donaudampfschiff"]
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


def byte_bpe(patterns, special, normalizer=None, ignore_merges=False, missing=()):
    tok = Tokenizer(models.BPE())
    steps = [pre_tokenizers.Split(Regex(p), "isolated") for p in patterns]
    tok.pre_tokenizer = pre_tokenizers.Sequence(steps + [pre_tokenizers.ByteLevel(False, use_regex=False)])
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=900, special_tokens=special, initial_alphabet=alphabet, show_progress=False)
    tok.train_from_iterator([HARD, *SLICES.values()], trainer)
    model = json.loads(tok.to_str())["model"]
    vocab, merges = model["vocab"], [tuple(m) for m in model["merges"]]
    for token in UNREACHABLE if ignore_merges else ():
        vocab.setdefault(token, len(vocab))
    tok.model = models.BPE(vocab=vocab, merges=merges, ignore_merges=ignore_merges)
    tok.add_special_tokens([AddedToken(s, special=True, normalized=False) for s in special])
    tok.add_tokens([AddedToken("<tool_call>", special=False, normalized=False)])
    if normalizer:
        tok.normalizer = normalizer
    tok.decoder = decoders.ByteLevel()
    return tok


def train_sentencepiece(**options):
    model = io.BytesIO()
    lines = [line for text in [HARD, *SLICES.values()] for line in text.split("\n") if line]
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(lines), model_writer=model, minloglevel=2,
                                             max_sentence_length=1 << 20, num_threads=1, **options)
    spm = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    tokens = [spm.id_to_piece(i) for i in range(spm.vocab_size())]
    scores = [spm.get_score(i) for i in range(spm.vocab_size())]
    types = [2 if spm.is_unknown(i) else 3 if spm.is_control(i) else 6 if spm.is_byte(i) else 1
             for i in range(spm.vocab_size())]
    return model.getvalue(), tokens, scores, types


def character_map(model_proto):
    """normalizer_spec.precompiled_charsmap out of a SentencePiece model."""
    from sentencepiece import sentencepiece_model_pb2
    proto = sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString(model_proto)
    return proto.normalizer_spec.precompiled_charsmap


def unigram():
    # A small map of characters instead of NFKC's large one: ligatures, full-width letters, a blank, one that vanishes.
    rules = {"ﬁ": "fi", "ﬂ": "fl", "　": " ", "\u00a0": " ", "­": "", "½": "1⁄2", "㍿": "株式会社", "e\u0301": "é", "\t": " "}
    rules |= {chr(0xff01 + i): chr(0x21 + i) for i in range(94)}
    with tempfile.NamedTemporaryFile("w", suffix=".tsv") as file:
        for k, v in rules.items():
            file.write(" ".join(f"{ord(c):X}" for c in k) + "\t" + " ".join(f"{ord(c):X}" for c in v) + "\n")
        file.flush()
        proto, tokens, scores, types = train_sentencepiece(model_type="unigram", vocab_size=700, character_coverage=0.98,
                                                           normalization_rule_tsv=file.name, pad_id=3)
    charsmap = character_map(proto)
    tok = Tokenizer(models.Unigram(list(zip(tokens, scores)), unk_id=0, byte_fallback=False))
    tok.normalizer = normalizers.Sequence([normalizers.Precompiled(charsmap), normalizers.Strip(),
                                           normalizers.Replace(Regex(" {2,}"), " ")])
    tok.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    tok.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    tok.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in ("<unk>", "<s>", "</s>")])
    return tok, dict(model="t5", tokens=tokens, scores=scores, types=types, charsmap=charsmap, unk=0, eos=2)


def spm_bpe():
    _, tokens, scores, types = train_sentencepiece(model_type="bpe", vocab_size=900, character_coverage=0.98,
                                                   byte_fallback=True, normalization_rule_name="identity",
                                                   remove_extra_whitespaces=False, split_digits=True)
    vocab = {t: i for i, t in enumerate(tokens)}
    tok = Tokenizer(models.BPE(vocab=vocab, merges=hf_from_gguf.spm_merges(tokens, scores), unk_token="<unk>",
                               fuse_unk=True, byte_fallback=True))
    tok.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tok.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
                                     decoders.Strip(" ", 1, 0)])
    tok.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in ("<unk>", "<s>", "</s>")])
    return tok, dict(model="llama", tokens=tokens, scores=scores, types=types, unk=0, bos=1, eos=2)


def wordpiece():
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tok = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tok.normalizer = normalizers.BertNormalizer()
    tok.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=900, special_tokens=special, limit_alphabet=300, show_progress=False)
    tok.train_from_iterator([HARD, *SLICES.values()], trainer)
    tok.decoder = decoders.WordPiece()
    vocab = tok.get_vocab()
    tokens = sorted(vocab, key=vocab.get)
    spelled = [t if t in special else t[2:] if t.startswith("##") else "▁" + t for t in tokens]
    return tok, dict(model="bert", tokens=spelled, types=[3 if t in special else 1 for t in tokens], unk=1, pad=0)


def bpe_file(tok, pre):
    data = json.loads(tok.to_str())
    vocab = tok.get_vocab(with_added_tokens=True)
    tokens = sorted(vocab, key=vocab.get)
    added = {a["content"]: a["special"] for a in data["added_tokens"]}
    types = [(3 if added[t] else 4) if t in added else 1 for t in tokens]
    return dict(model="gpt2", pre=pre, tokens=tokens, types=types, merges=[" ".join(m) for m in data["model"]["merges"]])


def write_gguf(path, file):
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_tokenizer_model(file["model"])
    if "pre" in file:
        writer.add_tokenizer_pre(file["pre"])
    writer.add_token_list(file["tokens"])
    writer.add_token_types(file["types"])
    if "scores" in file:
        writer.add_token_scores(file["scores"])
    if "merges" in file:
        writer.add_token_merges(file["merges"])
    if "charsmap" in file:
        writer.add_precompiled_charsmap(file["charsmap"])
        writer.add_remove_extra_whitespaces(True)
    for key, add in (("unk", writer.add_unk_token_id), ("bos", writer.add_bos_token_id), ("eos", writer.add_eos_token_id),
                     ("pad", writer.add_pad_token_id)):
        if key in file:
            add(file[key])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()


def ids(tok, parse_special):
    tok.encode_special_tokens = not parse_special
    encode = lambda text: tok.encode(text, add_special_tokens=False).ids
    return {"hard_cases.txt": [encode(line) for line in HARD.split("\n")],
            "slices": {name: encode(text) for name, text in SLICES.items()}}


def main():
    made = {
        "gpt2": (byte_bpe([GPT2], SPECIAL), "gpt-2"),
        "llama3": (byte_bpe([CL100K % r"\p{N}{1,3}"], SPECIAL, ignore_merges=True), "llama-bpe"),
        "qwen2": (byte_bpe([CL100K % r"\p{N}"], SPECIAL, normalizer=normalizers.NFC()), "qwen2"),
        "smollm": (byte_bpe([r"\p{N}", GPT2], SPECIAL), "smollm"),
    }
    made = {name: (tok, bpe_file(tok, pre)) for name, (tok, pre) in made.items()}
    made |= {"unigram": unigram(), "spm_bpe": spm_bpe(), "wordpiece": wordpiece()}
    for name, (tok, file) in made.items():
        folder = OUT / name
        folder.mkdir(parents=True, exist_ok=True)
        tok.encode_special_tokens = False
        (folder / "tokenizer.json").write_text(tok.to_str() + "\n")
        write_gguf(folder / "vocab.gguf", file)
        expected = {"json": {"plain": ids(tok, False), "special": ids(tok, True)}}
        from_file = hf_from_gguf.build(str(folder / "vocab.gguf"), parse_special=False)
        expected["gguf"] = {"plain": ids(from_file, False), "special": ids(from_file, True)}
        for kind in expected.values():  # special tokens matter to few lines: keep those alone
            kind["special"] = {str(i): b for i, (a, b) in enumerate(zip(kind["plain"]["hard_cases.txt"],
                                                                        kind["special"]["hard_cases.txt"])) if a != b}
        (folder / "expected.json").write_text(json.dumps(expected, separators=(",", ":")) + "\n")
        print(name, len(tok.get_vocab()), {k: len(v["special"]) for k, v in expected.items()})


if __name__ == "__main__":
    main()
