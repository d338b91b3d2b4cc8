#!/usr/bin/env python3
"""Edge-cloud speculation of a real pair on the virtual clock, a few prompts at a time (callie bench edge), merged.

  pair.py CALLIE BIG SMALL --prompts HumanEval.jsonl.gz --even --chunks 6 [--per-chunk 2] [--wrap 'CMD'] > pair.json

Each chunk is a run of its own, so that a short quiet moment of the machine is enough. --wrap is put before every run.
The closing line on stderr is machine-readable.
"""
import argparse
import json
import math
import shlex
import subprocess
import sys


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
        tokens = sum(r["tokens"] for r in same)
        weighted = lambda key: sum(r[key] * r["tokens"] for r in same) / max(1, tokens)
        row = {"mode": mode, "rtt_ms": rtt, "tokens": tokens, "clock": "virtual",
               "tokens_equal": all(r["tokens_equal"] for r in same),
               "ms_per_token_by_prompt": [x for r in same for x in r["ms_per_token_by_prompt"]],
               "acceptance_length": tokens / sum(r["tokens"] / r["acceptance_length"] for r in same)}
        for key in ("ms_per_token", "wire_bytes_per_token", "server_busy_ms_per_token", "hint_hit_rate",
                    "own_guess_hit_rate", "optimistic_hit_rate"):
            row[key] = weighted(key)
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


def main():
    p = argparse.ArgumentParser()
    p.add_argument("callie")
    p.add_argument("big")
    p.add_argument("small")
    p.add_argument("--prompts", required=True)
    p.add_argument("--even", action="store_true")
    p.add_argument("--chunks", type=int, default=4)
    p.add_argument("--per-chunk", type=int, default=2)
    p.add_argument("--stride", type=int, default=0, help="prompts from one chunk's first to the next one's")
    p.add_argument("--wrap", default="")
    p.add_argument("rest", nargs="*", help="more options of callie bench edge, after --")
    a = p.parse_args()
    parts = []
    for chunk in range(a.chunks):
        skip = chunk * (a.stride or a.per_chunk)
        command = shlex.split(a.wrap) + [a.callie, "bench", "edge", a.big, a.small, "--prompts", a.prompts, "--skip", str(skip),
                                         "--limit", str(a.per_chunk), "--json"] + (["--even"] if a.even else []) + a.rest
        run = subprocess.run(command, capture_output=True, text=True)
        if run.returncode != 0:
            sys.exit(f"{' '.join(command)}: {run.stderr.strip()}")
        parts.append(json.loads(run.stdout))
        print(f"chunk {chunk + 1} of {a.chunks}", file=sys.stderr)
    results = merge(parts)
    json.dump({"results": results, "prompts": sum(x["prompts"] for x in parts), "draft_len": parts[0]["draft_len"],
               "pass_ms": [x["pass_ms"] for x in parts], "draft_step_ms": [x["draft_step_ms"] for x in parts],
               "break_even_rtt_ms": [x.get("break_even_rtt_ms") for x in parts]}, sys.stdout)
    best = {}
    for r in results:
        if r["mode"] in ("own_guess", "optimistic", "full", "hint"):
            best[r["rtt_ms"]] = max(best.get(r["rtt_ms"], 0), 1 - 1 / r["vs_sync_sd"])
    errors = [abs(r["ms_per_token"] / r["predicted_ms_per_token"] - 1) for r in results if r["predicted_ms_per_token"]]
    print(json.dumps({"check": "pair", "tokens_equal": all(r["tokens_equal"] for r in results),
                      "sync_below_per_call_pct": {r["rtt_ms"]: round(100 * (1 - 1 / r["vs_per_call"]), 1)
                                                  for r in results if r["mode"] == "sync"},
                      "pre_draft_gain_pct": {k: round(100 * v, 1) for k, v in best.items()},
                      "worst_prediction_error_pct": round(100 * max(errors), 2) if errors else None}), file=sys.stderr)


if __name__ == "__main__":
    main()
