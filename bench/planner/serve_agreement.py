#!/usr/bin/env python3
"""Agreement of `callie plan` with `callie serve` on this machine.

Starts the server (pinned to one processor, the load generator on another), records a calibration load and then loads at
shares of the measured capacity, fits the step cost to the calibration steps alone and replays the others.

    bench/planner/serve_agreement.py record --callie build/release/callie --model smollm2-135m -o logs
    # or piece by piece, each of at most a minute, on a machine that is quiet for short times only:
    for piece in calibration capacity $(bench/planner/serve_agreement.py pieces -o logs); do
      bench/planner/serve_agreement.py record --callie build/release/callie -o logs --only $piece; done
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
    if args.only in ("calibration", "capacity"):
        return
    rate = json.load(open(f"{args.output}/capacity.json"))["requests_per_s"]
    print(f"capacity {rate:.2f} requests/s")
    for piece in pieces(args):
        if args.only in ("", piece):
            kind, part = piece.split(".")
            count = min(args.requests, piece_requests(args, kind))
            common = ["--prompts", f"{args.output}/replay.jsonl", "--requests", count, "-n", 24]
            if kind == "burst":
                # Gamma gaps of the variation of the Azure conversation trace's bursts, at 70 % of the capacity.
                rng = random.Random(5 + int(part))
                at = 0.0
                with open(f"{args.output}/burst.{part}.csv", "w") as out:
                    for _ in range(count):
                        at += rng.gammavariate(0.2, 5 / (0.7 * rate))
                        out.write(f"{at:.6f}\n")
                run(args, f"burst70.{part}", [*common, "--trace", f"{args.output}/burst.{part}.csv"])
            else:
                run(args, f"poisson{kind}.{part}",
                    [*common, "--rate", rate * int(kind) / 100, "--seed", 10 * int(kind) + int(part)])


def piece_requests(args, kind):
    """Requests of a piece of at most `seconds`."""
    rate = json.load(open(f"{args.output}/capacity.json"))["requests_per_s"]
    share = 0.7 if kind == "burst" else min(int(kind) / 100, 1)
    return max(int(rate * share * args.seconds), 10)


def pieces(args):
    """KIND.PART of every load, in pieces of at most `seconds`, at least three of each kind (the repeats)."""
    out = []
    for kind in ("30", "60", "85", "100", "120", "burst"):
        out += [f"{kind}.{k}" for k in range(max(3, -(-args.requests // piece_requests(args, kind))))]
    return out


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
    groups = {}
    for path in names:
        name = os.path.basename(path).removesuffix(".requests.jsonl")
        if name != "calibration":
            groups.setdefault(name.split(".")[0], []).append(path)
    print("| load | pieces | requests | steps: median / P90 / bias % | throughput % | TTFT mean (P99) % | TPOT % | E2E % | E2E from piece to piece % |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name, paths in groups.items():
        rows, count = [], 0
        for path in paths:
            out = subprocess.run([args.callie, "plan", "replay", "--request-log", path, "--step-log",
                                  path.replace(".requests.", ".steps."), "--calibration", fit, "--json"],
                                 check=True, capture_output=True, text=True).stdout
            rows.append(json.loads(out))
            count += sum(1 for _ in open(path)) - 1

        def mean(*keys):
            total = 0
            for r in rows:
                for key in keys:
                    r = r[key]
                total += r
            return total / len(rows)

        real = [r["real"]["e2e_ms"]["mean"] for r in rows]
        middle = sum(real) / len(real)
        spread = 100 * (sum((v - middle) ** 2 for v in real) / max(len(real) - 1, 1)) ** 0.5 / middle
        print(f"| {name} | {len(rows)} | {count} | {mean('step_error_pct', 'median'):.1f} / {mean('step_error_pct', 'p90'):.1f} / "
              f"{mean('step_error_pct', 'bias'):+.1f} | {mean('throughput', 'error_pct'):+.1f} | "
              f"{mean('error_pct', 'ttft_ms', 'mean'):+.1f} ({mean('error_pct', 'ttft_ms', 'p99'):+.1f}) | "
              f"{mean('error_pct', 'tpot_ms', 'mean'):+.1f} | {mean('error_pct', 'e2e_ms', 'mean'):+.1f} | {spread:.1f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=["record", "pieces", "what-if", "report"])
    parser.add_argument("--callie", default="callie")
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("-o", "--output", default="serve_logs")
    parser.add_argument("--requests", type=int, default=300)
    parser.add_argument("--only", default="", help="one piece: calibration, capacity, or one that `pieces` names, such as 85.0")
    parser.add_argument("--seconds", type=float, default=50, help="length of a piece")
    args = parser.parse_args()
    if args.verb == "pieces":
        print("\n".join(pieces(args)))
        return
    {"record": record, "what-if": what_if, "report": report}[args.verb](args)


if __name__ == "__main__":
    main()
