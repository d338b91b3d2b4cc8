#!/usr/bin/env python3
"""Sentence vectors of all-MiniLM-L6-v2 from Hugging Face `transformers` in float64 -> embeddings.json.

  make_embeddings.py FOLDER   (FOLDER: config.json, model.safetensors, tokenizer.json)
Mean of the last hidden states over all tokens, length 1.
Needs: pip install torch transformers
"""
import json
import pathlib
import sys

import torch
import transformers

TEXTS = ["A small boat on the sea.", "Ein kleines Boot auf dem Meer.", "def add(a, b):\n    return a + b", "",
         "Ｆｕｌｌ ｗｉｄｔｈ, café, ΣΊΣΥΦΟΣ, 你好 and 😀!", "word " * 180]


def main():
    folder = sys.argv[1]
    model = transformers.AutoModel.from_pretrained(folder).double().eval()
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_file=folder + "/tokenizer.json")
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    found = []
    for text in TEXTS:
        ids = tokenizer.backend_tokenizer.encode(text).ids
        with torch.no_grad():
            mean = model(torch.tensor([ids])).last_hidden_state[0].mean(0)
        unit = (mean / mean.norm()).tolist()
        found.append({"text": text, "ids": ids, "embedding": [float(f"{x:.7g}") for x in unit]})
    out = pathlib.Path(__file__).parent / "embeddings.json"
    out.write_text(json.dumps(found, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
