#!/usr/bin/env python3
"""`callie serve` at saturation beside clients that misbehave: vanish in the middle of a stream, send half a request, trickle
bytes, send huge bodies, invalid UTF-8, deep nesting, noise, and hold thousands of connections.

    soak.py CALLIE MODEL [--seconds 600] [--connections 2000]

At the end: the server lives and stops with exit code 0, all KV blocks are free, memory is flat (within 3 % and 8 MiB over
the second half), and every answer to a healthy client is the one it got when it was alone.
"""
import argparse
import http.client
import json
import pathlib
import random
import resource
import socket
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent.parent / "tests" / "clients"))
from server import Server  # noqa: E402

PROMPTS = [f"Say something about {what}." for what in ("the sea", "old maps", "bread", "snow", "chess", "rivers", "clocks", "paper")]


def body(i, stream=False):
    out = {"messages": [{"role": "user", "content": PROMPTS[i % len(PROMPTS)]}], "max_tokens": 16 + i % 5, "ignore_eos": True,
           "seed": i, "temperature": 0.8 if i % 2 else 0, "stream": stream}
    return json.dumps(out).encode()


def post(port, data, path="/v1/chat/completions", timeout=300):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("POST", path, data, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def text_of(port, i):
    status, data = post(port, body(i))
    if status == 429:
        return None
    assert status == 200, (status, data[:200])
    return json.loads(data)["choices"][0]["message"]["content"]


def raw(port, data, read=0, pause=0.0):
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        client.sendall(data)
        if read:
            client.recv(read)
        time.sleep(pause)


def header(n):
    return f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {n}\r\n\r\n".encode()


def vanish(port, rng):
    data = body(rng.randrange(100), stream=True).replace(b'"max_tokens": 1', b'"max_tokens": 40')
    raw(port, header(len(data)) + data, read=rng.choice([0, 1, 400]))


def half(port, rng):
    data = body(1)
    raw(port, (header(len(data)) + data)[: rng.randrange(10, 150)], pause=rng.random() * 0.2)


def trickle(port, rng):
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        for byte in header(400)[: rng.randrange(20, 60)]:
            client.sendall(bytes([byte]))
            time.sleep(0.01)


def huge(port, rng):
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        try:
            client.sendall(header(64 << 20))
            for _ in range(64):
                client.sendall(b" " * (1 << 20))
        except OSError:
            return
        answer = client.recv(64)
        assert b" 413 " in answer, answer


def refused(data):
    def send(port, rng):
        status, answer = post(port, data)
        assert status == 400 and b'"error"' in answer, (status, answer[:200])
    return send


def noise(port, rng):
    raw(port, rng.randbytes(rng.randrange(1, 3000)), pause=0.02)


BAD_UTF8 = b'{"messages": [{"role": "user", "content": "\xff\xfe"}]}'
DEEP = b'{"messages": ' + b"[" * 200000 + b"]" * 200000 + b"}"
VILLAINS = [vanish, vanish, half, trickle, huge, refused(BAD_UTF8), refused(DEEP), refused(b'{"messages": [1]}'), refused(b"{"), noise]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("callie")
    parser.add_argument("model")
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--connections", type=int, default=2000)
    parser.add_argument("--healthy", type=int, default=8)
    parser.add_argument("--threads", default="0")
    args = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    problems = []
    with Server(args.callie, args.model, "--threads", args.threads, "--ctx", "512", "--max-seqs", "16", "--kv-memory", "64M",
                "--log-level", "off", "--header-timeout", "5") as server:
        alone = [text_of(server.port, i) for i in range(16)]
        until = [time.time() + args.seconds]
        counts, lock = {}, threading.Lock()

        def count(what):
            with lock:
                counts[what] = counts.get(what, 0) + 1

        def healthy(number):
            i = number
            while time.time() < until[0]:
                try:
                    text = text_of(server.port, i % 16)
                    if text is not None and text != alone[i % 16]:
                        problems.append(f"answer {i % 16} changed under load")
                    count("healthy")
                except Exception as problem:
                    problems.append(f"healthy client: {type(problem).__name__} {problem}")
                i += 7

        def villain(number):
            rng = random.Random(number)
            while time.time() < until[0]:
                act = rng.choice(VILLAINS)
                try:
                    act(server.port, rng)
                except (OSError, http.client.HTTPException):
                    pass  # the server may hang up on them
                except AssertionError as problem:
                    problems.append(f"{act}: {problem}")
                count("misbehaving")

        held = []

        def crowd():
            for _ in range(args.connections):
                try:
                    held.append(socket.create_connection(("127.0.0.1", server.port), timeout=10))
                except OSError as problem:
                    problems.append(f"connection {len(held)}: {problem}")
                    return

        threads = [threading.Thread(target=healthy, args=(i,)) for i in range(args.healthy)]
        threads += [threading.Thread(target=villain, args=(i,)) for i in range(6)] + [threading.Thread(target=crowd)]
        for thread in threads:
            thread.start()
        memory = []
        while time.time() < until[0]:
            pause, before = min(1.0, args.seconds / 20), time.time()
            time.sleep(pause)
            stood_still = time.time() - before - pause
            if stood_still > 5:  # the whole machine: that time does not count
                until[0] += stood_still
            memory.append(server.rss_kib())
        for thread in threads:
            thread.join()
        for client in held:
            client.close()
        if used := server.blocks_when_idle(30):
            problems.append(f"{used} KV blocks are still used")
        if [text_of(server.port, i) for i in range(16)] != alone:
            problems.append("answers after the load differ from those before it")
        half_way = max(memory[len(memory) // 4: len(memory) // 2] or memory)
        growth = max(memory[len(memory) // 2:]) - half_way
        if growth > max(0.03 * half_way, 8192):
            problems.append(f"memory grew by {growth} KiB over {half_way} KiB")
        code = server.stop()
        if code != 0:
            problems.append(f"exit code {code}")
    print(json.dumps({"seconds": args.seconds, **counts, "connections_held": len(held), "rss_mib_half": half_way // 1024,
                      "rss_mib_end": memory[-1] // 1024, "problems": problems[:10], "n_problems": len(problems)}, indent=2))
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
