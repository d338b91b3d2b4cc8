#!/usr/bin/env python3
"""`callie serve` beside llama.cpp's llama-server: the same model file, threads and load, in interleaved rounds.

    compare.py CALLIE LLAMA_SERVER MODEL.gguf --prompts spec-bench-question.jsonl [--clients 1 4 16] [--rounds 3]

Every round sends other prompts (`--repeat` sends the same ones again); each server runs alone and is stopped with
SIGSTOP while the other one is measured. Figures are medians over rounds.
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


def start_llama(binary, model, threads, clients):
    port = free_port()
    process = subprocess.Popen([binary, "-m", model, "--port", str(port), "-t", str(threads), "-tb", str(threads), "-fa", "on",
                                "--parallel", str(clients), "-c", str(2048 * clients), "--no-webui"],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(600):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2)
            return process, port
        except OSError:
            time.sleep(0.1)
    raise SystemExit("llama-server did not start")


def load(callie, port, prompts, clients, requests, tokens):
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
        for prompt in prompts:
            file.write(json.dumps({"prompt": prompt}) + "\n")
        file.flush()
        done = subprocess.run([callie, "bench", "serve", "--url", f"http://127.0.0.1:{port}", "--prompts", file.name, "--clients",
                               str(clients), "--requests", str(requests), "-n", str(tokens), "--json"], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout)


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
    parser.add_argument("--repeat", action="store_true", help="every round sends the same prompts, after one that is not counted")
    parser.add_argument("--json")
    args = parser.parse_args()
    texts = [json.loads(line)["turns"][0] for line in open(args.prompts)]
    texts = [text for text in texts if len(text) < 2500]
    report, used = [], 0
    for clients in args.clients:
        requests = max(2, clients)
        llama, llama_port = start_llama(args.llama_server, args.model, args.threads, clients)
        with Server(args.callie, args.model, "--threads", str(args.threads), "--log-level", "warn") as callie:
            os.kill(callie.process.pid, signal.SIGSTOP)
            os.kill(llama.pid, signal.SIGSTOP)
            sides = {"callie": (callie.process.pid, callie.port), "llama-server": (llama.pid, llama_port)}
            rounds = {name: [] for name in sides}
            for number in range(args.rounds + args.repeat):
                prompts = [texts[(used + i) * 7 % len(texts)] for i in range(requests)]
                if not args.repeat:
                    used += requests
                for name in list(sides)[:: 1 if number % 2 == 0 else -1]:
                    pid, port = sides[name]
                    os.kill(pid, signal.SIGCONT)
                    result = load(args.callie, port, prompts, clients, requests, args.tokens)
                    os.kill(pid, signal.SIGSTOP)
                    if number > 0 or not args.repeat:
                        rounds[name].append(result)
            os.kill(callie.process.pid, signal.SIGCONT)
            os.kill(llama.pid, signal.SIGCONT)
            row = {"clients": clients, "host_share": callie.metric("callie_host_seconds_total") / callie.metric("callie_step_seconds_total")}
            for name, results in rounds.items():
                row[name] = {"output_tok_s": statistics.median(r["output_tok_s"] for r in results),
                             "ttft_ms_p50": statistics.median(r["ttft_ms"]["p50"] for r in results),
                             "rounds": [round(r["output_tok_s"], 1) for r in results]}
            row["speedup"] = row["callie"]["output_tok_s"] / row["llama-server"]["output_tok_s"]
            row["ttft_ratio"] = row["callie"]["ttft_ms_p50"] / row["llama-server"]["ttft_ms_p50"]
            report.append(row)
            print(f"{clients:3} clients: callie {row['callie']['output_tok_s']:.1f} tok/s, TTFT {row['callie']['ttft_ms_p50']:.0f} ms; "
                  f"llama-server {row['llama-server']['output_tok_s']:.1f} tok/s, {row['llama-server']['ttft_ms_p50']:.0f} ms; "
                  f"speed x{row['speedup']:.2f}, TTFT x{row['ttft_ratio']:.2f}, host {100 * row['host_share']:.1f} %", flush=True)
        llama.terminate()
        llama.wait()
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
