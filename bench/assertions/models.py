#!/usr/bin/env python3
"""Table of models that write assertions: base, few-shot and repair rounds, judged by `callie assert score`.

Needs a data set of `callie assert generate` (--data); with --train-test only its test split is asked. --max-reference
leaves out snippets whose reference is longer, so that --max-tokens is enough for every right answer. Each model is served by
`callie serve` and asked over its endpoint, so that requests are batched. Answers are kept in --work and a second run goes on
where the first ended; --score-only makes the table of what is there. A run with repair rounds gives a row for each round:
its lines hold the answers before the last one.

    callie assert generate -n 12000 --seed 5 --train-test --mode vert-compat --tier 1 -o held.jsonl
    bench/assertions/models.py --data held.jsonl --work answers
"""
import argparse
import json
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

CONFIGS = {
    "base": (0, 0),
    "base, repair 1": (0, 1),
    "few-shot 4": (4, 0),
    "few-shot 4, repair 1": (4, 1),
    "few-shot 4, repair 2": (4, 2),
}


def wait_for(url, process, limit_s=300):
    end = time.time() + limit_s
    while time.time() < end:
        if process.poll() is not None:
            sys.exit("callie serve ended")
        try:
            urllib.request.urlopen(url + "/v1/models", timeout=2)
            return
        except OSError:
            time.sleep(0.5)
    sys.exit("callie serve did not answer")


def percent(estimate):
    return f"{100 * estimate['mean']:.1f} ({100 * estimate['low']:.1f} to {100 * estimate['high']:.1f})"


def ask(args, model, files, data, url, work):
    """Asks for what is missing in each configuration's file."""
    if not files:
        return
    server = subprocess.Popen([args.callie, "serve", model, "--port", str(args.port), "--threads", str(args.threads)],
                              stdout=subprocess.DEVNULL, stderr=(work / f"{model}.log").open("w"))
    try:
        wait_for(url, server)
        for config, answers in files.items():
            shots, rounds = CONFIGS[config]
            process = subprocess.Popen([args.callie, "assert", "ask", url, "--data", str(data), "-o", str(answers), "-n", str(args.max_tokens),
                                        "--concurrency", str(args.concurrency), "--few-shot", str(shots), "--repair", str(rounds)])
            try:
                process.wait(timeout=args.seconds or None)
            except subprocess.TimeoutExpired:
                process.terminate()
                process.wait()
    finally:
        server.terminate()
        server.wait()


def after(answers, rounds):
    """The answers after so many repair rounds, as another file."""
    out = answers.with_suffix(f".{rounds}.jsonl")
    with answers.open() as lines, out.open("w") as file:
        for line in map(json.loads, lines):
            texts = line.get("earlier", []) + [line["Assertion"]]
            file.write(json.dumps({**line, "Assertion": texts[min(rounds, len(texts) - 1)]}) + "\n")
    return out


def row_name(shots, rounds):
    return (f"few-shot {shots}" if shots else "base") + (f", repair {rounds}" if rounds else "")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--callie", default="build/release/callie")
    parser.add_argument("--data", required=True)
    parser.add_argument("--work", required=True)
    parser.add_argument("--models", nargs="+", default=["qwen2.5-coder-0.5b", "qwen2.5-coder-1.5b"])
    parser.add_argument("--configs", nargs="+", default=["base", "few-shot 4, repair 1"], choices=list(CONFIGS))
    parser.add_argument("--limit", type=int, default=1000, help="snippets at most")
    parser.add_argument("--max-reference", type=int, default=360, help="characters of a reference at most")
    parser.add_argument("--max-tokens", type=int, default=192)
    parser.add_argument("--threads", type=int, default=0, help="threads of the server (0 = all)")
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--port", type=int, default=8391)
    parser.add_argument("--seconds", type=int, default=0, help="stop asking after so many seconds for each row")
    parser.add_argument("--score-only", action="store_true", help="ask nothing")
    args = parser.parse_args()
    work = Path(args.work)
    work.mkdir(parents=True, exist_ok=True)
    with open(args.data) as lines:
        pairs = ((line, json.loads(line)) for line in lines)
        kept = [line for line, pair in pairs if pair.get("split") != "train" and len(pair["Assertion"]) <= args.max_reference][:args.limit]
    data = work / "held_out.jsonl"
    data.write_text("".join(kept))
    url = f"http://127.0.0.1:{args.port}"
    rows = []
    for model in args.models:
        files = {c: work / f"{model}-{c.replace(' ', '_').replace(',', '')}.jsonl" for c in args.configs}
        todo = [] if args.score_only else [c for c, f in files.items() if not f.exists() or f.read_text().count("\n") < len(kept)]
        ask(args, model, {c: files[c] for c in todo}, data, url, work)
        for config, answers in files.items():
            if not answers.exists() or answers.stat().st_size == 0:
                continue
            shots, rounds = CONFIGS[config]
            for round_number in range(rounds + 1):
                score = subprocess.run([args.callie, "assert", "score", "--reference", str(data), "--answers",
                                        str(after(answers, round_number)), "--json"], check=True, capture_output=True, text=True)
                rows.append((model, row_name(shots, round_number), json.loads(score.stdout)["summary"]))
    print("| model | asked | snippets | parses (S1) | resolves (S2) | proven (F1) | accepted | assertions proven | reference implied (F5) |")
    print("|---|---|---|---|---|---|---|---|---|")
    for model, config, s in rows:
        i = s["intervals"]
        print(f"| {model} | {config} | {s['snippets']} | {percent(i['S1'])} | {percent(i['S2'])} | {percent(i['F1'])} | "
              f"{percent(i['accepted'])} | {100 * s['by_assertion']['F1']:.1f} | {percent(i['F5'])} |")
    for model, config, s in rows:
        top = sorted(s["diagnostics"].items(), key=lambda item: -item[1])[:6]
        print(f"{model}, {config}: " + ", ".join(f"{code} {count}" for code, count in top))


if __name__ == "__main__":
    main()
