#!/usr/bin/env python3
"""`callie serve` beside llama.cpp's llama-server: the same model file, threads and load, in interleaved rounds.

    compare.py CALLIE LLAMA_SERVER MODEL.gguf --prompts spec-bench-question.jsonl [--clients 1 4 16] [--rounds 3]
               [--record F] [--flags "-fa on" "-fa off" ...]

A round is one load of each server, in turn, one of them stopped with SIGSTOP while the other is measured; every round sends
other prompts, and the order changes. llama-server runs at its best: its flags are tried in turn, one set a round, and those
more than 10 % behind its best are left out once each has had a round. What decides is the median of the ratios of the
rounds with the best set; its range is printed beside it. --repeat sends the same prompts every round, after a round that
is not counted: both servers then find them in their prompt caches.

--record FILE keeps the rounds beside those of earlier runs, so that a measurement can be made in pieces: a call with
--clients 16 --rounds 1 takes about a minute. --rounds 0 prints what was recorded.
"""
import argparse
import json
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent / "tests" / "clients"))
from server import Server, free_port  # noqa: E402

FLAGS = ["-fa on", "-fa off", "-fa on --no-repack", "-fa on --kv-unified"]
NEAR_BEST = 0.9


def start_llama(binary, model, threads, clients, flags):
    port = free_port()
    process = subprocess.Popen([binary, "-m", model, "--port", str(port), "-t", str(threads), "-tb", str(threads), "--parallel",
                                str(clients), "-c", str(2048 * clients), "--no-webui", *flags.split()],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(600):
        if process.poll() is not None:
            break
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2)
            return process, port
        except OSError:
            time.sleep(0.1)
    raise SystemExit(f"error: llama-server did not start with {flags}")


def load(callie, port, prompts, clients, tokens):
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
        for prompt in prompts:
            file.write(json.dumps({"prompt": prompt}) + "\n")
        file.flush()
        done = subprocess.run([callie, "bench", "serve", "--url", f"http://127.0.0.1:{port}", "--prompts", file.name, "--clients",
                               str(clients), "--requests", str(len(prompts)), "-n", str(tokens), "--json"],
                              capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout)


def next_flags(rounds, choices):
    """A set of flags that has no round yet, else the one with the fewest among those near the best."""
    speeds = {flags: [r["llama-server"]["output_tok_s"] for r in rounds if r["flags"] == flags] for flags in choices}
    untried = [flags for flags in choices if not speeds[flags]]
    if untried:
        return untried[0]
    best = max(statistics.median(speeds[flags]) for flags in choices)
    near = [flags for flags in choices if statistics.median(speeds[flags]) >= NEAR_BEST * best]
    return min(near, key=lambda flags: len(speeds[flags]))


def measure_round(args, clients, flags, prompts, number):
    llama, llama_port = start_llama(args.llama_server, args.model, args.threads, clients, flags)
    try:
        with Server(args.callie, args.model, "--threads", str(args.threads), "--log-level", "warn") as callie:
            sides = {"callie": (callie.process.pid, callie.port), "llama-server": (llama.pid, llama_port)}
            for pid, _ in sides.values():
                os.kill(pid, signal.SIGSTOP)
            row = {"flags": flags, "repeat": args.repeat}
            for again in range(1 + args.repeat):
                for name in list(sides)[:: 1 if number % 2 == 0 else -1]:
                    pid, port = sides[name]
                    os.kill(pid, signal.SIGCONT)
                    row[name] = load(args.callie, port, prompts, clients, args.tokens)
                    os.kill(pid, signal.SIGSTOP)
                    if row[name]["failed"]:
                        raise SystemExit(f"error: {name}: {row[name]['failed']} requests failed")
            for pid, _ in sides.values():
                os.kill(pid, signal.SIGCONT)
            row["host_share"] = callie.metric("callie_host_seconds_total") / callie.metric("callie_step_seconds_total")
            return row
    finally:
        os.kill(llama.pid, signal.SIGCONT)
        llama.terminate()
        llama.wait()


def evaluate(clients, rounds):
    """The rounds with llama-server's best flags."""
    by_flags = {}
    for row in rounds:
        by_flags.setdefault(row["flags"], []).append(row)
    flags, best = max(by_flags.items(), key=lambda item: statistics.median(r["llama-server"]["output_tok_s"] for r in item[1]))
    speed = [row["callie"]["output_tok_s"] / row["llama-server"]["output_tok_s"] for row in best]
    wait = [row["callie"]["ttft_ms"]["p50"] / row["llama-server"]["ttft_ms"]["p50"] for row in best]
    out = {"clients": clients, "rounds": len(best), "flags": flags, "repeat": rounds[0]["repeat"],
           "speedup": statistics.median(speed), "speedup_range": [min(speed), max(speed)],
           "ttft_ratio": statistics.median(wait), "ttft_ratio_range": [min(wait), max(wait)],
           "host_share": statistics.median(row["host_share"] for row in best)}
    for name in ("callie", "llama-server"):
        out[name] = {"output_tok_s": statistics.median(row[name]["output_tok_s"] for row in best),
                     "ttft_ms_p50": statistics.median(row[name]["ttft_ms"]["p50"] for row in best)}
    return out


def table(results):
    lines = ["| clients | Callie output tok/s, TTFT p50 | llama-server | ratio of speeds | ratio of TTFT | host time | rounds |",
             "|---|---|---|---|---|---|---|"]
    for r in results:
        cells = [f"{r[name]['output_tok_s']:.0f}, {r[name]['ttft_ms_p50']:.0f} ms" for name in ("callie", "llama-server")]
        ratios = [f"{r[key]:.2f} ({r[key + '_range'][0]:.2f}–{r[key + '_range'][1]:.2f})" for key in ("speedup", "ttft_ratio")]
        lines.append(f"| {r['clients']}{' warm' if r['repeat'] else ''} | {cells[0]} | {cells[1]} (`{r['flags']}`) | {ratios[0]} | "
                     f"{ratios[1]} | {100 * r['host_share']:.1f} % | {r['rounds']} |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("callie")
    parser.add_argument("llama_server")
    parser.add_argument("model")
    parser.add_argument("--prompts", required=True)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--flags", nargs="+", default=FLAGS, help="sets of llama-server's flags")
    parser.add_argument("--repeat", action="store_true", help="every round sends the same prompts, after a load that is not counted")
    parser.add_argument("--record", metavar="FILE")
    parser.add_argument("--json")
    args = parser.parse_args()
    texts = [json.loads(line)["turns"][0] for line in open(args.prompts)]
    texts = [text for text in texts if len(text) < 2500]
    recorded = {}
    if args.record and os.path.exists(args.record):
        recorded = json.loads(pathlib.Path(args.record).read_text())
    for clients in args.clients if args.rounds else []:
        rounds = recorded.setdefault(f"{clients}{' warm' if args.repeat else ''}", [])
        for _ in range(args.rounds):
            number = len(rounds)
            requests = max(2, clients)
            first = 0 if args.repeat else number * requests
            prompts = [texts[(first + i) * 7 % len(texts)] for i in range(requests)]
            rounds.append(measure_round(args, clients, next_flags(rounds, args.flags), prompts, number))
            if args.record:
                pathlib.Path(args.record).write_text(json.dumps(recorded, indent=1) + "\n")
            print(table([evaluate(clients, rounds[-1:])]).splitlines()[-1], file=sys.stderr, flush=True)
    results = [evaluate(int(key.split()[0]), rounds) for key, rounds in recorded.items()]
    print(table(results))
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
