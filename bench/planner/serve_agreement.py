#!/usr/bin/env python3
"""Agreement of `callie plan` with `callie serve` on this machine.

Starts the server (the thread that computes pinned to one processor, those that talk and the load generator to another),
records a calibration load and then loads at shares of the measured capacity, fits the step cost to the calibration steps
alone and replays the others.

    bench/planner/serve_agreement.py record --callie build/release/callie --model smollm2-135m -o logs
    # or piece by piece, on a machine that is quiet for short times only:
    for piece in calibration capacity $(bench/planner/serve_agreement.py pieces -o logs); do
      bench/planner/serve_agreement.py record --callie build/release/callie -o logs --only $piece; done
    bench/planner/serve_agreement.py what-if --callie build/release/callie -o logs
    bench/planner/serve_agreement.py report --callie build/release/callie -o logs

Beside the logs of a run lies NAME.machine.json: the share of the server's processor that others took, and what the
hypervisor took. `report` leaves out runs in which either exceeds 2 %.
"""

import argparse
import contextlib
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


def shared_prefix_prompts(path, count, seed):
    """Short questions after one of four long beginnings."""
    rng = random.Random(seed)
    beginnings = [" ".join(rng.choice(WORDS) for _ in range(160)) for _ in range(4)]
    with open(path, "w") as out:
        for _ in range(count):
            question = " ".join(rng.choice(WORDS) for _ in range(rng.randint(8, 40)))
            out.write(json.dumps({"prompt": f"{rng.choice(beginnings)} {question}"}) + "\n")


def pin(args, process, url, threads):
    """The thread that a first request kept busy to the first processor, all others to the second."""
    if threads > 1:
        return
    load(args, url, ["--clients", 1, "--requests", 2, "-n", 32])
    used = {}
    for task in os.listdir(f"/proc/{process.pid}/task"):
        with open(f"/proc/{process.pid}/task/{task}/schedstat") as stat:
            used[int(task)] = int(stat.read().split()[0])
    busiest = max((task for task in used if task != process.pid), key=used.get)
    for task in used:
        os.sched_setaffinity(task, {0 if task == busiest else 1})
    process.computes = busiest


def words(options):
    """A command line of {option: value}; None is a flag's value."""
    return [word for option, value in options.items() for word in ([option] if value is None else [option, value])]


