#!/usr/bin/env python3
"""Measures Callie beside llama.cpp (and ik_llama.cpp, where a built one is given) on the same files and threads.

  bench/peers/build_llama_cpp ~/.cache/callie-peers
  bench/peers/compare.py --callie build/release/callie --llama ~/.cache/callie-peers/bin [--ik DIR/bin]
                         --model NAME=FILE ... [--threads 2] [--rounds 5] [--depth 0] [--record FILE] [--readme README.md]

Each round runs every engine once, in turn, so that a slow moment of the machine meets all alike. Peers run at their
best: the first round tries llama.cpp with flash attention and repacking on and off, ik_llama.cpp with flash attention
and run-time repacking on and off; what is more than 10 % behind the best of its engine in both tests is left out of
the other rounds. The best median of each engine counts, and its flags are printed. What decides is the median of the
ratios Callie / peer, round by round; their range is printed beside it.

--record FILE keeps the rounds: they are added to those already there, and a round that was broken off goes on with the
flags it lacks, so that a measurement can be made in pieces; --rounds 0 prints the tables of what was recorded. At a
depth, where a round takes minutes, the first one tries of the repacking settings only those that were promising at
depth 0 of the same record.
"""
import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys

TESTS = {"pp": "prefill", "tg": "decode"}
NEAR_BEST = 0.9


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
    keep = ("read_gb_s", "vnni_gmac_s", "bytes_per_token", "macs_per_token")
    return speeds | {key: out[key] for key in keep}


def peers(args):
    """(engine, function, folder of programs, [flags]) of every peer."""
    found = [("llama.cpp", llama_bench, args.llama,
              [f"-fa {fa} --repack {repack}" for fa, repack in itertools.product("10", "10")])]
    if args.ik:
        found.append(("ik_llama.cpp", ik_bench, args.ik,
                      [f"-fa {fa}{rtr}" for fa, rtr in itertools.product("10", ("", " -rtr 1"))]))
    return found


def median_of(rounds, engine, flags, test):
    return statistics.median(row["peers"][engine][flags][test] for row in rounds)


def complete(rounds, engine):
    """Flags that every round has."""
    return [flags for flags in rounds[0]["peers"][engine] if all(flags in row["peers"][engine] for row in rounds)]


def promising(rounds, engine, flags):
    """The flags near the best of their engine in some test, by the whole rounds so far."""
    if not rounds:
        return flags
    known = complete(rounds, engine)
    best = {test: max(median_of(rounds, engine, f, test) for f in known) for test in TESTS}
    return [f for f in known if any(median_of(rounds, engine, f, test) >= NEAR_BEST * best[test] for test in TESTS)]


def save(recorded, args):
    if args.record:
        with open(args.record, "w") as file:
            json.dump(recorded, file, indent=1)


def repacking(flags):
    """The flags without flash attention, whose worth depends on the depth."""
    return flags.split()[2:]


def first_choice(engine, flags, shallow):
    """The flags whose repacking was promising without depth, with and without flash attention."""
    near = [repacking(f) for f in promising(shallow, engine, flags)]
    return [f for f in flags if repacking(f) in near]


def measure(model, args, rounds, recorded):
    name, path = model.split("=", 1)
    shallow = recorded.get("0", {}).get(name, []) if args.depth else []
    for r in range(args.rounds):
        if not rounds or rounds[-1]["whole"]:
            rounds.append({"callie": callie_bench(args.callie, path, args), "peers": {}, "whole": False})
            save(recorded, args)
        row, before = rounds[-1], rounds[:-1]
        for engine, bench, folder, flags in peers(args):
            figures = row["peers"].setdefault(engine, {})
            for f in promising(before, engine, flags) if before else first_choice(engine, flags, shallow):
                if f not in figures:
                    figures[f] = bench(folder, f.split(), path, args)
                    save(recorded, args)
        row["whole"] = True
        save(recorded, args)
        print(f"{name}: round {r + 1}/{args.rounds}", file=sys.stderr)


