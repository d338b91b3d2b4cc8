#!/usr/bin/env python3
"""Table of models that write assertions: base, few-shot and repair rounds, judged by `callie assert score`.

Needs a data set of `callie assert generate` (--data; its test split, or all of it). Each model is served by
`callie serve` and asked over its endpoint, so that requests are batched. Answers are kept in --work and a second run
goes on where the first ended.
"""
import argparse
import json
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

CONFIGS = {
    "base": [],
    "few-shot 4": ["--few-shot", "4"],
    "few-shot 4, repair 2": ["--few-shot", "4", "--repair", "2"],
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


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--callie", default="build/release/callie")
    parser.add_argument("--data", required=True)
    parser.add_argument("--work", required=True)
    parser.add_argument("--models", nargs="+", default=["qwen2.5-coder-0.5b", "qwen2.5-coder-1.5b"])
    parser.add_argument("--configs", nargs="+", default=list(CONFIGS), choices=list(CONFIGS))
    parser.add_argument("--limit", type=int, default=300)
    parser.add_argument("--max-tokens", type=int, default=256)
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--port", type=int, default=8391)
    parser.add_argument("--seconds", type=int, default=0, help="stop asking after so many seconds for each row")
    args = parser.parse_args()
    work = Path(args.work)
    work.mkdir(parents=True, exist_ok=True)
    url = f"http://127.0.0.1:{args.port}"
    rows = []
    for model in args.models:
        server = subprocess.Popen([args.callie, "serve", model, "--port", str(args.port)],
                                  stdout=subprocess.DEVNULL, stderr=(work / f"{model}.log").open("w"))
        try:
            wait_for(url, server)
            for config in args.configs:
                answers = work / f"{model}-{config.replace(' ', '_').replace(',', '')}.jsonl"
                command = [args.callie, "assert", "ask", url, "--data", args.data, "-o", str(answers), "--limit", str(args.limit),
                           "-n", str(args.max_tokens), "--concurrency", str(args.concurrency), *CONFIGS[config]]
                process = subprocess.Popen(command)
                try:
                    process.wait(timeout=args.seconds or None)
                except subprocess.TimeoutExpired:
                    process.terminate()
                    process.wait()
                if not answers.exists() or answers.stat().st_size == 0:
                    continue
                score = subprocess.run([args.callie, "assert", "score", "--reference", args.data, "--answers", str(answers), "--json"],
                                       check=True, capture_output=True, text=True)
                rows.append((model, config, json.loads(score.stdout)["summary"]))
        finally:
            server.terminate()
            server.wait()
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
