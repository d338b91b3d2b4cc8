#!/usr/bin/env python3
"""Counts and XXH64 of the ids that Hugging Face `tokenizers` gives with the vocabularies of real models.

  make_tokenizer_hashes.py DATA/eval MODEL.gguf...   -> tokenizers/real.json
Needs: pip install tokenizers gguf xxhash numpy
"""
import gzip
import json
import pathlib
import sys

import numpy
import xxhash

import hf_from_gguf

HERE = pathlib.Path(__file__).parent


def texts(data):
    yield "hard_cases.txt", HERE / "hard_cases.txt"
    for path in sorted((HERE / "slices").iterdir()):
        if path.suffix != ".md":
            yield "slices/" + path.name, path
    for path in sorted(pathlib.Path(data).iterdir()):
        if path.suffix in (".txt", ".jsonl", ".gz"):
            yield path.name, path


def main():
    found = {}
    for model in sys.argv[2:]:
        oracle = hf_from_gguf.build(model, parse_special=False)
        one = found[pathlib.Path(model).stem] = {}
        for name, path in texts(sys.argv[1]):
            raw = path.read_bytes()
            text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode()
            ids = numpy.array(oracle.encode(text, add_special_tokens=False).ids, dtype="<i4")
            one[name] = {"count": len(ids), "xxh64": xxhash.xxh64(ids.tobytes()).hexdigest()}
    (HERE / "tokenizers/real.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
