#!/usr/bin/env python3
"""The simulator's own speed beside what is asked of it. One line per figure; processor seconds, traces included.

  bench/planner/speed.py --callie build/release/callie [--data ../shared/data/serving] [--only NAME...] [--json]

Each part takes less than a minute (`sweep` at most one, `ten_million` about half of one).
"""
import argparse
import json
import os
import resource
import subprocess
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

MACHINE = """
models: {m: {name: llama-3.1-8b}}
hardware: {h: {preset: b200_sxm}}
"""


def mooncake(data):
    return MACHINE + f"""
clients: [{{name: llm, model: m, hw: h, count: 4, sched: {{policy: vllm1, token_budget: 8192, max_seqs: 256}}, kv: {{block: 512}}}}]
workload: {{trace: {data}/traces/mooncake_conversation.jsonl, scale: 1, requests: 60000}}
routing: {{policy: prefix+queue, snapshot_ms: 50}}
"""


def tiers(data):
    return MACHINE + f"""
clients: [{{name: llm, model: m, hw: h, count: 32, sched: {{policy: vllm1, token_budget: 2048, max_seqs: 256}},
           kv: {{block: 16, tiers: [dram, rack]}}}}]
fabric: {{tiers: {{dram: {{gb: 512, gbs: 54}}, rack: {{gb: 4096, gbs: 6, lat_us: 50}}}}}}
pipeline: [kv, prefill, decode]
workload: {{trace: {data}/traces/azure_2023_conv.csv, scale: 150, requests: 200000}}
routing: {{policy: least_work}}
"""


def grid(data):
    return MACHINE + f"""
clients: [{{name: llm, model: m, hw: h, sched: {{policy: vllm1, token_budget: 2048, max_seqs: 256}}}}]
workload: {{trace: {data}/traces/azure_2023_conv.csv, scale: 5, requests: 10000}}
sweep: {{grid: {{llm.sched.token_budget: [512, 1024, 2048, 4096, 8192], llm.sched.max_seqs: [32, 64, 128, 256, 512],
                llm.count: [1, 2, 3, 4], workload.scale: [1, 2, 4, 6, 8]}}, seeds: 1}}
"""


def measured(command):
    """Standard output, elapsed seconds, and the peak memory of the largest child so far in MiB."""
    start = time.time()
    out = subprocess.run(command, capture_output=True, text=True)
    if out.returncode:
        raise SystemExit(f"{' '.join(command)}\n{out.stderr}")
    return out.stdout, time.time() - start, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--callie", default=os.path.join(ROOT, "build/release/callie"))
    p.add_argument("--data", default=os.path.join(ROOT, "../shared/data/serving"))
    p.add_argument("--only", nargs="*", default=["speed", "mooncake", "tiers", "sweep", "ten_million"])
    p.add_argument("--repeat", type=int, default=3, help="runs of each figure; the fastest counts")
    p.add_argument("--json", action="store_true")
    a = p.parse_args()
    a.data = os.path.abspath(a.data)
    rows = []

    def row(name, seen, asked, unit, more_is_better=True):
        rows.append({"name": name, "seen": seen, "asked": asked, "unit": unit,
                     "met": seen >= asked if more_is_better else seen <= asked})

    def best(config, *flags):
        runs = []
        for _ in range(a.repeat):
            text, _, _ = measured([a.callie, "plan", "run", config, "--json", *flags])
            runs.append(json.loads(text)["summary"])
        return min(runs, key=lambda s: s["cpu_s"])

    with tempfile.TemporaryDirectory() as folder:
        def write(name, text):
            path = os.path.join(folder, name)
            with open(path, "w") as file:
                file.write(text)
            return path

        if "speed" in a.only:
            config = os.path.join(ROOT, "examples/plan/speed.yaml")
            trace = f"workload.trace={a.data}/traces/azure_2023_conv.csv"
            for policy in ("vllm1", "callie"):
                s = best(config, "--set", f"llm.sched.policy={policy}", trace, "--step")
                row(f"{policy}, stepping", s["simulated_requests"] / s["cpu_s"] / 1e3, 100, "K requests/s")
                row(f"{policy}, stepping", s["steps"] / s["cpu_s"] / 1e6, 2.5, "M steps/s")
                s = best(config, "--set", f"llm.sched.policy={policy}", trace)
                row(f"{policy}, fast-forwarded", s["simulated_requests"] / s["cpu_s"] / 1e3, 300, "K requests/s")
        if "mooncake" in a.only:
            s = best(write("mooncake.yaml", mooncake(a.data)))
            row("Mooncake conversation, hash chains", s["simulated_requests"] / s["cpu_s"] / 1e3, 30, "K requests/s")
        if "tiers" in a.only:
            s = best(write("tiers.yaml", tiers(a.data)))
            row("32 clients with tiers", s["simulated_requests"] / s["cpu_s"] / 1e3, 50, "K requests/s")
        if "sweep" in a.only:
            text, seconds, _ = measured([a.callie, "plan", "sweep", write("grid.yaml", grid(a.data)), "--quiet", "--json"])
            assert len(json.loads(text)["configurations"]) == 500
            row("500 configurations x 10 K requests", seconds, 60, "s", more_is_better=False)
        if "ten_million" in a.only:
            config = os.path.join(ROOT, "examples/plan/speed.yaml")
            trace = f"workload.trace={a.data}/traces/azure_2023_conv.csv"
            memory = []
            for requests in (1_000_000, 10_000_000):
                text, seconds, mib = measured([a.callie, "plan", "run", config, "--json", "--set", trace,
                                               f"workload.requests={requests}"])
                assert json.loads(text)["summary"]["simulated_requests"] == requests
                memory.append(mib)
            row("10 M requests in one run", seconds, 60, "s", more_is_better=False)
            row("memory of 10 M against 1 M requests", memory[1] / memory[0], 1.1, "x", more_is_better=False)
    if a.json:
        print(json.dumps(rows, indent=2))
        return
    for r in rows:
        print(f"{r['name']:40s} {r['seen']:9.2f} {r['unit']:14s} asked {r['asked']:g}: {'met' if r['met'] else 'MISSED'}")


if __name__ == "__main__":
    main()
