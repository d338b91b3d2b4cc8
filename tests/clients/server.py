"""Starts `callie serve` on a free port for a test and stops it again."""
import os
import signal
import socket
import subprocess
import time
import urllib.request


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    def __init__(self, callie, *arguments, log=None):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        out = open(log, "ab") if log else subprocess.DEVNULL
        self.process = subprocess.Popen([callie, "serve", *arguments, "--port", str(self.port)], stderr=out)
        for _ in range(600):
            if self.process.poll() is not None:
                raise SystemExit(f"callie serve ended with {self.process.returncode}")
            try:
                urllib.request.urlopen(self.url + "/health", timeout=5)
                return
            except OSError:
                time.sleep(0.1)
        raise SystemExit("callie serve did not start")

    def metric(self, name):
        """The sum of a metric over its labels."""
        text = urllib.request.urlopen(self.url + "/metrics", timeout=30).read().decode()
        found = [float(line.rsplit(" ", 1)[1]) for line in text.splitlines()
                 if line.startswith((name + " ", name + "{"))]
        assert found, f"no metric {name}"
        return sum(found)

    def blocks_when_idle(self, timeout_s=120):
        """KV blocks still used when nothing runs or waits any more, or when the time is over."""
        until = time.time() + timeout_s
        while self.metric("callie_batch") + self.metric("callie_queue") > 0 and time.time() < until:
            time.sleep(0.05)
        return self.metric("callie_kv_blocks_used")

    def rss_kib(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))

    def stop(self, how=signal.SIGTERM):
        if self.process.poll() is None:
            os.kill(self.process.pid, how)
        return self.process.wait(timeout=300)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
