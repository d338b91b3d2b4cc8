"""`callie serve` as its operators meet it: keys, CORS, limits, 429, priorities, unloading, logs, stopping.

    operation_test.py CALLIE [test_name …]
"""
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "clients"))
from server import Server, free_port  # noqa: E402

CALLIE = ""
MODEL = "smollm2-135m"


def send(server, method, path, body=None, headers=None):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
    try:
        connection.request(method, path, None if body is None else json.dumps(body), headers or {})
        answer = connection.getresponse()
        return answer.status, dict((k.lower(), v) for k, v in answer.getheaders()), answer.read().decode()
    finally:
        connection.close()


def chat(server, text="Hi", **fields):
    body = {"messages": [{"role": "user", "content": text}], "max_tokens": 8, "temperature": 0} | fields
    status, _, answer = send(server, "POST", "/v1/chat/completions", body)
    assert status == 200, (status, answer)
    return json.loads(answer)["choices"][0]["message"]["content"]


def stream(server, **fields):
    """A connection that has read the first piece of a stream."""
    body = json.dumps({"messages": [{"role": "user", "content": "Write a long story."}], "ignore_eos": True, "stream": True} | fields)
    client = socket.create_connection(("127.0.0.1", server.port), timeout=60)
    client.sendall(f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
    assert client.recv(4096).startswith(b"HTTP/1.1 200")
    return client


def wait_for(condition, seconds=240):
    until = time.time() + seconds
    while time.time() < until:
        if condition():
            return True
        time.sleep(0.02)
    return False


def read_all(client):
    out = b""
    try:
        while part := client.recv(65536):
            out += part
    except OSError:
        pass
    return out


def lines_of(path):
    return pathlib.Path(path).read_text().splitlines()


def log_lines(path):
    return [json.loads(line) for line in lines_of(path)[1:]]


class Operation(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def serve(self, *flags, models=(MODEL,), log=None):
        server = Server(CALLIE, *models, "--threads", "1", *flags, log=log)
        self.addCleanup(server.stop)
        return server

    def refused(self, *flags, models=(MODEL,)):
        done = subprocess.run([CALLIE, "serve", *models, "--port", str(free_port()), "--threads", "1", *flags], capture_output=True, text=True,
                              timeout=60)
        self.assertEqual(done.stderr.count("error"), 1, done.stderr)
        return done.returncode, done.stderr

    def test_keys(self):
        keys, log = self.folder + "/keys", self.folder + "/log"
        pathlib.Path(keys).write_text("# the office\nsecret-one\nsecret-two\n")
        server = self.serve("--api-key-file", keys, "--log-level", "trace", log=log)
        body = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}
        for header, status in ((None, 401), ("Bearer wrong", 401), ("Bearer secret-one ", 200), ("Bearer secret-tw", 401), ("secret-one", 401),
                               ("Bearer secret-two", 200), ("Bearer ", 401)):
            headers = {"Authorization": header} if header else {}
            found, _, answer = send(server, "POST", "/v1/chat/completions", body, headers)
            self.assertEqual(found, status, header)
            if status == 401:
                self.assertEqual(json.loads(answer)["error"]["code"], "invalid_api_key")
            self.assertNotIn("secret", answer)
        for path, status in (("/health", 200), ("/", 200), ("/metrics", 401), ("/v1/models", 401), ("/debug/steps", 401)):
            self.assertEqual(send(server, "GET", path)[0], status, path)
        self.assertEqual(server.stop(), 0)
        text = pathlib.Path(log).read_text()
        self.assertIn("/v1/chat/completions", text)
        self.assertNotIn("secret", text)

    def test_a_reachable_address_needs_a_key(self):
        code, text = self.refused("--host", "0.0.0.0")
        self.assertEqual(code, 2)
        self.assertIn("--api-key-file", text)

    def test_cors(self):
        server = self.serve()
        origin = {"Origin": "http://page.test"}
        self.assertNotIn("access-control-allow-origin", send(server, "GET", "/v1/models", headers=origin)[1])
        self.assertNotEqual(send(server, "OPTIONS", "/v1/chat/completions", headers=origin)[0], 204)
        server.stop()
        server = self.serve("--cors", "http://page.test")
        status, headers, _ = send(server, "OPTIONS", "/v1/chat/completions", headers=origin)
        self.assertEqual((status, headers["access-control-allow-origin"]), (204, "http://page.test"))
        self.assertEqual(send(server, "GET", "/v1/models", headers=origin)[1]["access-control-allow-origin"], "http://page.test")
        wanted = "authorization,content-type,x-stainless-lang"  # the official client in a browser
        headers = send(server, "OPTIONS", "/v1/chat/completions", headers=origin | {"Access-Control-Request-Headers": wanted})[1]
        self.assertEqual(headers["access-control-allow-headers"], wanted)

    def test_a_broken_first_model_is_told_once(self):
        broken = self.folder + "/broken.gguf"
        pathlib.Path(broken).write_bytes(b"GGUF" + bytes(60))
        code, text = self.refused(models=[broken])
        self.assertEqual(code, 1)
        self.assertIn("broken.gguf", text)

    def test_client_certificates_need_tls(self):
        code, text = self.refused("--client-ca", self.folder + "/ca.pem")
        self.assertEqual(code, 1)
        self.assertIn("client-ca", text)

    def test_http_1_0_has_no_chunks(self):
        server = self.serve()
        body = json.dumps({"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 3, "temperature": 0, "stream": True})
        with socket.create_connection(("127.0.0.1", server.port), timeout=60) as client:
            client.sendall(f"POST /v1/chat/completions HTTP/1.0\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
            head, _, stream_bytes = read_all(client).partition(b"\r\n\r\n")
        self.assertTrue(head.startswith(b"HTTP/1.0 200"), head)
        self.assertNotIn(b"chunked", head.lower())
        events = stream_bytes.decode().split("\n\n")
        self.assertTrue(all(event.startswith("data: ") for event in events[:-1]), events)
        self.assertEqual(events[-2:], ["data: [DONE]", ""])

    def test_reasoning(self):
        thinker = self.folder + "/thinker"
        shutil.copytree(pathlib.Path(__file__).resolve().parents[1] / "golden" / "tiny" / "qwen3", thinker)
        config = json.loads(pathlib.Path(thinker + "/tokenizer_config.json").read_text())
        config["chat_template"] = "{% if enable_thinking is defined and not enable_thinking %}no{% endif %}{{ messages[-1].content }}"
        pathlib.Path(thinker + "/tokenizer_config.json").write_text(json.dumps(config))
        server = self.serve(models=[thinker])
        body = {"messages": [{"role": "user", "content": "Hi"}], "regex": "<think>hm</think>\n\nyes", "max_tokens": 100}
        answer = json.loads(send(server, "POST", "/v1/chat/completions", body)[2])
        message = answer["choices"][0]["message"]
        self.assertEqual((message["reasoning_content"], message["content"]), ("hm", "yes"))
        reasoning = answer["usage"]["completion_tokens_details"]["reasoning_tokens"]
        self.assertTrue(0 < reasoning < answer["usage"]["completion_tokens"], answer["usage"])
        without = json.loads(send(server, "POST", "/v1/chat/completions", body | {"chat_template_kwargs": {"enable_thinking": False}})[2])
        self.assertEqual(without["usage"]["prompt_tokens"] - answer["usage"]["prompt_tokens"], 2, "the template heard of it")

        body = {"input": "Hi", "regex": "<think>hm</think>\n\nyes", "max_output_tokens": 100}
        whole = json.loads(send(server, "POST", "/v1/responses", body)[2])
        self.assertEqual([item["type"] for item in whole["output"]], ["reasoning", "message"])
        self.assertEqual([item["content"][0]["text"] for item in whole["output"]], ["hm", "yes"])
        self.assertEqual(whole["usage"]["output_tokens_details"]["reasoning_tokens"], reasoning)
        _, _, text = send(server, "POST", "/v1/responses", body | {"stream": True})
        events = [json.loads(part.split("data: ", 1)[1]) for part in text.split("\n\n") if part]
        self.assertEqual([event["sequence_number"] for event in events], list(range(len(events))))
        names = [event["type"].removeprefix("response.") for event in events]
        steps = [name for i, name in enumerate(names) if names[i - 1] != name]
        self.assertEqual(steps, ["created", "in_progress", "output_item.added", "content_part.added", "reasoning_text.delta", "reasoning_text.done",
                                 "content_part.done", "output_item.done", "output_item.added", "content_part.added", "output_text.delta",
                                 "output_text.done", "content_part.done", "output_item.done", "completed"])
        self.assertEqual([item["content"] for item in events[-1]["response"]["output"]], [item["content"] for item in whole["output"]])

    def test_flags_are_defaults(self):
        plain = self.serve()
        text = chat(plain, "Count from one to ten.", max_tokens=40)
        plain.stop()
        word = text[len(text) // 2:][:3]
        server = self.serve("--stop", word, "--seed", "5")
        self.assertEqual(chat(server, "Count from one to ten.", max_tokens=40), text[:text.index(word)])
        self.assertEqual(chat(server, "Count from one to ten.", max_tokens=40, stop=[]), text)
        hot = [chat(server, "A word.", temperature=1.5, stop=[], **seed) for seed in ({}, {}, {"seed": 5})]
        self.assertEqual(hot[0], hot[1])
        self.assertEqual(hot[0], hot[2])

    def test_limits(self):
        server = self.serve("--max-body", "1000", "--max-header", "2048", "--header-timeout", "0.5", "--body-timeout", "0.5", "--idle-timeout", "0.5",
                            "--max-connections", "40", "--max-n", "2", "--ctx", "256")
        self.assertEqual(send(server, "POST", "/tokenize", {"content": "x" * 2000})[0], 413)
        self.assertEqual(send(server, "GET", "/health", headers={"X": "y" * 5000})[0], 431)
        for sent in (b"", b"GET /hea", b"POST /tokenize HTTP/1.1\r\nContent-Length: 50\r\n\r\n{"):
            with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
                client.sendall(sent)
                self.assertEqual(read_all(client), b"", "closed by the server, without waiting for the client")
        body = {"messages": [{"role": "user", "content": "Hi"}]}
        for fields, param in (({"n": 3}, "n"), ({"messages": [{"role": "user", "content": "a " * 400}]}, "messages")):
            status, _, answer = send(server, "POST", "/v1/chat/completions", body | fields)
            self.assertEqual((status, json.loads(answer)["error"]["param"]), (400, param))
        many = [socket.create_connection(("127.0.0.1", server.port), timeout=20) for _ in range(60)]
        self.assertTrue(wait_for(lambda: sum(closed(one) for one in many) >= 20))
        for one in many:
            one.close()
        self.assertTrue(wait_for(lambda: answers(server)))
        self.assertGreaterEqual(server.metric("callie_http_refused_total"), 20)

    def test_too_many_streams_are_429(self):
        server = self.serve("--max-streams", "2")
        clients = [stream(server, max_tokens=1500) for _ in range(2)]
        status, headers, answer = send(server, "POST", "/v1/chat/completions", {"messages": [{"role": "user", "content": "Hi"}]})
        self.assertEqual(status, 429, answer)
        self.assertGreaterEqual(int(headers["retry-after"]), 1)
        for client in clients:
            client.close()
        self.assertTrue(wait_for(lambda: server.metric("callie_streams") == 0))
        chat(server)

    def test_higher_priority_goes_first(self):
        log = self.folder + "/requests"
        server = self.serve("--max-seqs", "1", "--request-log", log)
        first = threading.Thread(target=chat, args=(server, "First"), kwargs={"max_tokens": 200, "ignore_eos": True})
        first.start()
        self.assertTrue(wait_for(lambda: server.metric("callie_batch") == 1))
        waiting = []
        for i, priority in enumerate((0, 0, 50)):
            waiting.append(threading.Thread(target=chat, args=(server, f"Other {i}"), kwargs={"priority": priority}))
            waiting[-1].start()
            self.assertTrue(wait_for(lambda: server.metric("callie_queue") == i + 1))
        for thread in [first] + waiting:
            thread.join()
        self.assertEqual([line["priority"] for line in log_lines(log)], [0, 50, 0, 0])

    def test_a_departed_client_ends_within_a_step(self):
        log = self.folder + "/steps"
        server = self.serve("--step-log", log)
        client = stream(server, max_tokens=1500)
        self.assertTrue(wait_for(lambda: server.metric("callie_output_tokens_total") > 0 or server.metric("callie_steps_total") > 3))
        client.close()
        self.assertTrue(wait_for(lambda: server.metric("callie_batch") == 0 and server.metric("callie_kv_blocks_used") == 0))
        done = server.metric("callie_steps_total")
        time.sleep(0.3)
        self.assertEqual(server.metric("callie_steps_total"), done)
        self.assertLess(done, 300)

    def test_a_deadline_ends_an_answer(self):
        log = self.folder + "/requests"
        server = self.serve("--request-log", log)
        chat(server, max_tokens=1500, ignore_eos=True, timeout=0.2)
        self.assertEqual(log_lines(log)[0]["finish_reason"], "deadline")
        server.stop()
        server = self.serve("--request-timeout", "0.2", "--request-log", log)
        chat(server, max_tokens=1500, ignore_eos=True)
        self.assertEqual(log_lines(log)[0]["finish_reason"], "deadline")

    def test_logs_are_written_while_it_runs(self):
        steps, requests = self.folder + "/steps", self.folder + "/requests"
        server = self.serve("--step-log", steps, "--request-log", requests)
        client = stream(server, max_tokens=1500)
        self.assertTrue(wait_for(lambda: len(lines_of(steps)) > 10), "while an answer is generated")
        client.close()
        self.assertTrue(wait_for(lambda: len(lines_of(requests)) == 2))
        self.assertTrue(wait_for(lambda: len(log_lines(steps)) == server.metric("callie_steps_total")), "when all is done")

    def test_idle_models_leave_memory_and_come_back(self):
        server = self.serve("--idle-unload", "1")
        text = chat(server)
        self.assertEqual(server.metric("callie_model_loaded"), 1)
        client = stream(server, max_tokens=1500, timeout=3)
        read_all_until_done(client)
        self.assertTrue(wait_for(lambda: server.metric("callie_model_loaded") == 0))
        self.assertEqual(chat(server), text)

    def test_a_memory_budget_holds(self):
        other = self.folder + "/other.gguf"
        path = next(p for p in (os.path.join(folder, MODEL + ".gguf") for folder in
                                (os.environ.get("CALLIE_MODELS", ""), os.path.expanduser("~/.cache/callie/models"),
                                 os.path.join(os.environ.get("XDG_CACHE_HOME", "/"), "callie/models"))) if os.path.exists(p))
        os.symlink(path, other)
        server = self.serve("--memory-budget", "150M", models=(MODEL, other))
        text = chat(server, model=MODEL)
        for model in ("other", MODEL, "other"):
            self.assertEqual(chat(server, model=model), text)
            self.assertEqual(server.metric("callie_model_loaded"), 1)
        # One that answers is not unloaded.
        client = stream(server, model="other", max_tokens=1500)
        self.assertEqual(chat(server, model=MODEL), text)
        self.assertEqual(server.metric("callie_model_loaded"), 2)
        client.close()

    def test_sigterm(self):
        server = self.serve("--drain", "600")
        half = socket.create_connection(("127.0.0.1", server.port), timeout=20)
        half.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nContent-Le")
        answers = []
        last = threading.Thread(target=lambda: answers.append(chat(server, max_tokens=60, ignore_eos=True)))
        last.start()
        self.assertTrue(wait_for(lambda: server.metric("callie_batch") == 1))
        begin = time.time()
        self.assertEqual(server.stop(), 0)
        self.assertLess(time.time() - begin, 240, "nobody waits for a request that is half there")
        last.join()
        self.assertEqual(len(answers), 1, "an open answer is finished")
        half.close()

    def test_sigterm_cuts_what_takes_too_long(self):
        server = self.serve("--drain", "0.2", "--ctx", "4096")
        clients = [stream(server, max_tokens=3900) for _ in range(3)]
        self.assertEqual(server.stop(), 0)
        for client in clients:
            self.assertNotIn(b"[DONE]", read_all(client))

    def test_kill_and_restart(self):
        exact = pathlib.Path(__file__).resolve().parents[2] / "bench" / "serve" / "exact.py"
        done = subprocess.run([sys.executable, str(exact), CALLIE, MODEL, "--requests", "12", "--kv-memory", "16M"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


def closed(client):
    client.setblocking(False)
    try:
        return client.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def answers(server):
    try:
        return send(server, "GET", "/health")[0] == 200
    except (OSError, http.client.HTTPException):
        return False


def read_all_until_done(client):
    text = b""
    while b"[DONE]" not in text:
        part = client.recv(65536)
        if not part:
            break
        text += part
    client.close()


if __name__ == "__main__":
    CALLIE = sys.argv.pop(1)
    unittest.main(verbosity=2)
