#!/usr/bin/env python3
"""Many clients of every kind at once against one server: streams, whole answers, structured output, stored responses,
embeddings, clients that go away, half requests, metrics and steps read all the while, models that leave memory and come
back, and SIGTERM in the middle of it. Few tokens, so that it fits in a minute or two of a server built with a sanitizer:

    concurrency_test.py CALLIE MODEL [--clients 16] [--rounds 4] [--tokens 4]

What it is for is the server's own verdict: built with ThreadSanitizer or AddressSanitizer it ends with another exit code than
0 when there was a report, and its log is printed. In any build: healthy clients get the answers that they got when alone,
and SIGTERM ends it with 0.
"""
import argparse
import http.client
import json
import pathlib
import random
import socket
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "clients"))
from server import Server  # noqa: E402

TINY = [str(ROOT / "tests/golden/tiny" / name) for name in ("llama", "bert")]
SCHEMA = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"], "additionalProperties": False}


class Load:
    def __init__(self, port, model, tokens):
        self.port, self.model, self.tokens = port, model, tokens
        self.problems, self.done, self.stopping = [], {}, False
        self.lock = threading.Lock()

    def send(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        try:
            connection.request(method, path, None if body is None else json.dumps(body), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def chat_body(self, i, **fields):
        return {"model": self.model, "messages": [{"role": "user", "content": f"Count to {i % 5}."}], "max_tokens": self.tokens,
                "ignore_eos": True, "seed": i, "temperature": 0.8 if i % 2 else 0} | fields

    def whole(self, i):
        status, data = self.send("POST", "/v1/chat/completions", self.chat_body(i))
        assert status == 200, (status, data[:200])
        return json.loads(data)["choices"][0]["message"]["content"]

    def streamed(self, i):
        status, data = self.send("POST", "/v1/chat/completions", self.chat_body(i, stream=True))
        assert status == 200 and data.rstrip().endswith(b"[DONE]"), (status, data[-200:])
        events = [json.loads(line[6:]) for line in data.split(b"\n\n") if line.startswith(b"data: {")]
        return "".join(event["choices"][0]["delta"].get("content") or "" for event in events if event["choices"])

    def expect(self, method, path, body=None):
        status, data = self.send(method, path, body)
        assert status == 200, (path, status, data[:200])
        return data

    def structured(self, i):
        schema = {"type": "json_schema", "json_schema": {"name": "one", "strict": True, "schema": SCHEMA}}
        data = self.expect("POST", "/v1/chat/completions", self.chat_body(i, response_format=schema, max_tokens=16, ignore_eos=False))
        choice = json.loads(data)["choices"][0]
        assert choice["finish_reason"] != "stop" or isinstance(json.loads(choice["message"]["content"])["ok"], bool), choice

    def stored(self, i):
        made = json.loads(self.expect("POST", "/v1/responses", {"model": self.model, "input": f"Hi {i}", "max_output_tokens": self.tokens}))
        self.expect("POST", "/v1/responses", {"model": self.model, "input": "And?", "max_output_tokens": 2, "previous_response_id": made["id"]})
        self.expect("GET", "/v1/responses/" + made["id"])

    def others(self, i):
        """The small models beside the first: loaded when they are asked for, gone again after a second."""
        self.expect("POST", "/v1/completions", {"model": "llama", "prompt": "a" * (i % 40 + 1), "max_tokens": 24, "n": 3, "logprobs": 2})
        self.expect("POST", "/v1/embeddings", {"model": "bert", "input": ["a few", "words"] * 4})

    def look(self, _):
        for path in ("/metrics", "/debug/steps", "/v1/models", "/health"):
            self.expect("GET", path)

    def vanish(self, i):
        """Reads a little of a long stream, or nothing, and hangs up."""
        body = json.dumps(self.chat_body(i, stream=True, max_tokens=200)).encode()
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as client:
            client.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            if i % 3:
                client.recv(300)

    def half(self, i):
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as client:
            client.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{"[: 5 + i * 7 % 70])
            time.sleep(0.01)

    def run(self, number, rounds, alone):
        rng = random.Random(number)
        kinds = [self.structured, self.stored, self.others, self.look, self.vanish, self.vanish, self.half]
        for turn in range(rounds):
            i = (number + turn) % len(alone)
            for act in (self.whole if turn % 2 else self.streamed, rng.choice(kinds)):
                try:
                    text = act(i)
                    if text is not None and text != alone[i]:
                        self.problems.append(f"answer {i} is {text!r}, alone it was {alone[i]!r}")
                except Exception as problem:  # a client that the server lets down
                    if not self.stopping:
                        self.problems.append(f"{act.__name__}: {type(problem).__name__} {problem}")
                with self.lock:
                    self.done[act.__name__] = self.done.get(act.__name__, 0) + 1


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("callie")
    parser.add_argument("model")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=4)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        log = folder + "/server.log"
        server = Server(args.callie, args.model, *TINY, "--threads", "2", "--ctx", "512", "--max-seqs", "8", "--kv-memory", "24M",
                        "--idle-unload", "1", "--header-timeout", "5", "--drain", "0.1", "--request-log", folder + "/requests.jsonl",
                        "--step-log", folder + "/steps.jsonl", "--store", folder + "/store.db", log=log)
        load = Load(server.port, pathlib.Path(args.model).stem, args.tokens)
        try:
            alone = [load.whole(i) for i in range(10)]
            threads = [threading.Thread(target=load.run, args=(i, args.rounds, alone)) for i in range(args.clients)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            if used := server.blocks_when_idle():
                load.problems.append(f"{used} KV blocks are still used")
            # SIGTERM while all are busy.
            load.stopping = True
            threads = [threading.Thread(target=load.run, args=(i, 1, alone)) for i in range(args.clients)]
            for thread in threads:
                thread.start()
            time.sleep(0.3)
        finally:
            code = server.stop()
        for thread in threads:
            thread.join()
        if code != 0:
            load.problems.append(f"exit code {code}")
            print(pathlib.Path(log).read_text(errors="replace")[-20000:], file=sys.stderr)
    print(json.dumps({**load.done, "problems": load.problems[:10], "n_problems": len(load.problems)}))
    sys.exit(1 if load.problems else 0)


if __name__ == "__main__":
    main()
