#!/usr/bin/env python3
"""Perplexity of Callie beside llama.cpp's, on the same file, windows and context; prints Markdown rows.

  perplexity.py --callie BIN --llama-perplexity BIN --text wikitext-2-test.txt --windows N [--f16 DIR] MODEL.gguf...

With --f16 the same weights dequantized (to_f16.py, as F16) go through llama.cpp too: its integer kernels differ from its own
float ones, and Callie's figure may lie between the two.
"""
import argparse
import json
import pathlib
import re
import subprocess
import sys


def run(command):
    done = subprocess.run([str(x) for x in command], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}: {done.stderr[-500:]}")
    return done.stdout + done.stderr


def llama(binary, model, args):
    out = run([binary, "-m", model, "-f", args.text, "-c", args.ctx, "--chunks", args.windows, "-t", args.threads])
    return float(re.search(r"PPL = ([0-9.]+)", out).group(1))


def main():
    p = argparse.ArgumentParser()
    p.add_argument("models", nargs="+")
    p.add_argument("--callie", required=True)
    p.add_argument("--llama-perplexity", required=True)
    p.add_argument("--text", required=True)
    p.add_argument("--windows", type=int, default=100)
    p.add_argument("--ctx", type=int, default=512)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--f16")
    args = p.parse_args()
    print("| model | windows | Callie | llama.cpp | difference | llama.cpp, weights as F16 |\n|---|---|---|---|---|---|")
    wrong = 0
    for model in args.models:
        ours = json.loads(subprocess.run([args.callie, "eval", "ppl", model, "--file", args.text, "--ctx", str(args.ctx),
                                          "--max-tokens", str(args.windows * args.ctx), "--threads", str(args.threads),
                                          "--json"], capture_output=True, text=True, check=True).stdout)["ppl"]
        theirs = llama(args.llama_perplexity, model, args)
        exact = None
        if args.f16:
            file = pathlib.Path(args.f16) / f"{pathlib.Path(model).stem}-F16.gguf"
            if not file.exists():
                run([sys.executable, pathlib.Path(__file__).parent / "to_f16.py", model, file])
            exact = llama(args.llama_perplexity, file, args)
        difference = ours / theirs - 1
        between = exact is not None and min(theirs, exact) <= ours <= max(theirs, exact)
        wrong += abs(difference) > 0.005 and not between
        print(f"| {pathlib.Path(model).stem} | {args.windows} | {ours:.4f} | {theirs:.4f} | {100 * difference:+.2f} % | "
              f"{'' if exact is None else f'{exact:.4f}'} |", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
