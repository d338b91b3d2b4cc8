#!/usr/bin/env python3
"""The command as its users meet it: JSON fields, exit codes, error lines, downloads, interruption, a full disk.

  commands_test.py CALLIE [unittest arguments]
Only the standard library. Tests that need SmolLM2 are skipped where CALLIE_MODELS and the cache do not have it.
"""
import hashlib
import http.server
import json
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
TINY = ROOT / "tests/golden/tiny/llama"
VOCAB = ROOT / "tests/golden/tokenizers/gpt2/vocab.gguf"
CALLIE = ""


def smollm2():
    for folder in (os.environ.get("CALLIE_MODELS"), os.path.expanduser("~/.cache/callie/models")):
        if folder and os.path.exists(folder + "/smollm2-135m.gguf"):
            return folder + "/smollm2-135m.gguf"
    return None


class Command(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="callie-cli-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.env = os.environ | {"XDG_CACHE_HOME": str(self.folder / "cache"), "HOME": str(self.folder)}
        self.env.pop("CALLIE_MODELS", None)

    def callie(self, *args, env=None, **kwargs):
        return subprocess.run([CALLIE, *map(str, args)], capture_output=True, env=self.env | (env or {}), timeout=120,
                              stdin=subprocess.DEVNULL, **kwargs)

    def ok(self, *args, **kwargs):
        done = self.callie(*args, **kwargs)
        self.assertEqual(done.returncode, 0, done.stderr.decode(errors="replace"))
        return done.stdout

    def as_json(self, *args, **kwargs):
        return json.loads(self.ok(*args, "--json", **kwargs))

    def fails(self, *args, code=1, names=(), **kwargs):
        done = self.callie(*args, **kwargs)
        text = done.stderr.decode(errors="replace")
        self.assertEqual(done.returncode, code, text)
        self.assertEqual(done.stdout, b"", done.stdout[:200])
        errors = [line for line in text.splitlines() if line.startswith("error:")]
        self.assertEqual(len(errors), 1, text)
        for name in names:
            self.assertIn(str(name), errors[0])
        return errors[0]

    def file(self, name, content):
        path = self.folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path


class Run(Command):
    def test_json_fields_and_one_seed_one_text(self):
        a = self.as_json("run", TINY, "-p", "a b c", "-n", "8", "--seed", "5", "--raw", "--ignore-eos", "--threads", "1")
        for key, kind in {"text": str, "token_ids": list, "prompt_tokens": int, "completion_tokens": int, "finish_reason": str,
                          "prompt_tok_s": (int, float), "decode_tok_s": (int, float), "load_s": (int, float),
                          "logits_hash": str}.items():
            self.assertIsInstance(a[key], kind, key)
        self.assertEqual(a["completion_tokens"], len(a["token_ids"]))
        self.assertEqual(a["finish_reason"], "length")
        for threads in ("2", "3"):
            b = self.as_json("run", TINY, "a b c", "-n", "8", "--seed", "5", "--raw", "--ignore-eos", "--threads", threads)
            self.assertEqual((a["token_ids"], a["logits_hash"]), (b["token_ids"], b["logits_hash"]))

    def test_a_full_context_is_announced(self):
        done = self.callie("run", TINY, "a b c", "-n", "500", "--ctx", "32", "--raw", "--ignore-eos")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(b"context of 32 tokens is full", done.stderr)
        self.fails("run", TINY, "a b c " * 40, "--ctx", "16", "--raw", names=["context"])

    def test_usage_errors_are_2(self):
        self.fails("run", TINY, "x", "--temp", "warm", code=2)
        self.fails("run", TINY, "x", "--no-such-flag", code=2)
        self.fails("run", TINY, "x", "-n", "0", code=2)
        self.fails("run", TINY, "x", "--json-schema", "a", "--grammar", "b", code=2)
        self.fails("frobnicate", code=2)
        self.fails("run", TINY, "--json", code=2)

    def test_bad_constraints_name_the_file(self):
        schema = self.file("schema.json", '{"type": "object",')
        self.fails("run", TINY, "x", "--json-schema", schema, names=[schema])
        grammar = self.file("g.lark", "start: (")
        self.fails("run", TINY, "x", "--grammar", grammar, names=[grammar])
        self.fails("run", TINY, "x", "--grammar", self.folder / "none", names=[self.folder / "none"])

    def test_help_is_quick(self):
        best = 1.0
        for _ in range(5):
            start = time.monotonic()
            self.assertIn(b"run", self.ok("--help"))
            best = min(best, time.monotonic() - start)
        print(f"callie --help: {1000 * best:.0f} ms", file=sys.stderr)

    def test_ctrl_c_is_130(self):
        child = subprocess.Popen([CALLIE, "run", str(TINY), "a b", "-n", "1000000000", "--raw", "--ignore-eos", "--ctx",
                                  "100000000"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.env)
        first = child.stdout.read(1)
        child.send_signal(signal.SIGINT)
        _, stderr = child.communicate(timeout=60)
        if child.returncode == 1 and not first:
            self.skipTest("the tiny model has no context that long: " + stderr.decode()[:100])
        self.assertIn(child.returncode, (0, 130), stderr)


@unittest.skipUnless(smollm2(), "smollm2-135m is not here (CALLIE_MODELS or the cache)")
class RealModel(Command):
    def test_constraints_hold(self):
        schema = self.file("s.json", json.dumps({"type": "object", "additionalProperties": False, "required": ["name", "n"],
                                                 "properties": {"name": {"enum": ["Ann", "Bo"]}, "n": {"type": "integer",
                                                                "minimum": 0, "maximum": 9}}}))
        out = self.as_json("run", smollm2(), "Give me a name and a number.", "-n", "64", "--json-schema", schema)
        value = json.loads(out["text"])
        self.assertIn(value["name"], ("Ann", "Bo"))
        self.assertIn(value["n"], range(10))
        grammar = self.file("g.lark", 'start: "yes" | "no"')
        out = self.as_json("run", smollm2(), "Is the sky blue?", "--grammar", grammar)
        self.assertIn(out["text"], ("yes", "no"))
        self.assertEqual(out["finish_reason"], "stop")

    def test_missing_bytes_are_named(self):
        missing = [0x16, 0xc0, 0xff]  # three of the 21 bytes that SmolLM2 has no token for
        for byte in missing:
            text = self.file("t.txt", b"ab" + bytes([byte]) + b"cd")
            self.fails("tokenize", smollm2(), "--file", text, names=[text, str(byte)])
        text = self.file("t.txt", b"ab" + bytes(missing) + b"cd")
        ids = self.as_json("tokenize", smollm2(), "--file", text, "--lossy")["ids"]
        back = self.ok("tokenize", smollm2(), "--decode", "--file", self.file("ids.json", json.dumps(ids)))
        self.assertEqual(back, b"abcd")

    def test_special_tokens_only_when_asked(self):
        text = self.file("t.txt", "<|im_start|>user")
        self.assertGreater(len(self.as_json("tokenize", smollm2(), "--file", text)["ids"]), 2)
        self.assertEqual(len(self.as_json("tokenize", smollm2(), "--file", text, "--special")["ids"]), 2)

    def test_perplexity(self):
        slices = ROOT / "tests/golden/slices/gsm8k.jsonl"
        out = self.as_json("eval", "ppl", smollm2(), "--file", slices, "--ctx", "256")
        self.assertGreater(out["ppl"], 1)
        self.assertLess(out["ppl"], 60)
        for key in ("ppl", "nll", "stderr", "tokens"):
            self.assertIn(key, out)

    def test_the_packed_cache_is_written_listed_cleared_and_never_half_there(self):
        self.as_json("run", smollm2(), "x", "-n", "1")
        packed = self.as_json("models")["packed_cache"]
        self.assertEqual(len(packed["files"]), 1)
        # A full disk while packing: nothing is left, the answer comes all the same.
        self.assertGreater(self.as_json("models", "--clear-cache")["packed_cache"]["freed_bytes"], 50e6)
        limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
        out = self.callie("run", smollm2(), "x", "-n", "1", "--json", preexec_fn=limit)
        self.assertEqual(out.returncode, 0, out.stderr)
        self.assertEqual(json.loads(out.stdout)["completion_tokens"], 1)
        self.assertEqual(self.as_json("models")["packed_cache"]["files"], [])
        left = [p for p in (self.folder / "cache").rglob("*") if p.is_file() and p.stat().st_size > 0]
        self.assertEqual(left, [])

    def test_ctrl_c_during_an_answer_and_while_packing(self):
        for wait_for_text in (True, False):
            child = subprocess.Popen([CALLIE, "run", smollm2(), "Tell a long story.", "-n", "4000", "--ignore-eos"],
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.env)
            if wait_for_text:
                child.stdout.read(1)
            else:
                time.sleep(0.1)
            child.send_signal(signal.SIGINT)
            _, stderr = child.communicate(timeout=60)
            self.assertIn(child.returncode, (130, -signal.SIGINT) if not wait_for_text else (130,), stderr)
            self.assertNotIn(b"error:", stderr)
        self.as_json("run", smollm2(), "x", "-n", "1")  # whatever was left behind does not matter


class Tokenize(Command):
    def test_decode_gives_back_the_bytes(self):
        raw = bytes(range(256)) + "é漢😀 \r\n\t".encode() + b"\xff\xfe"
        ids = self.as_json("tokenize", VOCAB, "--file", self.file("t.bin", raw))
        self.assertEqual(ids["count"], len(ids["ids"]))
        self.assertEqual(self.ok("tokenize", VOCAB, "--decode", "--file", self.file("i.json", json.dumps(ids["ids"]))), raw)

    def test_bad_ids_are_named(self):
        self.fails("tokenize", VOCAB, "--decode", "--file", self.file("i.json", "[1, 99999999]"), names=["i.json", "99999999"])
        self.fails("tokenize", VOCAB, "--decode", "--file", self.file("j.json", "[1, \"x\"]"), names=["j.json", "1"])
        self.fails("tokenize", VOCAB, "--decode", "--file", self.file("k.json", "[1,"), names=["k.json"])
        self.fails("tokenize", VOCAB, "--file", self.folder / "none", names=["none"])


class BadModels(Command):
    def test_broken_files_give_one_line_that_names_them(self):
        good = VOCAB.read_bytes()
        for name, content in {"empty": b"", "magic": b"GGUX" + good[4:], "version": good[:4] + b"\x63" + good[5:],
                              "header": good[:20], "cut": good[:len(good) // 2],
                              "huge": good[:8] + b"\xff" * 8 + good[16:]}.items():
            path = self.file(name + ".gguf", content)
            for verb in (["inspect", path], ["run", path, "x"], ["tokenize", path, "--file", VOCAB], ["bench", path],
                         ["eval", "ppl", path, "--file", __file__]):
                self.fails(*verb, names=[path])

    def test_flipped_bits_never_crash(self):
        good = VOCAB.read_bytes()
        for at in range(0, 600, 23):
            path = self.file("flipped.gguf", good[:at] + bytes([good[at] ^ (1 << at % 8)]) + good[at + 1:])
            done = self.callie("inspect", path)
            self.assertIn(done.returncode, (0, 1), (at, done.stderr))

    def test_a_vocabulary_is_no_model(self):
        self.fails("run", VOCAB, "x", names=[VOCAB])

    def test_folders(self):
        copy = self.folder / "model"
        shutil.copytree(TINY, copy)
        (copy / "config.json").write_text((copy / "config.json").read_text().replace("hidden_size", "hidden_sise"))
        self.fails("run", copy, "x", names=[copy, "hidden_size"])
        shutil.copy(TINY / "config.json", copy / "config.json")
        weights = (copy / "model.safetensors").read_bytes()
        (copy / "model.safetensors").write_bytes(weights[:-100])
        self.fails("run", copy, "x", names=["model.safetensors"])
        (copy / "model.safetensors").write_bytes(weights)
        (copy / "tokenizer.json").write_text("{")
        self.fails("run", copy, "x", names=["tokenizer.json"])
        self.fails("run", self.folder / "nothing", "x", names=["nothing"])

    def test_inspect(self):
        out = self.as_json("inspect", TINY)
        self.assertEqual(out["kind"], "huggingface")
        self.assertGreater(out["bits_per_weight"], 15)
        self.assertTrue(any(t["name"].endswith("embed_tokens.weight") for t in out["tensors"]))
        self.assertIn(b"tokenizer.ggml.model", self.ok("inspect", VOCAB))


class Server(http.server.BaseHTTPRequestHandler):
    """Serves `content` with ranges; the first `cuts` answers end after a third of what is left."""
    content, cuts, requests = b"", 0, []

    def do_GET(self):
        Server.requests.append((self.path, self.headers.get("Range")))
        if "redirect" in self.path:
            self.send_response(302)
            self.send_header("Location", "/files/model.gguf")
            self.end_headers()
            return
        if "model" not in self.path:
            self.send_error(404)
            return
        begin = 0
        if self.headers.get("Range"):
            begin = int(self.headers["Range"].split("=")[1].split("-")[0])
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {begin}-{len(self.content) - 1}/{len(self.content)}")
        else:
            self.send_response(200)
        rest = self.content[begin:]
        self.send_header("Content-Length", str(len(rest)))
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", '"1"')
        self.end_headers()
        if Server.cuts > 0:
            Server.cuts -= 1
            rest = rest[:len(rest) // 3]
            self.close_connection = True
        try:
            for at in range(0, len(rest), 1 << 15):
                self.wfile.write(rest[at:at + (1 << 15)])
                if Server.slow:
                    time.sleep(0.05)
        except (BrokenPipeError, ConnectionResetError):
            pass

    slow = False

    def log_message(self, *_):
        pass


class Pull(Command):
    def setUp(self):
        super().setUp()
        Server.content, Server.cuts, Server.requests, Server.slow = VOCAB.read_bytes() + bytes(1 << 20), 0, [], False
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)
        self.base = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.digest = hashlib.sha256(Server.content).hexdigest()

    def files(self):
        return [p for p in (self.folder / "cache").rglob("*") if p.is_file()]

    def test_url_redirect_and_cut_connections(self):
        Server.cuts = 2
        out = self.as_json("pull", self.base + "/redirect", "--sha256", self.digest)
        self.assertEqual(pathlib.Path(out["path"]).read_bytes(), Server.content)
        self.assertEqual(out["bytes"], len(Server.content))
        self.assertTrue(any(r for _, r in Server.requests), "no range was asked for after a cut")

    def test_the_hub(self):
        out = self.as_json("pull", "hf:owner/repo/model.gguf", env={"HF_ENDPOINT": self.base})
        self.assertEqual(pathlib.Path(out["path"]).read_bytes(), Server.content)
        self.assertIn("/owner/repo/resolve/main/model.gguf", Server.requests[0][0])
        again = self.as_json("pull", "hf:owner/repo/model.gguf", env={"HF_ENDPOINT": "http://127.0.0.1:1"})
        self.assertTrue(again["was_present"])

    def test_errors(self):
        self.fails("pull", self.base + "/absent.gguf", names=["absent.gguf", "404"])
        self.fails("pull", self.base + "/model.gguf", "--sha256", "0" * 64, names=["sha256"])
        self.assertEqual([p for p in self.files() if p.suffix == ".gguf"], [])
        self.fails("pull", "no-such-model", names=["no-such-model", "smollm2-135m"])
        self.fails("pull", "hf:owner", names=["hf:owner"])
        self.fails("pull", self.base + "/model.gguf", "--sha256", "12", code=2)

    def test_ctrl_c_leaves_something_resumable(self):
        Server.slow = True
        child = subprocess.Popen([CALLIE, "pull", self.base + "/model.gguf"], stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, env=self.env)
        deadline = time.monotonic() + 30
        while not Server.requests and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(0.5)
        child.send_signal(signal.SIGINT)
        _, stderr = child.communicate(timeout=60)
        self.assertEqual(child.returncode, 130, stderr)
        self.assertEqual([p for p in self.files() if p.suffix == ".gguf"], [])
        Server.slow, Server.requests = False, []
        out = self.as_json("pull", self.base + "/model.gguf")
        self.assertEqual(pathlib.Path(out["path"]).read_bytes(), Server.content)
        self.assertTrue(Server.requests[0][1], "the second pull began anew")

    def test_a_full_disk_leaves_something_resumable(self):
        limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (300000, 300000))
        self.fails("pull", self.base + "/model.gguf", names=["model.gguf"], preexec_fn=limit)
        self.assertEqual([p for p in self.files() if p.suffix == ".gguf"], [])
        out = self.as_json("pull", self.base + "/model.gguf")
        self.assertEqual(pathlib.Path(out["path"]).read_bytes(), Server.content)


class Models(Command):
    def test_catalogue(self):
        out = self.as_json("models")
        self.assertIn("smollm2-135m", [m["name"] for m in out["catalogue"]])
        self.assertIn(b"smollm2-135m", self.ok("models"))
        self.fails("models", "--remove", "no-such-model", names=["no-such-model"])


class Embed(Command):
    def test_vectors_have_length_one(self):
        out = self.as_json("embed", ROOT / "tests/golden/tiny/bert", "a b", "c")
        self.assertEqual(len(out), 2)
        for one in out:
            self.assertAlmostEqual(sum(x * x for x in one["embedding"]), 1, places=4)
        self.fails("embed", ROOT / "tests/golden/tiny/bert", code=2)
        self.fails("embed", TINY, "x", names=[TINY])


class EdgeCloud(Command):
    KEYS = {"mode", "rtt_ms", "ms_per_token", "vs_per_call", "vs_streaming", "vs_sync_sd", "acceptance_length", "hint_hit_rate",
            "own_guess_hit_rate", "optimistic_hit_rate", "wire_bytes_per_token", "server_busy_ms_per_token", "tokens_equal",
            "predicted_ms_per_token", "clock"}

    def test_the_laboratory_on_both_clocks(self):
        prompts = self.file("prompts.jsonl", '{"prompt": "a b c"}\n')
        out = self.as_json("bench", "edge", TINY, TINY, "--prompts", prompts, "--rtt", "10", "-n", "12", "--ctx", "64", "--ignore-eos",
                           "--modes", "streaming,sync,adaptive", "--clock", "both", "--report", self.folder / "r.html")
        rows = out["results"]
        self.assertEqual([row["clock"] for row in rows], ["virtual"] * 3 + ["real"] * 3)
        for row in rows:
            self.assertLessEqual(self.KEYS, set(row))
            self.assertTrue(row["tokens_equal"], row)
            self.assertEqual(row["predicted_ms_per_token"] is None, row["mode"] == "adaptive", row)
            self.assertEqual(row["tokens"], 11, row)
        self.assertIn(b"real processes", (self.folder / "r.html").read_bytes())

    def test_errors(self):
        self.fails("cloud", TINY, "--listen", "0.0.0.0:0", code=2, names=["--listen"])
        self.fails("edge", TINY, "--cloud", "192.0.2.1:1", "x", code=2, names=["--cloud"])
        for address in ("localhost", "127.0.0.1:99999", "127.0.0.1:", ":1"):
            self.fails("edge", TINY, "--cloud", address, "x", code=2, names=["--cloud", "HOST:PORT"])
        self.fails("edge", TINY, "--cloud", "127.0.0.1:1", "--retry-s", "0", "--raw", "x", names=["127.0.0.1:1"])
        self.fails("edge", TINY, "--cloud", "127.0.0.1:1", "--grammar", self.file("g.lark", "start: ("), "--raw", "x", names=["g.lark"])


if __name__ == "__main__":
    CALLIE = os.path.abspath(sys.argv.pop(1))
    unittest.main(verbosity=2)
