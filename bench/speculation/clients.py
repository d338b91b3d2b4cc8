#!/usr/bin/env python3
"""Several clients of one `callie serve --draft` at once: same answers as alone, faster together, nobody waits.

  clients.py CALLIE BIG SMALL|ngram --prompts FILE.jsonl[.gz] [--clients 8] [-n 64] [--threads 2] [--repeat 3]

The same prompts one after the other with drafts; then, --repeat times in turn, all at once with drafts and all at once
without. A wait is the time between two pieces of one answer over the longest step of that phase; `draft_share` is the part of
the steps' time outside of the large model's passes. The closing line is machine-readable.
"""
import argparse
import http.client
import json
import os
import pathlib
import sys
import tempfile
import threading
import time

from compare import read_prompts, text_of

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent.parent / "tests" / "clients"))
from server import Server  # noqa: E402


def spread_prompts(path, n):
    rows = read_prompts(path)
    return [text_of(rows[i * len(rows) // n], True)[0] for i in range(n)]


def start(a, folder, draft):
    log = os.path.join(folder, f"steps-{draft or 'plain'}")
    server = Server(a.callie, a.big, "--threads", str(a.threads), "--max-seqs", str(a.clients), "--no-prefix-cache",
                    "--step-log", log, *(["--draft", draft] if draft else []))
    server.step_log = log
    return server


def steps_of(server):
    rows = [json.loads(line) for line in open(server.step_log)]
    return [row for row in rows if "step_us" in row]


def ask(port, prompt, n, out, i):
    connection = http.client.HTTPConnection("127.0.0.1", port)
    body = {"messages": [{"role": "user", "content": prompt}], "max_tokens": n, "temperature": 0, "stream": True,
            "stream_options": {"include_usage": True}}
    connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
    response = connection.getresponse()
    if response.status != 200:
        out[i] = {"error": response.read().decode()}
        return
    text, times, tokens = "", [], 0
    for raw in response:
        if not raw.startswith(b"data: {"):
            continue
        event = json.loads(raw[6:])
        tokens = (event.get("usage") or {}).get("completion_tokens", tokens)
        for choice in event.get("choices", []):
            piece = choice.get("delta", {}).get("content")
            if piece:
                text += piece
                times.append(time.monotonic())
    out[i] = {"text": text, "tokens": tokens, "gap_s": max((b - a for a, b in zip(times, times[1:])), default=0.0)}


def phase(server, prompts, n, together):
    out, begin = [None] * len(prompts), time.monotonic()
    threads = [threading.Thread(target=ask, args=(server.port, p, n, out, i)) for i, p in enumerate(prompts)]
    for thread in threads:
        thread.start()
        if not together:
            thread.join()
    for thread in threads:
        thread.join()
    failed = [row["error"] for row in out if "error" in row]
    if failed:
        sys.exit(failed[0])
    return out, sum(row["tokens"] for row in out) / (time.monotonic() - begin)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("callie")
    p.add_argument("big")
    p.add_argument("draft")
    p.add_argument("--prompts", required=True)
    p.add_argument("--clients", type=int, default=8)
    p.add_argument("-n", type=int, default=64)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--repeat", type=int, default=1)
    a = p.parse_args()
    prompts = spread_prompts(a.prompts, a.clients)
    rates, plain_rates, waits, steps = [], [], [], []
    equal = equal_to_plain = True
    with tempfile.TemporaryDirectory() as folder:
        server, plain_server = start(a, folder, a.draft), start(a, folder, None)
        solo, solo_rate = phase(server, prompts, a.n, False)
        time.sleep(1.5)  # the step log is written within a second
        for _ in range(a.repeat):
            before = len(steps_of(server))
            many, rate = phase(server, prompts, a.n, True)
            time.sleep(1.5)
            fresh = steps_of(server)[before:]
            plain, plain_rate = phase(plain_server, prompts, a.n, True)
            rates.append(rate)
            plain_rates.append(plain_rate)
            steps += fresh
            waits.append(max(row["gap_s"] for row in many) / (max(step["step_us"] for step in fresh) * 1e-6))
            equal &= [row["text"] for row in many] == [row["text"] for row in solo]
            equal_to_plain &= [row["text"] for row in many] == [row["text"] for row in plain]
        server.stop()
        plain_server.stop()
    mean = lambda values: sum(values) / len(values)
    result = {"check": "clients", "clients": a.clients, "equal": equal, "equal_to_plain": equal_to_plain,
              "one_at_a_time_tok_s": round(solo_rate, 1), "together_tok_s": [round(x, 1) for x in rates],
              "together_without_drafts_tok_s": [round(x, 1) for x in plain_rates], "gain": round(mean(rates) / solo_rate, 3),
              "vs_plain": round(mean(rates) / mean(plain_rates), 3), "longest_wait_passes": round(max(waits), 2),
              "draft_share": round(sum(s["host_us"] for s in steps) / sum(s["step_us"] for s in steps), 4),
              "drafted": sum(s["drafted"] for s in steps), "accepted": sum(s["accepted"] for s in steps)}
    print(json.dumps(result))
    return 0 if result["equal"] and result["equal_to_plain"] else 1


if __name__ == "__main__":
    sys.exit(main())
