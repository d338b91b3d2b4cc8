#!/usr/bin/env python3
"""callie cloud and callie edge as real processes on this machine, with a delay between them.

  loopback.py CALLIE BIG SMALL --prompts FILE.jsonl[.gz] [--even] [--limit 2] [--rtt 0,20,50] [--modes sync,optimistic] [-n 128]

A user-space TCP proxy delays the bytes of each direction by half the round trip. Every answer is compared with
`callie run BIG`. The last line is machine-readable. --kill restarts the server with SIGKILL in the middle of the first
answer of every mode and expects the identical text.
"""
import argparse
import asyncio
import collections
import gzip
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time


class DelayProxy(threading.Thread):
    """Forwards connections to `port`, each byte `delay_s` later; keeps the order and the bandwidth."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.target, self.delay_s, self.port, self.bytes = port, 0.0, None, collections.Counter()
        self.ready = threading.Event()

    def run(self):
        asyncio.run(self.serve())

    async def serve(self):
        server = await asyncio.start_server(self.connect, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self.ready.set()
        async with server:
            await server.serve_forever()

    async def connect(self, reader, writer):
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.close()
            return
        await asyncio.gather(self.pump(reader, up_writer, "up"), self.pump(up_reader, writer, "down"))

    async def pump(self, reader, writer, way):
        queue = asyncio.Queue()

        async def deliver():
            while True:
                due, data = await queue.get()
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                if not data:
                    break
                writer.write(data)
                await writer.drain()
            writer.close()

        async def take():
            while True:
                try:
                    data = await reader.read(65536)
                except OSError:
                    data = b""
                self.bytes[way] += len(data)
                queue.put_nowait((time.monotonic() + self.delay_s, data))
                if not data:
                    return

        try:
            await asyncio.gather(take(), deliver())
        except OSError:
            writer.close()


def prompts(path, even, limit):
    out = []
    for line in (gzip.open(path, "rt") if path.endswith(".gz") else open(path)):
        row = json.loads(line)
        if even and int(row["task_id"].split("/")[-1]) % 2:
            continue
        raw = "prompt" in row
        out.append((row["prompt"] if raw else row["turns"][0] if "turns" in row else row["question"], raw))
        if len(out) == limit:
            break
    return out


class Server:
    def __init__(self, callie, big):
        self.command, self.port, self.process = [callie, "cloud", big, "--threads", "1"], 0, None

    def start(self):
        log = tempfile.NamedTemporaryFile("w+", delete=False)
        self.process = subprocess.Popen(self.command + ["--listen", f"127.0.0.1:{self.port}"], stderr=log)
        while True:
            text = open(log.name).read()
            if "listening on" in text:
                break
            if self.process.poll() is not None:
                sys.exit(text)
            time.sleep(0.05)
        os.unlink(log.name)
        self.port = int(text.split("listening on ")[1].split()[0].rsplit(":", 1)[1])

    def stop(self, sig=signal.SIGTERM):
        self.process.send_signal(sig)
        self.process.wait()


def main():
    p = argparse.ArgumentParser()
    p.add_argument("callie")
    p.add_argument("big")
    p.add_argument("small")
    p.add_argument("--prompts", required=True)
    p.add_argument("--even", action="store_true")
    p.add_argument("--limit", type=int, default=2)
    p.add_argument("--rtt", default="0,20,50")
    p.add_argument("--modes", default="per_call,streaming,sync,own_guess,optimistic,adaptive")
    p.add_argument("-n", type=int, default=128)
    p.add_argument("--temp", default="0")
    p.add_argument("--kill", action="store_true")
    a = p.parse_args()
    run = lambda command: json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    chosen = prompts(a.prompts, a.even, a.limit)
    options = lambda text, raw: [text, "-n", str(a.n), "--temp", a.temp, "--threads", "1", "--json"] + (["--raw"] if raw else [])
    plain = [run([a.callie, "run", a.big] + options(*each)) for each in chosen]
    server = Server(a.callie, a.big)
    server.start()
    proxy = DelayProxy(server.port)
    proxy.start()
    proxy.ready.wait()
    results, equal = [], True
    for rtt in [float(x) for x in a.rtt.split(",")]:
        proxy.delay_s = rtt / 2000
        base = {}
        for mode in a.modes.split(","):
            rows, before = [], sum(proxy.bytes.values())
            for i, each in enumerate(chosen):
                if a.kill and i == 0:
                    killer = threading.Timer(2.0, lambda: (server.stop(signal.SIGKILL), server.start()))
                    killer.start()
                row = run([a.callie, "edge", a.small, "--cloud", f"127.0.0.1:{proxy.port}", "--mode", mode] + options(*each))
                if a.kill and i == 0:
                    killer.join()
                same = row["token_ids"] == plain[i]["token_ids"] and row["logits_hash"] == plain[i]["logits_hash"]
                equal &= same
                rows.append(row)
            tokens = sum(r["completion_tokens"] - 1 for r in rows)
            ms = sum(r["ms_per_token"] * (r["completion_tokens"] - 1) for r in rows) / tokens
            base[mode] = ms
            results.append({"mode": mode, "rtt_ms": rtt, "ms_per_token": ms, "clock": "real", "tokens_equal": equal,
                            "vs_per_call": base.get("per_call", 0) / ms, "vs_streaming": base.get("streaming", 0) / ms,
                            "vs_sync_sd": base.get("sync", 0) / ms,
                            "acceptance_length": sum(r["acceptance_length"] for r in rows) / len(rows),
                            "wire_bytes_per_token": (sum(proxy.bytes.values()) - before) / tokens,
                            "server_busy_ms_per_token": sum(r["server_busy_ms_per_token"] for r in rows) / len(rows),
                            "reopened": sum(r["reopened"] for r in rows)})
            print(json.dumps(results[-1]), file=sys.stderr)
    server.stop()
    print(json.dumps({"check": "loopback", "prompts": len(chosen), "tokens_equal": equal, "kills": bool(a.kill), "results": results}))


if __name__ == "__main__":
    main()