def serve(args, name, changed={}, threads=1):
    logs = [f"{args.output}/{name}.requests.jsonl", f"{args.output}/{name}.steps.jsonl"]
    settings = {"--ctx": "2048", "--max-seqs": "16", "--token-budget": "256"} | changed
    command = [args.callie, "serve", args.model, "--threads",
               str(threads), "--port", "0", "--no-page", "--request-log", logs[0], "--step-log", logs[1]]
    process = subprocess.Popen(command + words(settings), stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        found = re.search(r"listening on (http://\S+)", line)
        if found:
            pin(args, process, found.group(1), threads)
            return process, found.group(1)
    raise SystemExit(f"{name}: the server did not start")


def load(args, url, options):
    command = ["taskset", "-c", "1", args.callie, "bench", "serve", "--url", url, "--json", *map(str, options)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


class Processor:
    """Who used the first processor while a server was under load."""

    def __init__(self, process):
        self.stat = f"/proc/{process.pid}/task/{getattr(process, 'computes', process.pid)}/stat"
        self.begin = self.read()

    def read(self):
        with open("/proc/stat") as stat:
            line = next(l for l in stat if l.startswith("cpu0 ")).split()[1:]
        user, nice, system, steal = (int(line[k]) for k in (0, 1, 2, 7))
        with open(self.stat) as stat:
            own = stat.read().rsplit(")", 1)[1].split()
        return [time.time() * os.sysconf("SC_CLK_TCK"), user + nice + system, steal,
                int(own[11]) + int(own[12])]

    def shares(self):
        ticks, busy, steal, own = (b - a for a, b in zip(self.begin, self.read()))
        return {"seconds": ticks / os.sysconf("SC_CLK_TCK"), "own": own / ticks, "others": max(busy - own, 0) / ticks,
                "steal": steal / ticks}


@contextlib.contextmanager
def recorded(args, name, changed={}, threads=1):
    """The address of a server whose logs, and who used its processor, stay in the folder."""
    process, url = serve(args, name, changed, threads)
    processor = Processor(process)
    try:
        yield url
        with open(f"{args.output}/{name}.machine.json", "w") as out:
            json.dump(processor.shares(), out)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def run(args, name, options, changed={}, threads=1):
    with recorded(args, name, changed, threads) as url:
        result = load(args, url, options)
    print(name, json.dumps(result)[:200], flush=True)
    return result


def calibrate(args, name, threads):
    """The fit sees closed loops of other prompts; the replays are open loops."""
    prompts(f"{args.output}/{name}.jsonl", 600, 8, 300, 11)
    lines = open(f"{args.output}/{name}.jsonl").readlines()
    first = 0
    with recorded(args, name, threads=threads) as url:
        for clients, requests in ((1, 16), (2, 24), (3, 30), (4, 36), (6, 48), (8, 56), (10, 60), (12, 72), (14, 84), (16, 128)):
            # Each loop has prompts of its own, or it would find them in the prefix cache.
            with open(f"{args.output}/{name}.part.jsonl", "w") as part:
                part.writelines(lines[first:first + requests])
            first += requests
            load(args, url, ["--prompts", f"{args.output}/{name}.part.jsonl", "--clients", clients, "--requests", requests, "-n",
                             16 + clients % 3 * 8, "--seed", clients])


def record(args):
    os.makedirs(args.output, exist_ok=True)
    if args.only in ("", "calibration"):
        calibrate(args, "calibration", 1)
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
            # Repeats of a whole load have the same arrivals: what differs between them is the engine's own.
            seed = 0 if count == args.requests else int(part)
            common = ["--prompts", f"{args.output}/replay.jsonl", "--requests", count, "-n", 24]
            if kind == "burst":
                # Gamma gaps with a variation of 2.2, between the Azure conversation (1.1) and code (13.2) traces, at 70 %
                # of the capacity.
                rng = random.Random(5 + seed)
                at = 0.0
                with open(f"{args.output}/burst.{part}.csv", "w") as out:
                    for _ in range(count):
                        at += rng.gammavariate(0.2, 5 / (0.7 * rate))
                        out.write(f"{at:.6f}\n")
                run(args, f"burst70.{part}", [*common, "--trace", f"{args.output}/burst.{part}.csv"])
            else:
                run(args, f"poisson{kind}.{part}",
                    [*common, "--rate", rate * int(kind) / 100, "--seed", 10 * int(kind) + seed])


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


# Name of the change: options of `serve`, what `plan replay` is asked, threads, and the load (prompts, share of the capacity).
CHANGES = {
    "base": ({}, {}, 1, "replay", 0.7),
    "seqs4": ({"--max-seqs": "4"}, {"--max-seqs": "4"}, 1, "replay", 0.7),
    "budget64": ({"--token-budget": "64"}, {"--token-budget": "64"}, 1, "replay", 0.7),
    "kv32M": ({"--kv-memory": "32M"}, {"--blocks": "as recorded"}, 1, "replay", 0.7),
    "threads2": ({}, {}, 2, "replay", 0.7),
    "prefix": ({}, {}, 1, "prefix", 0.35),
    "prefix_off": ({"--no-prefix-cache": None}, {"--no-prefix-cache": None}, 1, "prefix", 0.35),
}


def what_if(args):
    """The same load with other settings."""
    rate = json.load(open(f"{args.output}/capacity.json"))["requests_per_s"]
    prompts(f"{args.output}/replay.jsonl", 400, 8, 300, 12)
    shared_prefix_prompts(f"{args.output}/prefix.jsonl", 400, 13)
    if args.only in ("", "calibration2"):
        calibrate(args, "calibration2", 2)
    for name, (changed, _, threads, load_name, share) in CHANGES.items():
        if args.only in ("", name):
            run(args, f"whatif_{name}", ["--prompts", f"{args.output}/{load_name}.jsonl", "--rate", rate * share, "--requests",
                                         args.requests // 2, "-n", 24, "--seed", 85], changed, threads)


def fit(args, name):
    path = f"{args.output}/{name}.fit.json"
    subprocess.run([args.callie, "plan", "calibrate", "--step-log", f"{args.output}/{name}.steps.jsonl", "-o", path],
                   check=True, stdout=subprocess.DEVNULL)
    return path


def replay(args, name, calibration, options={}):
    log = f"{args.output}/{name}.requests.jsonl"
    out = subprocess.run([args.callie, "plan", "replay", "--request-log", log, "--step-log", log.replace(".requests.", ".steps."),
                          "--calibration", calibration, "--json", *words(options)], check=True, capture_output=True, text=True).stdout
    return json.loads(out)


def disturbed(args, name):
    """Text of why a run does not count, or nothing."""
    try:
        machine = json.load(open(f"{args.output}/{name}.machine.json"))
    except FileNotFoundError:
        return ""
    if max(machine["others"], machine["steal"]) <= 0.02:
        return ""
    return f"{name}: others took {100 * machine['others']:.1f} %, the hypervisor {100 * machine['steal']:.1f} %"


def report_what_ifs(args, calibration):
    if not os.path.exists(f"{args.output}/whatif_base.requests.jsonl"):
        return
    print("\n| change | mean | measured before, after ms | simulated before, after ms | change measured, simulated % |")
    print("|---|---|---|---|---|")
    for name, (_, options, threads, load_name, _) in CHANGES.items():
        base = "prefix" if load_name == "prefix" else "base"
        if name == base or not os.path.exists(f"{args.output}/whatif_{name}.requests.jsonl"):
            continue
        before = replay(args, f"whatif_{base}", calibration)
        real = replay(args, f"whatif_{name}", calibration)["real"]
        if "--blocks" in options:
            header = json.loads(open(f"{args.output}/whatif_{name}.requests.jsonl").readline())
            options = {"--blocks": str(header["blocks"])}
        # The load as recorded before the change, simulated as if changed.
        after = replay(args, f"whatif_{base}", fit(args, "calibration2") if threads == 2 else calibration, options)["sim"]
        for key in ("ttft_ms", "tpot_ms", "e2e_ms"):
            values = [before["real"][key]["mean"], real[key]["mean"], before["sim"][key]["mean"], after[key]["mean"]]
            print(f"| {name} | {key[:-3].upper()} | {values[0]:.1f}, {values[1]:.1f} | {values[2]:.1f}, {values[3]:.1f} | "
                  f"{100 * (values[1] / values[0] - 1):+.1f}, {100 * (values[3] / values[2] - 1):+.1f} |")


def report(args):
    calibration = fit(args, "calibration")
    names = sorted(os.path.basename(p).removesuffix(".requests.jsonl") for p in glob.glob(f"{args.output}/*.requests.jsonl"))
    groups = {}
    for name in names:
        if name.startswith(("calibration", "whatif_")):
            continue
        if reason := disturbed(args, name):
            print("left out:", reason)
            continue
        groups.setdefault(name.split(".")[0], []).append(name)
    print("| load | runs | requests | steps: median / P90 / bias % | throughput % | TTFT mean (P99) % | TPOT mean (P99) % | "
          "E2E mean (P99) % | run to run TTFT, TPOT, E2E % |")
    print("|---|---|---|---|---|---|---|---|---|")
    for group, members in groups.items():
        rows = [replay(args, name, calibration) for name in members]
        count = sum(sum(1 for _ in open(f"{args.output}/{name}.requests.jsonl")) - 1 for name in members)

        def mean(*keys):
            total = 0
            for r in rows:
                for key in keys:
                    r = r[key]
                total += r
            return total / len(rows)

        def spread(key):
            real = [r["real"][key]["mean"] for r in rows]
            middle = sum(real) / len(real)
            return 100 * (sum((v - middle) ** 2 for v in real) / max(len(real) - 1, 1)) ** 0.5 / middle

        latency = [f"{mean('error_pct', key, 'mean'):+.1f} ({mean('error_pct', key, 'p99'):+.1f})"
                   for key in ("ttft_ms", "tpot_ms", "e2e_ms")]
        spreads = ", ".join(f"{spread(key):.1f}" for key in ("ttft_ms", "tpot_ms", "e2e_ms"))
        print(f"| {group} | {len(rows)} | {count} | {mean('step_error_pct', 'median'):.1f} / {mean('step_error_pct', 'p90'):.1f} / "
              f"{mean('step_error_pct', 'bias'):+.1f} | {mean('throughput', 'error_pct'):+.1f} | {' | '.join(latency)} | {spreads} |")
    report_what_ifs(args, calibration)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=["record", "pieces", "what-if", "report"])
    parser.add_argument("--callie", default="callie")
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("-o", "--output", default="serve_logs")
    parser.add_argument("--requests", type=int, default=300)
    parser.add_argument("--only", default="", help="one piece: calibration, capacity, or one that `pieces` names, such as 85.0; of what-if: "
                             "calibration2 or a change")
    parser.add_argument("--seconds", type=float, default=50, help="length of a piece")
    args = parser.parse_args()
    if args.verb == "pieces":
        print("\n".join(pieces(args)))
        return
    {"record": record, "what-if": what_if, "report": report}[args.verb](args)


if __name__ == "__main__":
    main()
