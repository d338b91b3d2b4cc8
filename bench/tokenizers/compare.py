#!/usr/bin/env python3
"""Token ids of Callie, Hugging Face `tokenizers` and llama.cpp on the same texts; writes docs/tokenizers.md's tables.

  compare.py --callie build/release/callie --llama-tokenize BIN --data DIR [-o docs/tokenizers.md] MODEL.gguf...

MODEL may be a whole model or a vocabulary alone (models/ggml-vocab-*.gguf of llama.cpp's source package). The texts are
tests/golden/hard_cases.txt, line by line and as a whole, and every text of DIR (HumanEval's .gz unpacked). Special
tokens in the text are not parsed, BOS is not added. Needs: pip install tokenizers gguf
"""
import argparse
import gzip
import json
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/golden"))
import hf_from_gguf  # noqa: E402


def texts(data):
    hard = (ROOT / "tests/golden/hard_cases.txt").read_bytes().decode()
    yield "hard_cases.txt", hard
    for number, line in enumerate(hard.split("\n"), 1):
        if line:
            yield f"hard_cases.txt:{number}", line
    for path in sorted(pathlib.Path(data).iterdir()) if data else []:
        if path.suffix == ".md":
            continue
        raw = path.read_bytes()
        yield path.name, (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode()


def run(command):
    done = subprocess.run(command, capture_output=True)
    if done.returncode != 0:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        return None, next((x for x in lines if "error" in x.lower()), lines[-1] if lines else f"exit {done.returncode}")
    return done.stdout.decode(errors="replace"), ""


def callie_ids(binary, model, path):
    out, problem = run([binary, "tokenize", model, "--file", path, "--json", "--lossy"])
    return (json.loads(out)["ids"], "") if out is not None else (None, problem)


def llama_ids(binary, model, path):
    out, problem = run([binary, "-m", model, "-f", path, "--ids", "--log-disable", "--no-bos", "--no-parse-special",
                        "--no-escape"])
    if out is None:
        return None, problem
    try:
        return json.loads(out.strip().splitlines()[-1]), ""
    except (ValueError, IndexError):
        return None, "no list of ids in the output"


def first_difference(a, b):
    at = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
    return at, a[at:at + 6], b[at:at + 6]


def main():
    p = argparse.ArgumentParser()
    p.add_argument("models", nargs="+")
    p.add_argument("--callie", required=True)
    p.add_argument("--llama-tokenize")
    p.add_argument("--data")
    p.add_argument("-o", "--output")
    args = p.parse_args()
    table, cases, wrong = [], [], 0
    for model in args.models:
        name = pathlib.Path(model).name.removesuffix(".gguf").removeprefix("ggml-vocab-")
        oracle = hf_from_gguf.build(model, parse_special=False)
        tokens = hf_from_gguf.fields(model)["tokenizer.ggml.tokens"]
        count = equal_hf = equal_llama = ids_total = 0
        notes = []
        for label, text in texts(args.data):
            with tempfile.NamedTemporaryFile(suffix=".txt") as file:
                file.write(text.encode())
                file.flush()
                ours, problem = callie_ids(args.callie, model, file.name)
                llama, llama_problem = llama_ids(args.llama_tokenize, model, file.name) if args.llama_tokenize else (None, "")
            hf = oracle.encode(text, add_special_tokens=False).ids
            count += 1
            ids_total += len(hf)
            if ours is None:
                notes.append(problem)
                wrong += 1
                continue
            equal_hf += ours == hf
            if ours != hf:
                wrong += 1
                at, a, b = first_difference(ours, hf)
                print(f"{name} {label}: callie {a} hf {b} at {at}: {[tokens[i] for i in a]} {[tokens[i] for i in b]}")
            if llama is None:
                notes.append(llama_problem)
                continue
            equal_llama += llama == ours
            if llama != hf and len(text) < 2000 and not label.endswith(".txt"):
                at, a, b = first_difference(llama, hf)
                spell = lambda ids: " ".join(f"`{tokens[i]}`" for i in ids[:4]).replace("|", "\\|").replace("\n", "⏎")
                cases.append((name, label, at, spell(a), spell(b)))
        table.append((name, ids_total, count, equal_hf, equal_llama, "; ".join(sorted(set(n for n in notes if n)))[:100]))
        print("| " + " | ".join(str(x) for x in table[-1]) + " |", flush=True)
    if args.output:
        path = pathlib.Path(args.output)
        head = path.read_text().split("<!-- measured -->")[0]
        lines = ["<!-- measured -->", "", "| vocabulary | ids | texts | equal to HF | equal to llama.cpp | notes |", "|---|---|---|---|---|---|"]
        lines += ["| " + " | ".join(str(x) for x in row) + " |" for row in table]
        lines += ["", "Cases in which llama.cpp and Hugging Face differ (Callie's ids are Hugging Face's). The first token that "
                  "differs, and up to three after it:", "", "| vocabulary | text | at | llama.cpp | HF and Callie |", "|---|---|---|---|---|"]
        lines += [f"| {n} | {l} | {at} | {a} | {b} |" for n, l, at, a, b in cases]
        path.write_text(head + "\n".join(lines) + "\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
