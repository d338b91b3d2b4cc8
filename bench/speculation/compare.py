#!/usr/bin/env python3
"""Measures speculative decoding against plain decoding, and against llama.cpp's, prompt by prompt and interleaved.

  bench/speculation/compare.py --callie build/release/callie --target BIG.gguf --draft SMALL.gguf
      --prompts HumanEval.jsonl.gz [--chat] [--subset 16] [--modes plain,draft,ngram,draft:4] [--llama DIR/bin] [--json F]
      [--also draft:4,llama_draft:3 --every 16]

--prompts reads JSON lines (gzipped or not) with `prompt` (given raw; through the chat template with --chat), `question`
or `turns` (through the chat template), or a text file with one prompt a line. --subset takes so many, evenly spread.

Modes: plain; draft and ngram with automatic lengths; draft:N and ngram:N with fixed ones; draft:auto:ROWS with another
--draft-head; llama_plain, llama_draft:N and
llama_ngram:N, the peer with the same pair (raw prompts only; the n-grams of ngram have 2 tokens or more there too).
Every mode answers every prompt before the next prompt begins; the order rotates. `speedup` is the ratio of summed decode
times to plain's, everything after the first token included (the draft's own prompt pass too), with a 95 % bootstrap
interval over prompts. Callie's token ids and logits hashes must equal plain's. --also adds modes to one prompt in --every;
their speedups are over plain on the same prompts. Prompts are taken in strides, so that those of a run that was cut short are
spread. With --record every finished prompt is kept and a later call goes on behind it; --seconds ends a call when the
next prompt would not fit, so that short quiet moments of a machine add up.
"""
import argparse
import gzip
import json
import math
import os
import random
import re
import subprocess
import sys
import tempfile
import time


def read_prompts(path):
    opener = gzip.open if path.endswith(".gz") else open
    with opener(path, "rt") as file:
        lines = [line for line in file if line.strip()]
    if path.removesuffix(".gz").endswith(".txt"):
        return [{"prompt": line.rstrip("\n")} for line in lines]
    return [json.loads(line) for line in lines]


def text_of(record, chat):
    """The prompt and whether it goes through the chat template."""
    if "prompt" in record:
        return record["prompt"], chat
    return (record["turns"][0] if "turns" in record else record["question"]), True


def run(command, cpus):
    done = subprocess.run(["taskset", "-c", cpus] + command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"error: {' '.join(command[:4])} …: {(done.stderr.strip() or 'failed').splitlines()[-1]}")
    return done


def run_callie(mode, text, chat, args):
    command = [args.callie, "run", args.target, "-p", text, "-n", str(args.n), "--temp", str(args.temp), "--seed", "1",
               "--threads", str(args.threads), "--json"]
    command += [] if chat else ["--raw"]
    command += ["--ignore-eos"] if args.ignore_eos else []
    kind, length, rows = (mode.split(":") + ["", ""])[:3]
    if kind != "plain":
        command += ["--draft", args.draft if kind == "draft" else "ngram", "--draft-len", length or "auto"]
    if rows:
        command += ["--draft-head", rows]
    out = json.loads(run(command, args.cpus).stdout)
    tokens = out["completion_tokens"] - 1
    return {"tokens": tokens, "seconds": tokens / out["decode_tok_s"] if tokens else 0.0, "ids": out["token_ids"],
            "hash": out["logits_hash"], "drafted": out["drafted"], "accepted": out["accepted"],
            "passes": tokens / out["acceptance_length"] if out["acceptance_length"] else 0.0}


def run_llama(mode, text, args):
    kind, _, length = mode.removeprefix("llama_").partition(":")
    command = [f"{args.llama}/llama-speculative-simple", "-m", args.target, "-n", str(args.n), "--temp", str(args.temp),
               "-t", str(args.threads), "-td", str(args.threads), "--no-escape"]
    command += ["--ignore-eos"] if args.ignore_eos else []
    if kind == "draft":
        command += ["--spec-type", "draft-simple", "-md", args.draft, "--spec-draft-n-max", length]
    elif kind == "ngram":
        command += ["--spec-type", "ngram-simple", "--spec-ngram-simple-size-n", "2", "--spec-ngram-simple-size-m", length,
                    "--spec-draft-n-max", length]
    else:  # look-up that never finds anything is plain decoding
        command += ["--spec-type", "ngram-simple", "--spec-ngram-simple-size-n", "1000"]
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(text)
        file.flush()
        out = run(command + ["-f", file.name], args.cpus).stderr
    match = re.search(r"decoded\s+(\d+) tokens in\s+([\d.]+) seconds", out)
    if not match:
        sys.exit(f"error: {mode}: no speed in the peer's output")
    return {"tokens": int(match[1]), "seconds": float(match[2])}


def bootstrap(pairs, rounds=2000):
    """95 % interval of the ratio of sums over resampled prompts; pairs of (plain seconds a token, seconds a token)."""
    rng = random.Random(1)
    ratios = []
    for _ in range(rounds):
        sample = [pairs[rng.randrange(len(pairs))] for _ in pairs]
        ratios.append(sum(a for a, _ in sample) / sum(b for _, b in sample))
    ratios.sort()
    return [ratios[int(0.025 * rounds)], ratios[int(0.975 * rounds) - 1]]


