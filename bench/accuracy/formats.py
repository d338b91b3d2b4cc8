#!/usr/bin/env python3
"""Divergence of Callie's default precision from its f32, for every on-disk format; docs/accuracy.md has the table.

  formats.py --callie BIN --llama-quantize BIN --text wikitext-2-valid.txt --work DIR MODEL.gguf [FORMAT...]

MODEL is dequantized to F16 once (to_f16.py) and quantized to each FORMAT by llama.cpp, all matrices alike (--pure; rows
that a format's blocks do not divide get llama.cpp's substitute, which is listed). 4096 teacher-forced tokens of the text,
windows of 512. Prints Markdown rows: format, the types in the file, mean KL, 99th percentile, maximum, same top token.
"""
import argparse
import json
import pathlib
import subprocess
import sys

FORMATS = ["F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL", "IQ4_XS"]
LIMIT = 2e-3


def run(command, quiet=True):
    done = subprocess.run([str(x) for x in command], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}: {done.stderr[-500:] or done.stdout[-500:]}")
    return done.stdout


def main():
    p = argparse.ArgumentParser()
    p.add_argument("model")
    p.add_argument("formats", nargs="*")
    p.add_argument("--callie", required=True)
    p.add_argument("--llama-quantize", required=True)
    p.add_argument("--text", required=True)
    p.add_argument("--work", required=True)
    p.add_argument("--tokens", type=int, default=4096)
    args = p.parse_args()
    work = pathlib.Path(args.work)
    name = pathlib.Path(args.model).stem
    source = work / f"{name}-F16.gguf"
    if not source.exists():
        run([sys.executable, pathlib.Path(__file__).parent / "to_f16.py", args.model, source])
    missed = 0
    print("| model | format | types in the file | mean KL | p99 | max | same top token |\n|---|---|---|---|---|---|---|")
    for kind in args.formats or FORMATS:
        file = source
        if kind != "F16":
            file = work / f"{name}-{kind}.gguf"
            recipe = {"Q3_K": "Q3_K_M", "Q4_K": "Q4_K_M", "Q5_K": "Q5_K_M"}.get(kind, kind)
            run([args.llama_quantize, "--pure", "--allow-requantize", source, file, recipe, "2"])
        types = json.loads(run([args.callie, "inspect", file, "--json"]))["bytes_by_type"]
        out = json.loads(run([args.callie, "eval", "kl", file, "--file", args.text, "--max-tokens", args.tokens, "--no-cache",
                              "--json"]))
        shown = ", ".join(t for t in types if t not in ("F32",))
        print(f"| {name} | {kind} | {shown} | {out['mean_kl']:.2e} | {out['p99_kl']:.2e} | {out['max_kl']:.2e} | "
              f"{100 * out['same_top1']:.2f} % |", flush=True)
        missed += out["mean_kl"] > LIMIT
        if file != source:
            file.unlink()
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
