#!/usr/bin/env python3
"""Agreement of `callie plan` with `callie serve` on this machine.

Starts the server (the thread that computes pinned to one processor, those that talk and the load generator to another) and
fills its KV memory once; then loads at shares of the measured capacity follow each other, a calibration of other prompts before
and after each. The step cost of a load is fitted to the calibrations beside it alone, and the load is replayed with that.

    bench/planner/serve_agreement.py record --callie build/release/callie --model smollm2-135m -o logs
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
import sys
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


class Recording:
    """A running server, whose logs are cut into the pieces of load that it got."""

    def __init__(self, args, name, process, url):
        self.args, self.name, self.process, self.url = args, name, process, url
        self.pieces = []  # name, first line of it in the request log, first line after it

    def path(self, name, kind):
        return f"{self.args.output}/{name}.{kind}.jsonl"

    def lines(self, kind):
        with open(self.path(self.name, kind)) as log:
            return log.readlines()

    @contextlib.contextmanager
    def piece(self, name):
        first = len(self.lines("requests"))
        processor = Processor(self.process)
        yield
        with open(f"{self.args.output}/{name}.machine.json", "w") as out:
            json.dump(processor.shares(), out)
        self.pieces.append((name, first, len(self.lines("requests"))))

    def load(self, name, options):
        with self.piece(name):
            result = load(self.args, self.url, options)
        print(name, json.dumps(result)[:160], flush=True)

    def cut(self):
        """Writes the logs of each piece: its requests, and the steps from its first arrival to that of the next piece."""
        requests, steps = self.lines("requests"), self.lines("steps")
        begins = [min(json.loads(line)["arrival_s"] for line in requests[first:end]) for _, first, end in self.pieces]
        for (name, first, end), begin, after in zip(self.pieces, begins, begins[1:] + [float("inf")]):
            with open(self.path(name, "requests"), "w") as out:
                out.writelines(requests[:1] + requests[first:end])
            with open(self.path(name, "steps"), "w") as out:
                out.writelines(steps[:1] + [line for line in steps[1:] if begin <= json.loads(line)["t_s"] < after])


@contextlib.contextmanager
def recording(args, name, changed={}, threads=1):
    process, url = serve(args, name, changed, threads)
    server = Recording(args, name, process, url)
    try:
        yield server
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()
        server.cut()


def calibrate(server, name, seed, rate):
    """Closed loops, and one open loop, of prompts that no replay uses."""
    args = server.args
    path = f"{args.output}/calibration.prompts.jsonl"
    closed = [(1, 24, 2)] + [(clients, requests, 16 + clients % 3 * 8) for clients, requests in
                             ((1, 6), (2, 10), (3, 14), (4, 16), (6, 22), (8, 28), (10, 32), (12, 36), (14, 44), (16, 64))]
    with server.piece(name):
        for k, (clients, requests, tokens) in enumerate(closed):
            # Each loop has prompts of its own, or it would find them in the prefix cache.
            prompts(path, requests, 8, 300, 1000 * (seed + 1) + k)
            load(args, server.url, ["--prompts", path, "--clients", clients, "--requests", requests, "-n", tokens])
        prompts(path, 40, 8, 300, 1000 * (seed + 1) + len(closed))
        load(args, server.url, ["--prompts", path, "--rate", rate / 2, "--requests", 40, "-n", 24, "--seed", seed + 1])


def fill(server):
    """Every block of the KV memory once: the first use of a page costs more than all later ones."""
    path = f"{server.args.output}/fill.prompts.jsonl"
    prompts(path, 280, 8, 300, 9)
    load(server.args, server.url, ["--prompts", path, "--clients", 16, "--requests", 280, "-n", 24])


def capacity(server):
    """Requests a second of a closed loop that keeps every place taken; measured once, so that repeats have equal arrivals."""
    args = server.args
    path = f"{args.output}/capacity.json"
    if not os.path.exists(path):
        prompts(f"{args.output}/capacity.prompts.jsonl", 120, 8, 300, 10)
        server.load("capacity", ["--prompts", f"{args.output}/capacity.prompts.jsonl", "--clients", 16, "--requests", 120, "-n", 24])
        rows = [json.loads(line) for line in server.lines("requests")[-120:]]
        span = max(r["finished_s"] for r in rows) - min(r["arrival_s"] for r in rows)
        with open(path, "w") as out:
            json.dump({"requests_per_s": len(rows) / span}, out)
    with open(path) as file:
        return json.load(file)["requests_per_s"]


KINDS = ("30", "60", "85", "100", "120", "burst")


def name_of(kind, number):
    return f"{'burst70' if kind == 'burst' else 'poisson' + kind}.{number}"


def arrivals(args, kind, rate):
    """Options of `bench serve`; each kind has prompts of its own, and repeats have the same arrivals."""
    seed = KINDS.index(kind)
    path = f"{args.output}/{kind}.prompts.jsonl"
    prompts(path, args.requests, 8, 300, 20 + seed)
    common = ["--prompts", path, "--requests", args.requests, "-n", 24]
    if kind != "burst":
        return [*common, "--rate", rate * int(kind) / 100, "--seed", 10 * int(kind)]
    # Gamma gaps with a variation of 2.2, between the Azure conversation (1.1) and code (13.2) traces, at 70 % of the capacity.
    rng = random.Random(5)
    at = 0.0
    with open(f"{args.output}/burst.csv", "w") as out:
        for _ in range(args.requests):
            at += rng.gammavariate(0.2, 5 / (0.7 * rate))
            out.write(f"{at:.6f}\n")
    return [*common, "--trace", f"{args.output}/burst.csv"]


def order_path(args, number):
    return f"{args.output}/round{number}.json"


def record(args):
    os.makedirs(args.output, exist_ok=True)
    for number in range(args.first, args.first + args.rounds):
        # In one server and close to each other in time: a machine's speed changes from minute to minute, and pages that lie
        # elsewhere in memory after a restart change it as well.
        order = []  # of what was recorded: calibrations with loads between them
        with recording(args, f"server{number}") as server:
            fill(server)
            rate = capacity(server)
            for kind in args.loads if number % 2 == 0 else args.loads[::-1]:
                if not order:
                    order.append(f"calibration.{number}.0")
                    calibrate(server, order[-1], 100 * number, rate)
                server.load(name_of(kind, number), arrivals(args, kind, rate))
                order += [name_of(kind, number), f"calibration.{number}.{len(order) // 2 + 1}"]
                calibrate(server, order[-1], 100 * number + len(order) // 2, rate)
                with open(order_path(args, number), "w") as out:
                    json.dump(order, out)


# Name of the change: options of `serve`, what `plan replay` is asked, threads, and the load (prompts, share of the capacity).
CHANGES = {
    "seqs4": ({"--max-seqs": "4"}, {"--max-seqs": "4"}, 1, "replay", 0.7),
    "budget64": ({"--token-budget": "64"}, {"--token-budget": "64"}, 1, "replay", 0.7),
    "kv32M": ({"--kv-memory": "32M"}, {"--blocks": "as recorded"}, 1, "replay", 0.7),
    "threads2": ({}, {}, 2, "replay", 0.7),
    "prefix_off": ({"--no-prefix-cache": None}, {"--no-prefix-cache": None}, 1, "prefix", 0.35),
}


def what_if(args):
    """Each change with the load before it recorded directly beside it, in servers of their own."""
    with open(f"{args.output}/capacity.json") as file:
        rate = json.load(file)["requests_per_s"]
    count = args.requests // 2
    prompts(f"{args.output}/replay.prompts.jsonl", count, 8, 300, 12)
    shared_prefix_prompts(f"{args.output}/prefix.prompts.jsonl", count, 13)
    for k, (name, (changed, _, threads, load_name, share)) in enumerate(CHANGES.items()):
        options = ["--prompts", f"{args.output}/{load_name}.prompts.jsonl", "--rate", rate * share, "--requests", count, "-n", 24,
                   "--seed", 85]
        with recording(args, f"server_{name}_before") as server:
            fill(server)
            calibrate(server, f"{name}.calibration.0", 900 + 3 * k, rate)
            server.load(f"{name}.before", options)
            calibrate(server, f"{name}.calibration.1", 901 + 3 * k, rate)
        with recording(args, f"server_{name}_after", changed, threads) as server:
            fill(server)
            server.load(f"{name}.after", options)
            if threads > 1:
                calibrate(server, f"{name}.calibration.2", 902 + 3 * k, rate)


def fit(args, name, *calibrations):
    """The path of a step cost fitted to the steps of these pieces, of which those more than a minute from the load are left out:
    the machine was another one then."""
    with open(f"{args.output}/{name}.steps.jsonl") as log:
        header, *steps = log.readlines()
    begin, end = json.loads(steps[0])["t_s"] - 60, json.loads(steps[-1])["t_s"] + 60
    path = f"{args.output}/{name}.fit.json"
    with open(f"{args.output}/{name}.fitted.jsonl", "w") as out:
        out.write(header)
        for piece in calibrations:
            with open(f"{args.output}/{piece}.steps.jsonl") as log:
                out.writelines(line for line in log.readlines()[1:] if begin <= json.loads(line)["t_s"] <= end)
    subprocess.run([args.callie, "plan", "calibrate", "--step-log", f"{args.output}/{name}.fitted.jsonl", "-o", path],
                   check=True, stdout=subprocess.DEVNULL)
    return path


def replay(args, name, calibration, options={}):
    log = f"{args.output}/{name}.requests.jsonl"
    out = subprocess.run([args.callie, "plan", "replay", "--request-log", log, "--step-log", log.replace(".requests.", ".steps."),
                          "--calibration", calibration, "--json", *words(options)], check=True, capture_output=True, text=True).stdout
    return json.loads(out)


def disturbed(args, name):
    """Text of why a run does not count, or nothing."""
    with open(f"{args.output}/{name}.machine.json") as file:
        machine = json.load(file)
    if max(machine["others"], machine["steal"]) <= 0.02:
        return ""
    return f"{name}: others took {100 * machine['others']:.1f} %, the hypervisor {100 * machine['steal']:.1f} %"


def report_what_ifs(args):
    print("\n| change | mean | measured before, after ms | simulated before, after ms | change measured, simulated % |")
    print("|---|---|---|---|---|")
    for name, (_, options, threads, _, _) in CHANGES.items():
        if not os.path.exists(f"{args.output}/{name}.after.requests.jsonl"):
            continue
        cost = fit(args, f"{name}.before", f"{name}.calibration.0", f"{name}.calibration.1")
        before = replay(args, f"{name}.before", cost)
        if threads > 1:
            cost = fit(args, f"{name}.after", f"{name}.calibration.2")
        if "--blocks" in options:
            with open(f"{args.output}/{name}.after.requests.jsonl") as log:
                options = {"--blocks": str(json.loads(log.readline())["blocks"])}
        # The load as recorded before the change, simulated as if changed.
        after = replay(args, f"{name}.before", cost, options)["sim"]
        real = replay(args, f"{name}.after", cost)["real"]
        for key in LATENCIES:
            values = [before["real"][key]["mean"], real[key]["mean"], before["sim"][key]["mean"], after[key]["mean"]]
            print(f"| {name} | {key[:-3].upper()} | {values[0]:.1f}, {values[1]:.1f} | {values[2]:.1f}, {values[3]:.1f} | "
                  f"{100 * (values[1] / values[0] - 1):+.1f}, {100 * (values[3] / values[2] - 1):+.1f} |")


LATENCIES = ("ttft_ms", "tpot_ms", "e2e_ms")


def mean(values):
    values = list(values)
    return sum(values) / len(values)


def spread(values):
    """Standard deviation in percent of the mean."""
    middle = mean(values)
    return 100 * (sum((v - middle) ** 2 for v in values) / max(len(values) - 1, 1)) ** 0.5 / middle


def table_row(label, results):
    """Means over the runs of one load."""
    steps = " / ".join(f"{mean(r['step_error_pct'][key] for r in results):{sign}.1f}"
                       for key, sign in (("median", ""), ("p90", ""), ("bias", "+")))
    throughput = f"{mean(r['throughput']['error_pct'] for r in results):+.1f}"
    latencies = [f"{mean(r['error_pct'][key]['mean'] for r in results):+.1f} ({mean(r['error_pct'][key]['p99'] for r in results):+.1f})"
                 for key in LATENCIES]
    spreads = ", ".join(f"{spread([r['real'][key]['mean'] for r in results]):.1f}" for key in LATENCIES)
    print(f"| {label} | {steps} | {throughput} | {' | '.join(latencies)} | {spreads if len(results) > 1 else ''} |")


def report(args):
    print("| load, runs | steps: median / P90 / bias % | throughput % | TTFT mean (P99) % | TPOT mean (P99) % | E2E mean (P99) % | "
          "run to run TTFT, TPOT, E2E % |")
    print("|---|---|---|---|---|---|---|")
    orders = []
    for path in glob.glob(order_path(args, "*")):
        with open(path) as file:
            orders.append(json.load(file))
    for kind in KINDS:
        results = []
        for order in sorted(orders):
            for k, name in enumerate(order):
                if not name.startswith(name_of(kind, "")):
                    continue
                if reason := disturbed(args, name):
                    print("left out:", reason)
                    continue
                results.append(replay(args, name, fit(args, name, order[k - 1], order[k + 1])))
                if args.each:
                    table_row(name, results[-1:])
        if results:
            table_row(f"{kind}, {len(results)}", results)
    report_what_ifs(args)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=["record", "what-if", "report"])
    parser.add_argument("--callie", default="callie")
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("-o", "--output", default="serve_logs")
    parser.add_argument("--requests", type=int, default=300, help="of each load")
    parser.add_argument("--rounds", type=int, default=3, help="how often each load is recorded, each time in a new server")
    parser.add_argument("--first", type=int, default=0, help="number of the first round")
    parser.add_argument("--loads", nargs="+", choices=KINDS, default=list(KINDS), help="record: these alone")
    parser.add_argument("--each", action="store_true", help="report: every run on a line of its own as well")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what was recorded is kept
    {"record": record, "what-if": what_if, "report": report}[args.verb](args)


if __name__ == "__main__":
    main()
