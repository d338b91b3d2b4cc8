#!/usr/bin/env python3
"""Runs bench_kernels a few times and prints its best figures as tables.

  bench/kernels/table.py build/release/bench_kernels [--cpus 0] [--runs 3]

The best of many short repetitions counts, of kernels and of the machine's limits alike, in processor time: other
programs on the machine slow single repetitions, not the best one.
"""
import argparse
import json
import os
import re
import subprocess
import sys

FAMILIES = ("Q4_1", "Q5_0", "Q8_0", "Q4_K", "Q6_K")
FILTER = f"matmul/({'|'.join(FAMILIES)})/(1|2|4|8|16|64|512)/|attention/|quantize|gated|norm"


def run(args, best, limits):
    out = subprocess.run(["taskset", "-c", args.cpus, args.program, "--benchmark_min_time=0.02",
                          "--benchmark_repetitions=8", f"--benchmark_filter={FILTER}", "--benchmark_format=json"],
                         capture_output=True, text=True)
    if out.returncode != 0:
        sys.exit(f"error: {args.program}: {out.stderr.strip().splitlines()[-1:]}")
    first, rest = out.stdout.split("\n", 1)
    read, dots = re.search(r"read ([\d.]+) GB/s, dot products ([\d.]+)", first).groups()
    limits["read"], limits["dots"] = max(limits["read"], float(read)), max(limits["dots"], float(dots))
    seconds = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3}
    for row in json.loads(rest)["benchmarks"]:
        if row["run_type"] != "iteration":
            continue
        # The rates are those of wall time; amounts per iteration follow from them.
        wall = row["real_time"] * seconds[row["time_unit"]]
        entry = {"s": row["cpu_time"] * seconds[row["time_unit"]],
                 "amounts": {key: row[key] * wall for key in ("GB/s", "GMAC/s", "GFMA/s") if key in row}}
        name = row["name"].removesuffix("/real_time")
        if name not in best or entry["s"] < best[name]["s"]:
            best[name] = entry


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--cpus", default=str(min(os.sched_getaffinity(0))), help="one thread for each")
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    best, limits = {}, {"read": 0.0, "dots": 0.0}
    for _ in range(args.runs):
        run(args, best, limits)
    print(f"Limits: {limits['read']:.1f} GB/s read, {limits['dots']:.0f} GMAC/s.\n")
    print("| kernel | MB | GMAC | ms | GB/s (of the limit) | GMAC/s (of the limit) |\n|---|---|---|---|---|---|")
    for name, entry in best.items():
        amounts, s = entry["amounts"], entry["s"]
        read = amounts.get("GB/s", 0)
        work = amounts.get("GMAC/s", amounts.get("GFMA/s", 0))
        dots = f" ({100 * work / s / limits['dots']:.0f} %)" if "GMAC/s" in amounts else " f32" if work else ""
        print(f"| {name} | {read * 1e3:.3g} | {work:.3g} | {s * 1e3:.3g} | {read / s:.1f} "
              f"({100 * read / s / limits['read']:.0f} %) | {work / s:.0f}{dots} |")


if __name__ == "__main__":
    main()
