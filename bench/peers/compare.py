#!/usr/bin/env python3
"""Measures Callie beside llama.cpp (and ik_llama.cpp, where a built one is given) on the same files and threads.

  bench/peers/build_llama_cpp ~/.cache/callie-peers
  bench/peers/compare.py --callie build/release/callie --llama ~/.cache/callie-peers/bin [--ik DIR/bin]
                         --model NAME=FILE ... [--threads 2] [--rounds 5] [--depth 0] [--readme README.md]

Each round runs every engine once, in turn, so that a slow moment of the machine meets all alike. llama.cpp runs
with flash attention on and off (repacking at its default, on), ik_llama.cpp in every combination of flash attention and
run-time repacking; the best median of each counts, and its flags are printed. What
decides is the median of the ratios Callie / peer, round by round; their range is printed beside it.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys


def run(command, cpus):
    done = subprocess.run(["taskset", "-c", cpus] + command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"error: {' '.join(command)}: {done.stderr.strip().splitlines()[-1:]}")
    return done.stdout


def llama_bench(binary, flags, model, args):
    command = [f"{binary}/llama-bench", "-m", model, "-t", str(args.threads), "-p", str(args.prompt), "-n",
               str(args.generate), "-r", "1", "-o", "json"] + flags
    if args.depth:
        command += ["-d", str(args.depth)]
    rows = json.loads(run(command, args.cpus))
    return {("pp" if row["n_prompt"] else "tg"): row["avg_ts"] for row in rows}


def ik_bench(binary, flags, model, args):
    base = [f"{binary}/llama-bench", "-m", model, "-t", str(args.threads), "-r", "1", "-o", "json"] + flags
    if not args.depth:
        rows = json.loads(run(base + ["-p", str(args.prompt), "-n", str(args.generate)], args.cpus))
        return {("pp" if row["n_prompt"] else "tg"): row["avg_ts"] for row in rows}
    # No -d: -gp measures generation behind a prompt, and a longer prompt less a shorter one gives prefill at depth.
    rows = json.loads(run(base + ["-p", f"{args.depth},{args.depth + args.prompt}", "-n", "0", "-gp",
                                  f"{args.depth},{args.generate}"], args.cpus))
    by_size = {row["n_prompt"]: row["avg_ns"] for row in rows if row["n_gen"] == 0}
    generation = [row["avg_ts"] for row in rows if row["n_gen"] > 0][0]
    return {"pp": args.prompt / ((by_size[args.depth + args.prompt] - by_size[args.depth]) * 1e-9), "tg": generation}


def callie_bench(binary, model, args):
    command = [binary, "bench", model, "-p", str(args.prompt), "-n", str(args.generate), "--threads",
               str(args.threads), "--repeat", "1", "--tests", "pp,tg", "--json", "--depth", str(args.depth)]
    out = json.loads(run(command, args.cpus))
    speeds = {("pp" if row["name"].startswith("pp") else "tg"): row["tok_s_median"] for row in out["results"]}
    return speeds | {"limits": out}


def spread(values):
    return f"{statistics.median(values):.2f} ({min(values):.2f}–{max(values):.2f})"


def measure(name, path, args):
    peers = [("llama.cpp", llama_bench, args.llama, ["-fa", fa], f"-fa {fa}") for fa in ("0", "1")]
    if args.ik:
        peers += [("ik_llama.cpp", ik_bench, args.ik, ["-fa", fa] + (["-rtr", "1"] if rtr else []),
                   f"-fa {fa}{' -rtr 1' if rtr else ''}") for fa in ("0", "1") for rtr in (False, True)]
    rounds = []
    for r in range(args.rounds):
        row = {"callie": callie_bench(args.callie, path, args)}
        for engine, bench, binary, flags, label in peers:
            row[(engine, label)] = bench(binary, flags, path, args)
        rounds.append(row)
        print(f"{name}: round {r + 1}/{args.rounds}", file=sys.stderr)
    limits = rounds[0]["callie"]["limits"]
    read = max(row["callie"]["limits"]["read_gb_s"] for row in rounds)
    dots = max(row["callie"]["limits"]["vnni_gmac_s"] for row in rounds)
    result = {"model": name, "read_gb_s": read, "vnni_gmac_s": dots, "tests": {}}
    for test in ("pp", "tg"):
        ours = statistics.median(row["callie"][test] for row in rounds)
        share = (ours * limits["macs_per_token"] / 1e9 / dots if test == "pp"
                 else ours * limits["bytes_per_token"] / 1e9 / read)
        entry = {"callie": ours, "share_of_limit": share}
        for engine in dict.fromkeys(peer[0] for peer in peers):
            best = max((key for key in rounds[0] if key[0] == engine),
                       key=lambda key: statistics.median(row[key][test] for row in rounds))
            ratios = [row["callie"][test] / row[best][test] for row in rounds]
            entry[engine] = {"tok_s": statistics.median(row[best][test] for row in rounds), "flags": best[1],
                             "ratio": statistics.median(ratios), "ratio_range": [min(ratios), max(ratios)],
                             "ratio_text": spread(ratios)}
        result["tests"][test] = entry
    return result


def table(results, args):
    engines = ["llama.cpp"] + (["ik_llama.cpp"] if args.ik else [])
    depth = f" at a depth of {args.depth}" if args.depth else ""
    lines = [f"{args.threads} threads, pp{args.prompt} and tg{args.generate}{depth}, {args.rounds} interleaved rounds, "
             "medians; ratios are medians of paired rounds with their range.", "",
             "| model | test | Callie tok/s | of the limit | " + " | ".join(f"{e} tok/s | ratio" for e in engines) + " |",
             "|---|---|---|---|" + "---|---|" * len(engines)]
    for result in results:
        for test, label in (("pp", "prefill"), ("tg", "decode")):
            entry = result["tests"][test]
            cells = [f"{entry[e]['tok_s']:.0f} ({entry[e]['flags']}) | {entry[e]['ratio_text']}" for e in engines]
            lines.append(f"| {result['model']} | {label} | {entry['callie']:.0f} | {100 * entry['share_of_limit']:.0f} % | "
                         + " | ".join(cells) + " |")
    limits = ", ".join(f"{r['model']}: read {r['read_gb_s']:.0f} GB/s, {r['vnni_gmac_s']:.0f} GMAC/s" for r in results)
    return "\n".join(lines + ["", f"Limits measured in the same run: {limits}."])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--callie", required=True)
    parser.add_argument("--llama", required=True)
    parser.add_argument("--ik")
    parser.add_argument("--model", action="append", required=True, metavar="NAME=FILE")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--prompt", type=int, default=512)
    parser.add_argument("--generate", type=int, default=128)
    parser.add_argument("--depth", type=int, default=0)
    parser.add_argument("--json", metavar="FILE", help="also write every figure here")
    parser.add_argument("--readme", metavar="FILE", help="replace the table between the benchmark markers of this file")
    args = parser.parse_args()
    args.cpus = ",".join(str(cpu) for cpu in sorted(os.sched_getaffinity(0))[:args.threads])
    results = [measure(*model.split("=", 1), args) for model in args.model]
    text = table(results, args)
    print(text)
    if args.json:
        with open(args.json, "w") as file:
            json.dump(results, file, indent=1)
    if args.readme:
        begin, end = "<!-- benchmark -->", "<!-- /benchmark -->"
        with open(args.readme) as file:
            content = file.read()
        head, rest = content.split(begin)
        tail = rest.split(end)[1]
        with open(args.readme, "w") as file:
            file.write(f"{head}{begin}\n{text}\n{end}{tail}")


if __name__ == "__main__":
    main()