def evaluate(name, rounds):
    ours = [row["callie"] for row in rounds]
    spans = {key: (min(row[key] for row in ours), max(row[key] for row in ours)) for key in ("read_gb_s", "vnni_gmac_s")}
    result = {"model": name, "rounds": len(rounds), "tests": {}} | spans
    for test in TESTS:
        speed = statistics.median(row[test] for row in ours)
        # Each round against the limit of the same minute: a machine's memory may change its speed.
        share = statistics.median(row[test] * row["macs_per_token"] / 1e9 / row["vnni_gmac_s"] if test == "pp"
                                  else row[test] * row["bytes_per_token"] / 1e9 / row["read_gb_s"] for row in ours)
        entry = {"callie": speed, "share_of_limit": share, "peers": {}}
        for engine in rounds[0]["peers"]:
            best = max(complete(rounds, engine), key=lambda flags: median_of(rounds, engine, flags, test))
            ratios = [row["callie"][test] / row["peers"][engine][best][test] for row in rounds]
            entry["peers"][engine] = {"tok_s": median_of(rounds, engine, best, test), "flags": best,
                                      "ratio": statistics.median(ratios), "range": [min(ratios), max(ratios)]}
        result["tests"][test] = entry
    return result


def table(depth, recorded, args):
    results = [evaluate(name, rounds) for name, rounds in recorded.items()]
    engines = list(results[0]["tests"]["pp"]["peers"])
    at = f" at a depth of {depth}" if depth else ""
    counts = sorted({result["rounds"] for result in results})
    lines = [f"{args.threads} threads, pp{args.prompt} and tg{args.generate}{at}, "
             f"{'–'.join(str(n) for n in counts)} interleaved rounds, medians; ratios are medians of paired rounds "
             "with their range.", "",
             "| model | test | Callie tok/s | of the limit | " + " | ".join(f"{e} tok/s | ratio" for e in engines) + " |",
             "|---|---|---|---|" + "---|---|" * len(engines)]
    for result in results:
        for test, label in TESTS.items():
            entry = result["tests"][test]
            cells = [f"{p['tok_s']:.0f} (`{p['flags']}`) | {p['ratio']:.2f} ({p['range'][0]:.2f}–{p['range'][1]:.2f})"
                     for p in entry["peers"].values()]
            lines.append(f"| {result['model']} | {label} | {entry['callie']:.0f} | "
                         f"{100 * entry['share_of_limit']:.0f} % | " + " | ".join(cells) + " |")
    def span(low_high):
        return "–".join(dict.fromkeys(f"{x:.0f}" for x in low_high))

    limits = ", ".join(f"{r['model']}: read {span(r['read_gb_s'])} GB/s, {span(r['vnni_gmac_s'])} GMAC/s" for r in results)
    return "\n".join(lines + ["", f"Limits measured in the same run: {limits}."])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--callie", required=True)
    parser.add_argument("--llama", required=True)
    parser.add_argument("--ik")
    parser.add_argument("--model", action="append", default=[], metavar="NAME=FILE")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--prompt", type=int, default=512)
    parser.add_argument("--generate", type=int, default=128)
    parser.add_argument("--depth", type=int, default=0)
    parser.add_argument("--record", metavar="FILE", help="keep the rounds here, beside those of earlier runs")
    parser.add_argument("--readme", metavar="FILE", help="replace the table between the benchmark markers of this file")
    args = parser.parse_args()
    args.cpus = ",".join(str(cpu) for cpu in sorted(os.sched_getaffinity(0))[:args.threads])
    recorded = {}
    if args.record and os.path.exists(args.record):
        with open(args.record) as file:
            recorded = json.load(file)
    models = recorded.setdefault(str(args.depth), {})
    for model in args.model:
        measure(model, args, models.setdefault(model.split("=", 1)[0], []), recorded)
    whole = {depth: {name: [row for row in rounds if row["whole"]] for name, rounds in models.items()}
             for depth, models in recorded.items()}
    text = "\n\n".join(table(int(depth), {n: r for n, r in models.items() if r}, args)
                       for depth, models in whole.items() if any(models.values()))
    if not text:
        sys.exit("error: nothing measured: --model NAME=FILE, or --record FILE of earlier rounds")
    print(text)
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