def summarize(mode, results):
    results = [row for row in results if mode in row]
    mine = [row[mode] for row in results]
    seconds, tokens = sum(r["seconds"] for r in mine), sum(r["tokens"] for r in mine)
    entry = {"prompts": len(mine), "tok_s": tokens / seconds}
    # Peers choose other tokens: per token, so that answers of other lengths compare.
    pairs = [(row["plain"]["seconds"] / row["plain"]["tokens"], row[mode]["seconds"] / row[mode]["tokens"])
             for row in results if row["plain"]["tokens"] and row[mode]["tokens"]]
    entry["speedup"] = sum(a for a, _ in pairs) / sum(b for _, b in pairs)
    entry["interval"] = bootstrap(pairs)
    if "ids" in mine[0]:
        entry["equal"] = all(row[mode]["ids"] == row["plain"]["ids"] and row[mode]["hash"] == row["plain"]["hash"]
                             for row in results)
        drafted, passes = sum(r["drafted"] for r in mine), sum(r["passes"] for r in mine)
        entry["accepted_share"] = sum(r["accepted"] for r in mine) / drafted if drafted else 0.0
        entry["acceptance_length"] = tokens / passes
    return entry


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--callie", required=True)
    parser.add_argument("--target", required=True)
    parser.add_argument("--draft", default="")
    parser.add_argument("--llama", default="")
    parser.add_argument("--prompts", required=True)
    parser.add_argument("--chat", action="store_true")
    parser.add_argument("--subset", type=int, default=0)
    parser.add_argument("--skip", type=int, default=0, help="start the subset so many prompts later")
    parser.add_argument("--class", dest="kind", default="", help="only prompts whose `class` is this")
    parser.add_argument("--modes", default="plain,draft")
    parser.add_argument("--also", default="", help="modes for some of the prompts")
    parser.add_argument("--every", type=int, default=16, help="one prompt in so many has the modes of --also")
    parser.add_argument("-n", type=int, default=128)
    parser.add_argument("--temp", type=float, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--ignore-eos", action="store_true")
    parser.add_argument("--record", metavar="FILE", help="JSON lines of the prompts that are done")
    parser.add_argument("--seconds", type=float, default=0, help="end before a prompt that would not fit (0 = run all)")
    parser.add_argument("--json", metavar="FILE", help="also write every figure here")
    args = parser.parse_args()
    args.cpus = ",".join(str(cpu) for cpu in sorted(os.sched_getaffinity(0))[:args.threads])
    modes = args.modes.split(",")
    if modes[0] != "plain":
        parser.error("--modes begins with plain")
    records = [r for r in read_prompts(args.prompts) if not args.kind or r.get("class") == args.kind]
    if args.subset and args.subset < len(records):
        records = [records[(i * len(records) // args.subset + args.skip) % len(records)] for i in range(args.subset)]
    also = args.also.split(",") if args.also else []
    stride = next(k for k in range(max(1, round(0.618 * len(records))), 2 * len(records) + 1) if math.gcd(k, len(records)) == 1)
    order = [records[i * stride % len(records)] for i in range(len(records))]
    results, done = [], {}
    settings = [args.target, args.draft, args.modes, args.also, args.every, args.n, args.temp, args.threads, args.chat, args.ignore_eos]
    if args.record and os.path.exists(args.record):
        for line in open(args.record):
            old = json.loads(line)
            if old["settings"] == settings:
                done[old["prompt"]] = old["row"]
    begin, longest, missing = time.monotonic(), 0.0, 0
    for i, record in enumerate(order):
        text, chat = text_of(record, args.chat)
        row = {}
        if text in done:
            results.append(done[text])
            continue
        if missing or (args.seconds and longest and time.monotonic() - begin + 1.1 * longest > args.seconds):
            missing += 1
            continue
        start = time.monotonic()
        mine = modes + (also if i % args.every == 0 else [])
        if chat and any(mode.startswith("llama") for mode in mine):
            sys.exit("error: --modes: the peer's tool takes raw prompts only")
        for mode in mine[i % len(mine):] + mine[:i % len(mine)]:
            row[mode] = run_llama(mode, text, args) if mode.startswith("llama") else run_callie(mode, text, chat, args)
        results.append(row)
        longest = max(longest, time.monotonic() - start)
        if args.record:
            with open(args.record, "a") as file:
                file.write(json.dumps({"settings": settings, "prompt": text, "row": row}) + "\n")
        print(f"{i + 1}/{len(records)}: " + ", ".join(
            f"{mode} {row[mode]['tokens'] / row[mode]['seconds']:.1f}" for mode in mine if row[mode]["seconds"]),
            file=sys.stderr)
    if not results:
        sys.exit("error: no prompt was run")
    summary = {mode: summarize(mode, results) for mode in modes + also if any(mode in row for row in results)}
    print(f"{len(results)} prompts, {args.n} tokens at most, temperature {args.temp}, {args.threads} threads"
          f"{', as a chat' if args.chat else ''}")
    for mode, entry in summary.items():
        extra = (f", {entry['acceptance_length']:.2f} tokens a pass, {100 * entry['accepted_share']:.0f} % accepted, "
                 f"{'equal' if entry['equal'] else 'NOT EQUAL'}") if "equal" in entry else ""
        print(f"  {mode:14} {entry['tok_s']:6.1f} tok/s, {entry['speedup']:.2f}x plain "
              f"({entry['interval'][0]:.2f} to {entry['interval'][1]:.2f}), {entry['prompts']} prompts{extra}")
    if args.json:
        with open(args.json, "w") as file:
            json.dump({"arguments": vars(args), "summary": summary, "results": results}, file)
    equal = all(entry.get("equal", True) for entry in summary.values())
    print("RESULT " + json.dumps({"prompts": len(results), "missing": missing, "chat": args.chat, "equal": equal,
                                  "speedup": {mode: round(entry["speedup"], 3) for mode, entry in summary.items()},
                                  "interval": {mode: [round(x, 3) for x in entry["interval"]] for mode, entry in summary.items()}}))
    return 0 if equal else 1


if __name__ == "__main__":
    sys.exit(main())
