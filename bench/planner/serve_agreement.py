#!/usr/bin/env python3
"""Agreement of `callie plan` with `callie serve` on this machine.

Starts the server (pinned to one processor, the load generator on another), records a calibration load and then loads at
shares of the measured capacity, fits the step cost to the calibration steps alone and replays the others.

    bench/planner/serve_agreement.py record --callie build/release/callie --model smollm2-135m -o logs
    bench/planner/serve_agreement.py report --callie build/release/callie -o logs
"""

import argparse
import glob
import json
import os
import random
import re
import signal
import subprocess
import time

WORDS = ("the a of to in is for on that with as are this by be from at or an it not have was which can all about "
         "will one more other new some time people value state system number point model result house water light "
         "paper green small large north river metal stone cloud table music letter winter garden engine").split()


def prompts(path, count, low, high, seed):
    """Texts of log-uniform length, all different, so that only the chat template is shared."""
    rng = random.Random(seed)
    with open(path, "w") as out:
        for _ in range(count):
            n = int(low * (high / low) ** rng.random())
            out.write(json.dumps({"prompt": " ".join(rng.choice(WORDS) for _ in range(n))}) + "\n")


def serve(args, name, extra=()):
    logs = [f"{args.output}/{name}.requests.jsonl", f"{args.output}/{name}.steps.jsonl"]
    command = ["taskset", "-c", "0", args.callie, "serve", args.model, "--threads", "1", "--port", "0", "--no-page",
               "--ctx", "2048", "--max-seqs", "16", "--token-budget", "256", "--request-log", logs[0], "--step-log", logs[1],
               *extra]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        found = re.search(r"listening on (http://\S+)", line)
        if found:
            return process, found.group(1)
    raise SystemExit(f"{name}: the server did not start")


def load(args, url, options):
    command = ["taskset", "-c", "1", args.callie, "bench", "serve", "--url", url, "--json", *map(str, options)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def run(args, name, options, extra=()):
    process, url = serve(args, name, extra)
    try:
        result = load(args, url, options)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()
    print(name, json.dumps(result)[:200], flush=True)
    return result


def record(args):
    os.makedirs(args.output, exist_ok=True)
    if args.only in ("", "calibration"):
        # The fit sees closed loops of other prompts; the replays are open loops.
        prompts(f"{args.output}/short.jsonl", 200, 8, 300, 11)
        process, url = serve(args, "calibration")
        for clients, requests in ((1, 6), (2, 12), (4, 24), (8, 40), (16, 64)):
            load(args, url, ["--prompts", f"{args.output}/short.jsonl", "--clients", clients, "--requests", requests, "-n", 24,
                             "--seed", clients])
        process.send_signal(signal.SIGTERM)
        process.wait()
    prompts(f"{args.output}/replay.jsonl", 400, 8, 300, 12)
    if args.only in ("", "capacity"):
        started = time.time()
        run(args, "capacity", ["--prompts", f"{args.output}/replay.jsonl", "--clients", 16, "--requests", 100, "-n", 24])
        rows = [json.loads(line) for line in open(f"{args.output}/capacity.requests.jsonl")][1:]
        span = max(r["finished_s"] for r in rows) - min(r["arrival_s"] for r in rows)
        json.dump({"requests_per_s": len(rows) / span, "wall_s": time.time() - started}, open(f"{args.output}/capacity.json", "w"))
    rate = json.load(open(f"{args.output}/capacity.json"))["requests_per_s"]
    print(f"capacity {rate:.2f} requests/s")
    for percent in (30, 60, 85, 100, 120):
        if args.only in ("", str(percent)):
            run(args, f"poisson{percent}", ["--prompts", f"{args.output}/replay.jsonl", "--rate", rate * percent / 100,
                                            "--requests", args.requests, "-n", 24, "--seed", percent])
    if args.only in ("", "burst"):
        # Gamma gaps of the variation of the Azure conversation trace's bursts, at 70 % of the capacity.
        rng = random.Random(5)
        at = 0.0
        with open(f"{args.output}/burst.csv", "w") as out:
            for _ in range(args.requests):
                at += rng.gammavariate(0.2, 5 / (0.7 * rate))
                out.write(f"{at:.6f}\n")
        run(args, "burst70", ["--prompts", f"{args.output}/replay.jsonl", "--trace", f"{args.output}/burst.csv",
                              "--requests", args.requests, "-n", 24])


def what_if(args):
    """The same load with other settings: measured and simulated change."""
    rate = json.load(open(f"{args.output}/capacity.json"))["requests_per_s"]
    for name, extra in (("seqs4", ["--max-seqs", "4"]), ("budget64", ["--token-budget", "64"])):
        run(args, f"whatif_{name}", ["--prompts", f"{args.output}/replay.jsonl", "--rate", rate * 0.85, "--requests",
                                     args.requests // 2, "-n", 24, "--seed", 85], extra)


def report(args):
    fit = f"{args.output}/fit.json"
    subprocess.run([args.callie, "plan", "calibrate", "--step-log", f"{args.output}/calibration.steps.jsonl", "-o", fit],
                   check=True)
    names = sorted(glob.glob(f"{args.output}/*.requests.jsonl"))
    print("| run | requests | steps: median / P90 / bias % | throughput % | TTFT mean (P99) % | TPOT % | E2E % |")
    print("|---|---|---|---|---|---|---|")
    for path in names:
        name = os.path.basename(path).split(".")[0]
        if name in ("calibration",):
            continue
        out = subprocess.run([args.callie, "plan", "replay", "--request-log", path, "--step-log",
                              path.replace("requests", "steps"), "--calibration", fit, "--json"],
                             check=True, capture_output=True, text=True).stdout
        r = json.loads(out)
        e, s = r["error_pct"], r["step_error_pct"]
        count = sum(1 for _ in open(path)) - 1
        print(f"| {name} | {count} | {s['median']:.1f} / {s['p90']:.1f} / {s['bias']:+.1f} | "
              f"{r['throughput']['error_pct']:+.1f} | {e['ttft_ms']['mean']:+.1f} ({e['ttft_ms']['p99']:+.1f}) | "
              f"{e['tpot_ms']['mean']:+.1f} | {e['e2e_ms']['mean']:+.1f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=["record", "what-if", "report"])
    parser.add_argument("--callie", default="callie")
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("-o", "--output", default="serve_logs")
    parser.add_argument("--requests", type=int, default=300)
    parser.add_argument("--only", default="", help="one part: calibration, capacity, 30, 60, 85, 100, 120 or burst")
    args = parser.parse_args()
    {"record": record, "what-if": what_if, "report": report}[args.verb](args)


if __name__ == "__main__":
    main()
