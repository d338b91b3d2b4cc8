#!/usr/bin/env python3
"""callie cloud and callie edge as real processes on this machine, with a delay between them.

  loopback.py CALLIE BIG SMALL --prompts FILE.jsonl[.gz] [--even] [--limit 2] [--rtt 0,20,50] [--modes sync,optimistic] [-n 128]
      [--netns] [--exits EXITS] [--record R.jsonl] [--seconds 75]

A user-space TCP proxy delays the bytes of each direction by half the round trip. Every answer is compared with
`callie run BIG`. The last line is machine-readable; its `worst_prediction_error_pct` compares with the closed forms from the times
that each session itself has measured, both sides at work on this machine. --netns puts the client into a network namespace of its own (root only),
joined by a veth pair, where the proxy stands at the border; bytes are then counted by the interface. --exits gives the server early
exits, and the modes hint and full something to do. --record and --seconds as in pair.py. --kill restarts the server with SIGKILL in the middle of the first
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

    def __init__(self, port, host="127.0.0.1"):
        super().__init__(daemon=True)
        self.host = host
        self.target, self.delay_s, self.port, self.bytes = port, 0.0, None, collections.Counter()
        self.ready = threading.Event()

    def run(self):
        asyncio.run(self.serve())

    async def serve(self):
        server = await asyncio.start_server(self.connect, self.host, 0)
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


class Namespace:
    """A network namespace for the client, joined to this one by a veth pair; TLS, since plain text is for loopback only."""

    OUTSIDE, INSIDE = "10.77.19.1", "10.77.19.2"

    def __init__(self, folder):
        self.name = f"callie-edge-{os.getpid()}"
        self.link = f"ce{os.getpid() % 100000}"
        ip = lambda *command: subprocess.run(["ip", *command], check=True, capture_output=True)
        ip("netns", "add", self.name)
        ip("link", "add", self.link, "type", "veth", "peer", "name", "device", "netns", self.name)
        ip("addr", "add", f"{self.OUTSIDE}/30", "dev", self.link)
        ip("link", "set", self.link, "up")
        ip("-n", self.name, "addr", "add", f"{self.INSIDE}/30", "dev", "device")
        for device in ("lo", "device"):
            ip("-n", self.name, "link", "set", device, "up")
        self.cert, self.key = os.path.join(folder, "cert.pem"), os.path.join(folder, "key.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=callie", "-addext",
                        f"subjectAltName=IP:{self.OUTSIDE}", "-keyout", self.key, "-out", self.cert], check=True, capture_output=True)

    def wrap(self, command):
        return ["ip", "netns", "exec", self.name] + command

    def bytes(self):
        out = subprocess.run(["ip", "-n", self.name, "-s", "-j", "link", "show", "device"], check=True, capture_output=True, text=True)
        stats = json.loads(out.stdout)[0]["stats64"]
        return stats["rx"]["bytes"] + stats["tx"]["bytes"]

    def close(self):
        subprocess.run(["ip", "netns", "del", self.name], check=False)


class Server:
    def __init__(self, callie, big, more):
        self.command, self.port, self.process = [callie, "cloud", big, "--threads", "1"] + more, 0, None

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


class Laboratory:
    """The server behind the proxy, and answers through them."""

    def __init__(self, a, folder):
        self.a = a
        self.space = Namespace(folder) if a.netns else None
        more = ["--exits", a.exits] if a.exits else []
        if self.space:
            more += ["--tls-cert", self.space.cert, "--tls-key", self.space.key]
        self.server = Server(a.callie, a.big, more)
        self.server.start()
        self.proxy = DelayProxy(self.server.port, self.space.OUTSIDE if self.space else "127.0.0.1")
        self.proxy.start()
        self.proxy.ready.wait()

    def run(self, command):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"{' '.join(command[:4])}: {done.stderr.strip()}")
        return json.loads(done.stdout)

    def options(self, each, n):
        text, raw = each
        return [text, "-n", str(n), "--temp", self.a.temp, "--threads", "1", "--json"] + (["--raw"] if raw else [])

    def plain(self, each):
        return self.run([self.a.callie, "run", self.a.big] + self.options(each, self.a.n))

    def counted(self):
        return self.space.bytes() if self.space else sum(self.proxy.bytes.values())

    def edge(self, each, mode, rtt, n):
        self.proxy.delay_s = rtt / 2000
        command = [self.a.callie, "edge", self.a.small, "--cloud", f"{self.proxy.host}:{self.proxy.port}", "--mode", mode]
        command += self.options(each, n)
        if self.space:
            command = self.space.wrap(command + ["--tls-ca", self.space.cert])
        before = self.counted()
        row = self.run(command)
        row["counted_bytes"] = self.counted() - before
        return row

    def close(self):
        self.server.stop()
        if self.space:
            self.space.close()


def summarize(rows, modes, rtts):
    """Figures of each mode and round trip over the answers that are there."""
    results, base = [], {}
    for rtt in rtts:
        for mode in modes:
            mine = [row for row in rows if row["mode"] == mode and row["rtt_ms"] == rtt]
            tokens = sum(r["tokens"] for r in mine)
            if not tokens:
                continue
            mean = lambda key: sum(r[key] * r["tokens"] for r in mine) / tokens
            ms = base[mode, rtt] = mean("ms_per_token")
            ratio = lambda other: round(base[other, rtt] / ms, 3) if (other, rtt) in base else None
            results.append({"mode": mode, "rtt_ms": rtt, "ms_per_token": ms, "clock": "real", "prompts": len(mine),
                            "tokens_equal": all(r["equal"] for r in mine), "vs_per_call": ratio("per_call"),
                            "vs_streaming": ratio("streaming"), "vs_sync_sd": ratio("sync"),
                            "acceptance_length": mean("acceptance_length"), "hint_hit_rate": mean("hint_hit_rate"),
                            "own_guess_hit_rate": mean("own_guess_hit_rate"),
                            "predicted_ms_per_token": mean("predicted_ms_per_token") if mode != "adaptive" else None,
                            "wire_bytes_per_token": sum(r["counted_bytes"] for r in mine) / tokens,
                            "server_busy_ms_per_token": mean("server_busy_ms_per_token"),
                            "reopened": sum(r["reopened"] for r in mine)})
    return results


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
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
    p.add_argument("--netns", action="store_true")
    p.add_argument("--exits")
    p.add_argument("--record")
    p.add_argument("--seconds", type=float, default=0)
    a = p.parse_args()
    begin = time.monotonic()
    chosen = prompts(a.prompts, a.even, a.limit)
    modes, rtts = a.modes.split(","), [float(x) for x in a.rtt.split(",")]
    setting = [a.prompts, a.n, a.temp, a.netns, bool(a.exits), a.kill]
    rows = []
    if a.record and os.path.exists(a.record):
        rows = [row for row in map(json.loads, open(a.record)) if row["setting"] == setting]
    there = {(row["prompt"], row["rtt_ms"], row["mode"]) for row in rows}
    missing = [(i, rtt, mode) for i in range(len(chosen)) for rtt in rtts for mode in modes if (i, rtt, mode) not in there]
    if missing:
        with tempfile.TemporaryDirectory() as folder:
            lab = Laboratory(a, folder)
            plain, opening, longest = {}, {}, 0.0
            while missing:
                start = time.monotonic()
                if a.seconds and longest and start - begin + 1.3 * longest > a.seconds:
                    break
                i, rtt, mode = missing.pop(0)
                if i not in plain:
                    plain[i] = lab.plain(chosen[i])
                    # What opening a session costs on the wire is not counted to the tokens.
                    opening[i] = 0 if a.kill else lab.edge(chosen[i], "streaming", 0, 1)["counted_bytes"]
                if a.kill:
                    killer = threading.Timer(2.0, lambda: (lab.server.stop(signal.SIGKILL), lab.server.start()))
                    killer.start()
                row = lab.edge(chosen[i], mode, rtt, a.n)
                if a.kill:
                    killer.join()
                row |= {"setting": setting, "prompt": i, "rtt_ms": rtt, "mode": mode, "tokens": row["completion_tokens"] - 1,
                        "counted_bytes": row["counted_bytes"] - opening[i],
                        "equal": row["token_ids"] == plain[i]["token_ids"] and row["logits_hash"] == plain[i]["logits_hash"]}
                rows.append(row)
                if a.record:
                    with open(a.record, "a") as file:
                        file.write(json.dumps(row) + "\n")
                longest = max(longest, time.monotonic() - start)
                print(f"prompt {i}, {mode} at {rtt:g} ms: {row['ms_per_token']:.1f} ms/token", file=sys.stderr)
            lab.close()
    results = summarize(rows, modes, rtts)
    errors = [r["ms_per_token"] / r["predicted_ms_per_token"] - 1 for r in results if r["predicted_ms_per_token"]]
    print(json.dumps({"check": "loopback", "prompts": len(chosen), "missing": len(missing), "netns": a.netns,
                      "tokens_equal": all(row["equal"] for row in rows), "kills": bool(a.kill),
                      "worst_prediction_error_pct": round(100 * max(errors, key=abs), 1) if errors else None,
                      "results": results}))
    return 0 if all(row["equal"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
