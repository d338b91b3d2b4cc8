#!/usr/bin/env python3
"""Exactness under load: 64 concurrent mixed requests (Spec-Bench prompts, other lengths, greedy and seeded, every sampling
setting, log-probabilities, several choices, a JSON schema) give the bytes that each gets alone: beside clients that go away in
the middle of theirs, with and without prefix cache, with blocks so few that requests are preempted, and after kill -9 in the
middle of the load and a restart on the same response store.

    exact.py CALLIE MODEL [--prompts spec-bench-question.jsonl] [--requests 64] [--kv-memory 22M]

The last line is JSON; exit code 0 when all answers are equal, batches of 8 and 20 preemptions were reached in each round,
and the store survived.
"""
import argparse
import concurrent.futures
import json
import pathlib
import signal
import sqlite3
import sys
import tempfile
import threading
import time
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent.parent / "tests" / "clients"))
from server import Server  # noqa: E402


def post(server, body, path="/v1/chat/completions"):
    request = urllib.request.Request(server.url + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
    return json.loads(urllib.request.urlopen(request, timeout=600).read())


# What requests ask of the sampler, by turns.
SAMPLERS = [
    {"temperature": 0},
    {"temperature": 0.9},
    {"temperature": 0, "logprobs": True, "top_logprobs": 3},
    {"temperature": 0.8, "top_k": 5},
    {"temperature": 1.3, "top_p": 0.6},
    {"temperature": 1.1, "min_p": 0.2, "top_k": 0, "top_p": 1},
    {"temperature": 0, "repeat_penalty": 1.3},
    {"temperature": 0.7, "presence_penalty": 0.8, "frequency_penalty": 0.4},
    {"temperature": 0, "logit_bias": {"30": 4, "260": -6}},
    {"temperature": 0.9, "n": 3},
    {"temperature": 0, "stop": [" the", "."]},
    {"temperature": 0.6, "response_format": {"type": "json_schema", "json_schema": {"name": "word", "strict": True, "schema": {
        "type": "object", "properties": {"word": {"type": "string", "maxLength": 12}, "n": {"type": "integer"}},
        "required": ["word", "n"], "additionalProperties": False}}}},
]


def bodies_of(path, n):
    texts = [f"Tell me fact number {i} about {'the sea' if i % 2 else 'old maps'}." * (1 + i % 4) for i in range(n)]
    if path:
        found = [json.loads(line)["turns"][0] for line in open(path)]
        found = [text for text in found if len(text) < 200]
        texts = [found[i * len(found) // n] for i in range(n)]
    return [{"messages": [{"role": "user", "content": text}], "max_tokens": 36 + i % 5 * 8, "seed": i,
             "ignore_eos": "response_format" not in SAMPLERS[i % len(SAMPLERS)]} | SAMPLERS[i % len(SAMPLERS)]
            for i, text in enumerate(texts)]


def content(server, body):
    """All that the request decides: texts, finish reasons, log-probabilities."""
    return post(server, body)["choices"]


def leave(server, body):
    """Reads the beginning of a long stream and goes away."""
    request = urllib.request.Request(server.url + "/v1/chat/completions", json.dumps(body | {"stream": True, "max_tokens": 150}).encode(),
                                     {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=600) as answer:
        answer.read(200)


def together(server, bodies):
    """The answers, beside one client for every fourth that goes away."""
    with concurrent.futures.ThreadPoolExecutor(2 * len(bodies)) as pool:
        company = [pool.submit(leave, server, body) for body in bodies[::4]]
        answers = list(pool.map(lambda body: content(server, body), bodies))
        for one in company:
            one.result()
        return answers


def steps_of(path):
    steps = [json.loads(line) for line in open(path)][1:]
    return {"preemptions": sum(step["preempted"] for step in steps), "largest_batch": max(step["n_decode"] for step in steps)}


def killed_in_the_middle(server, bodies):
    """Sends all, and kills the server once half a second of work has been done. Nobody gets an answer then."""
    def one(body):
        try:
            content(server, body)
        except OSError:
            pass
    threads = [threading.Thread(target=one, args=(body | {"max_tokens": 200},)) for body in bodies]
    for thread in threads:
        thread.start()
    before = server.metric("callie_steps_total")
    while server.metric("callie_steps_total") < before + 5:
        time.sleep(0.01)
    code = server.stop(signal.SIGKILL)
    for thread in threads:
        thread.join()
    return code


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("callie")
    parser.add_argument("model")
    parser.add_argument("--prompts")
    parser.add_argument("--requests", type=int, default=64)
    parser.add_argument("--kv-memory", default="22M", help="so little that requests are preempted")
    parser.add_argument("--threads", default="1")
    args = parser.parse_args()
    bodies = bodies_of(args.prompts, args.requests)
    common = [args.model, "--threads", args.threads, "--log-level", "error"]
    rounds, problems = {}, []
    with tempfile.TemporaryDirectory() as folder:
        store, log = folder + "/responses.db", folder + "/steps.jsonl"
        tight = common + ["--ctx", "256", "--kv-memory", args.kv_memory, "--max-seqs", "24", "--step-log", log, "--store", store]
        with Server(args.callie, *common) as server:
            alone = [content(server, body) for body in bodies]

        def load(name, *flags):
            server = Server(args.callie, *tight, *flags)
            try:
                answers = together(server, bodies)
            except BaseException:
                server.stop()
                raise
            while server.metric("callie_batch") + server.metric("callie_queue"):
                time.sleep(0.05)  # those who went away
            rounds[name] = {"different": sum(a != b for a, b in zip(answers, alone)), "cancelled": server.metric("callie_answers_cancelled_total"),
                            "blocks_left": server.metric("callie_kv_blocks_used")}
            return server

        with load("prefix cache"):
            pass
        rounds["prefix cache"] |= steps_of(log)
        with load("no prefix cache", "--no-prefix-cache"):
            pass
        rounds["no prefix cache"] |= steps_of(log)
        server = Server(args.callie, *tight)
        kept = post(server, {"input": "Remember this.", "max_output_tokens": 8, "temperature": 0}, "/v1/responses")
        code = killed_in_the_middle(server, bodies)
        if code != -signal.SIGKILL:
            problems.append(f"the killed server ended with {code}")
        server = load("after kill -9")
        found = json.loads(urllib.request.urlopen(f"{server.url}/v1/responses/{kept['id']}").read())
        if found != kept:
            problems.append("the stored response changed")
        code = server.stop()
        if code != 0:
            problems.append(f"exit code {code}")
        rounds["after kill -9"] |= steps_of(log)
        whole = sqlite3.connect(store).execute("PRAGMA integrity_check").fetchone()[0]
        if whole != "ok":
            problems.append(f"the store: {whole}")
    enough = args.requests >= 64
    for name, found in rounds.items():
        if found["different"] or found["blocks_left"]:
            problems.append(f"{name}: {found}")
        if enough and (found["preemptions"] < 20 or found["largest_batch"] < 8):
            problems.append(f"{name}: too little pressure: {found}")
    print(json.dumps({"requests": args.requests, "rounds": rounds, "problems": problems}))
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
