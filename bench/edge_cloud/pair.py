#!/usr/bin/env python3
"""Edge-cloud speculation of a real pair on the virtual clock (callie bench edge), one prompt a run, merged.

  pair.py CALLIE BIG SMALL --prompts FILE [--even] [--count 6] [--group] [--record R.jsonl] [--seconds 75]
      [-- more options of callie bench edge, such as --exits EXITS --rtt 0,5,20,50,100,200]

Takes --count prompts, evenly spread (of each group with --group: Spec-Bench's six parts). With --record every finished
prompt is kept, and a later call goes on behind it: --seconds ends a call when the next prompt would not fit, so that
short quiet moments of a machine add up. Figures are printed over all prompts that are there. The closing line on stderr
is machine-readable; `missing` counts prompts still to be run.
"""
import argparse
import collections
import gzip
import json
import math
import os
import subprocess
import sys
import tempfile
import time

MT_BENCH = {"writing", "roleplay", "reasoning", "math", "coding", "extraction", "stem", "humanities"}
RATES = ("hint_hit_rate", "own_guess_hit_rate", "hints_early_rate", "hint_only_hit_rate")


def select(path, even, count, group):
    """(group, line) of the prompts to run."""
    groups = collections.OrderedDict()
    for line in (gzip.open(path, "rt") if path.endswith(".gz") else open(path)):
        if not line.strip():
            continue
        row = json.loads(line)
        if even and int(row["task_id"].split("/")[-1]) % 2:
            continue
        category = row.get("category", "all")
        name = ("mt_bench" if category in MT_BENCH else category) if group else "all"
        groups.setdefault(name, []).append(json.dumps(row))
    out = []
    for name, lines in groups.items():
        n = min(count, len(lines))
        out += [(name, lines[(2 * i + 1) * len(lines) // (2 * n)]) for i in range(n)]
    # One of each group first, so that a record that is not full is balanced.
    order = collections.Counter()
    keyed = []
    for name, line in out:
        keyed.append((order[name], len(keyed), name, line))
        order[name] += 1
    return [(name, line) for _, _, name, line in sorted(keyed)]


def interval(base, own):
    logs = [math.log(b / o) for b, o in zip(base, own)]
    n = len(logs)
    if n < 2:
        return None
    mean = sum(logs) / n
    half = 1.96 * math.sqrt(sum((x - mean) ** 2 for x in logs) / (n - 1) / n)
    return [math.exp(mean - half), math.exp(mean + half)]


def merge(parts):
    rows = {}
    for part in parts:
        for r in part["results"]:
            rows.setdefault((r["mode"], r["rtt_ms"]), []).append(r)
    out = []
    for (mode, rtt), same in rows.items():
        tokens, rounds = sum(r["tokens"] for r in same), sum(r["rounds"] for r in same)
        weighted = lambda key: sum(r[key] * r["tokens"] for r in same) / max(1, tokens)
        row = {"mode": mode, "rtt_ms": rtt, "tokens": tokens, "rounds": rounds, "clock": "virtual",
               "tokens_equal": all(r["tokens_equal"] for r in same),
               "ms_per_token_by_prompt": [x for r in same for x in r["ms_per_token_by_prompt"]],
               "acceptance_length": tokens / sum(r["tokens"] / r["acceptance_length"] for r in same)}
        for key in ("ms_per_token", "wire_bytes_per_token", "server_busy_ms_per_token", "optimistic_hit_rate"):
            row[key] = weighted(key)
        for key in RATES:
            row[key] = sum(r[key] * r["rounds"] for r in same) / max(1, rounds)
        row["predicted_ms_per_token"] = None if same[0]["predicted_ms_per_token"] is None else weighted("predicted_ms_per_token")
        out.append(row)
    at = {(r["mode"], r["rtt_ms"]): r for r in out}
    for r in out:
        for name, mode in (("vs_per_call", "per_call"), ("vs_streaming", "streaming"), ("vs_sync_sd", "sync")):
            base = at.get((mode, r["rtt_ms"]))
            if base:
                r[name] = base["ms_per_token"] / r["ms_per_token"]
                r[name + "_ci95"] = interval(base["ms_per_token_by_prompt"], r["ms_per_token_by_prompt"])
    return out


def summary(results):
    below = lambda r, key: round(100 * (1 - 1 / r[key]), 1)
    low = lambda r, key: round(100 * (1 - 1 / r[key + "_ci95"][0]), 1) if r.get(key + "_ci95") else None
    pick = lambda mode: [r for r in results if r["mode"] == mode]
    out = {"tokens_equal": all(r["tokens_equal"] for r in results),
           "sync_below_per_call_pct": {r["rtt_ms"]: [below(r, "vs_per_call"), low(r, "vs_per_call")] for r in pick("sync")},
           "sync_below_streaming_pct": {r["rtt_ms"]: below(r, "vs_streaming") for r in pick("sync")}}
    for mode in ("hint", "own_guess", "optimistic", "full", "adaptive"):
        out[f"{mode}_below_sync_pct"] = {r["rtt_ms"]: [below(r, "vs_sync_sd"), low(r, "vs_sync_sd")] for r in pick(mode)}
    fixed = {}
    for r in results:
        if r["mode"] != "adaptive":
            fixed[r["rtt_ms"]] = min(fixed.get(r["rtt_ms"], 1e9), r["ms_per_token"])
    out["adaptive_behind_best_pct"] = {r["rtt_ms"]: round(100 * (r["ms_per_token"] / fixed[r["rtt_ms"]] - 1), 1)
                                       for r in pick("adaptive")}
    errors = [r["ms_per_token"] / r["predicted_ms_per_token"] - 1 for r in results if r["predicted_ms_per_token"]]
    out["worst_prediction_error_pct"] = round(100 * max(errors, key=abs), 2) if errors else None
    busy = {r["rtt_ms"]: r["server_busy_ms_per_token"] for r in pick("streaming")}
    out["server_busy_vs_autoregression"] = {f"{r['mode']}@{r['rtt_ms']:g}": round(r["server_busy_ms_per_token"] / busy[r["rtt_ms"]], 3)
                                            for r in results if r["mode"] in ("sync", "full") and busy.get(r["rtt_ms"])}
    full = [r for r in results if r["mode"] in ("hint", "full")]
    out["rates"] = {f"{r['mode']}@{r['rtt_ms']:g}": {key: round(r[key], 3) for key in RATES} for r in full}
    out["most_bytes_per_token"] = round(max(r["wire_bytes_per_token"] for r in results if r["mode"] not in ("per_call", "streaming")), 1)
    return out


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("callie")
    p.add_argument("big")
    p.add_argument("small")
    p.add_argument("--prompts", required=True)
    p.add_argument("--even", action="store_true", help="only even-numbered problems")
    p.add_argument("--count", type=int, default=6)
    p.add_argument("--group", action="store_true")
    p.add_argument("--record")
    p.add_argument("--seconds", type=float, default=0, help="end before a prompt that would not fit (0 = run all)")
    split = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    a = p.parse_args(sys.argv[1:split])
    a.rest = sys.argv[split + 1:]
    begin = time.monotonic()
    chosen = select(a.prompts, a.even, a.count, a.group)
    done = {}
    if a.record and os.path.exists(a.record):
        for line in open(a.record):
            row = json.loads(line)
            if row["options"] == a.rest:
                done[row["prompt"]] = row["part"]
    longest = 0.0
    for i, (name, line) in enumerate(chosen):
        if line in done:
            continue
        if a.seconds and longest and time.monotonic() - begin + longest * 1.1 > a.seconds:
            break
        start = time.monotonic()
        with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
            file.write(line + "\n")
            file.flush()
            command = [a.callie, "bench", "edge", a.big, a.small, "--prompts", file.name, "--json"] + a.rest
            run = subprocess.run(command, capture_output=True, text=True)
        if run.returncode != 0:
            sys.exit(f"{' '.join(command)}: {run.stderr.strip()}")
        done[line] = json.loads(run.stdout)
        if a.record:
            with open(a.record, "a") as file:
                file.write(json.dumps({"prompt": line, "options": a.rest, "part": done[line]}) + "\n")
        longest = max(longest, time.monotonic() - start)
        print(f"prompt {i + 1} of {len(chosen)} ({name}): {time.monotonic() - start:.1f} s", file=sys.stderr)
    there = [(name, done[line]) for name, line in chosen if line in done]
    if not there:
        sys.exit("error: no prompt was run")
    parts = [part for _, part in there]
    results = merge(parts)
    mean = lambda key: sum(x.get(key) or 0 for x in parts) / len(parts)
    out = {"results": results, "prompts": len(parts), "draft_len": parts[0]["draft_len"], "exits": parts[0]["exits"],
           "exit_overhead": mean("exit_overhead"), "draft_step_ms": mean("draft_step_ms"),
           "pass_ms": [x["pass_ms"] for x in parts], "break_even_rtt_ms": mean("break_even_rtt_ms")}
    if a.group:
        out["groups"] = {name: merge([part for n, part in there if n == name]) for name in {n for n, _ in there}}
    json.dump(out, sys.stdout)
    closing = {"check": "pair", "prompts": len(parts), "missing": len(chosen) - len(parts),
               "break_even_rtt_ms": round(out["break_even_rtt_ms"], 1), "exit_overhead": round(out["exit_overhead"], 4)}
    closing |= summary(results)
    if a.group:
        closing["groups"] = {name: {f"{r['mode']}@{r['rtt_ms']:g}": [round(r["ms_per_token"], 1), round(r["vs_per_call"], 2),
                                                                   round(r["vs_streaming"], 2), round(r["acceptance_length"], 2)]
                                    for r in rows if r["mode"] in ("sync", "full") and r["rtt_ms"] in (0, 20, 50)}
                             for name, rows in out["groups"].items()}
    print(json.dumps(closing), file=sys.stderr)


if __name__ == "__main__":
    main()
