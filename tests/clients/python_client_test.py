"""The official `openai` package of Python, unchanged, against a real server.

    python_client_test.py CALLIE [MODEL] [EMBEDDING_MODEL]
"""
import base64
import json
import os
import struct
import sys
import threading
import time
from typing import List, Literal, Optional

import openai
from pydantic import BaseModel, Field

from server import Server

WEATHER = {"type": "function", "function": {
    "name": "get_weather", "description": "The weather of a city",
    "parameters": {"type": "object", "additionalProperties": False, "required": ["city", "unit"],
                   "properties": {"city": {"type": "string", "maxLength": 20},
                                  "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]}}}}}
CLOCK = {"type": "function", "function": {
    "name": "get_time", "description": "The time of a city",
    "parameters": {"type": "object", "additionalProperties": False, "required": ["city"],
                   "properties": {"city": {"type": "string", "maxLength": 20}}}}}


def user(text):
    return [{"role": "user", "content": text}]


def refused(call, status, param=None, code=None, **arguments):
    try:
        call(**arguments)
    except openai.APIStatusError as problem:
        assert problem.status_code == status, (problem.status_code, problem.message)
        body = problem.body if isinstance(problem.body, dict) else {}
        assert param is None or body.get("param") == param, body
        assert code is None or body.get("code") == code, body
        return problem
    raise AssertionError(f"{arguments}: was not refused")


class Tests:
    def __init__(self, server, client, model, embedding_model):
        self.server, self.client, self.model, self.embedding_model = server, client, model, embedding_model
        self.create = lambda **a: client.chat.completions.create(model=model, **a)

    def test_models(self):
        ids = [one.id for one in self.client.models.list()]
        assert self.model in ids, ids
        assert self.client.models.retrieve(self.model).object == "model"
        refused(self.client.models.retrieve, 404, code="model_not_found", model="nothing")

    def test_chat_and_stream_agree(self):
        whole = self.create(messages=user("What is the capital of France?"), max_tokens=24, temperature=0)
        text = whole.choices[0].message.content
        assert text and whole.usage.completion_tokens > 0 and whole.system_fingerprint.startswith("fp_")
        parts, usage, finish = [], None, None
        with self.create(messages=user("What is the capital of France?"), max_tokens=24, temperature=0, stream=True,
                         stream_options={"include_usage": True}) as stream:
            for chunk in stream:
                if chunk.choices:
                    parts.append(chunk.choices[0].delta.content or "")
                    finish = chunk.choices[0].finish_reason or finish
                usage = chunk.usage or usage
        assert "".join(parts) == text and usage.completion_tokens == whole.usage.completion_tokens
        assert finish == whole.choices[0].finish_reason

    def test_system_developer_and_parts(self):
        answer = self.create(messages=[{"role": "developer", "content": "Answer briefly."},
                                       {"role": "user", "content": [{"type": "text", "text": "Say "},
                                                                    {"type": "text", "text": "hello."}]}],
                             max_completion_tokens=8)
        assert answer.choices[0].message.role == "assistant"

    def test_seed_repeats(self):
        def one(seed):
            return self.create(messages=user("Tell me a story."), max_tokens=24, temperature=1.2, seed=seed).choices[0].message.content
        assert one(5) == one(5) and one(5) != one(6)

    def test_n_choices(self):
        answer = self.create(messages=user("Name an animal."), n=3, max_tokens=12, temperature=1.5, seed=1)
        texts = [choice.message.content for choice in answer.choices]
        assert len(texts) == 3 and len(set(texts)) > 1 and [c.index for c in answer.choices] == [0, 1, 2]
        seen = {}
        for chunk in self.create(messages=user("Name an animal."), n=3, max_tokens=12, temperature=1.5, seed=1, stream=True):
            for choice in chunk.choices:
                seen[choice.index] = seen.get(choice.index, "") + (choice.delta.content or "")
        assert [seen[i] for i in range(3)] == texts

    def test_stop(self):
        plain = self.create(messages=user("Count from one to ten."), max_tokens=40, temperature=0).choices[0].message.content
        word = plain[len(plain) // 2:][:4]
        answer = self.create(messages=user("Count from one to ten."), max_tokens=40, temperature=0, stop=[word])
        assert answer.choices[0].message.content == plain[:plain.index(word)]
        assert answer.choices[0].finish_reason == "stop"

    def test_logprobs(self):
        answer = self.create(messages=user("Hi"), max_tokens=6, logprobs=True, top_logprobs=4, temperature=0)
        content = answer.choices[0].logprobs.content
        assert len(content) == answer.usage.completion_tokens or len(content) == answer.usage.completion_tokens - 1
        for one in content:
            assert len(one.top_logprobs) == 4 and one.logprob <= 0
            assert abs(one.top_logprobs[0].logprob - one.logprob) < 1e-6, "greedy takes the most probable"
        assert bytes(b for one in content for b in one.bytes).decode() == answer.choices[0].message.content
        streamed = []
        for chunk in self.create(messages=user("Hi"), max_tokens=6, logprobs=True, top_logprobs=4, temperature=0, stream=True):
            for choice in chunk.choices:
                if choice.logprobs:
                    streamed += [one.logprob for one in choice.logprobs.content]
        assert streamed == [one.logprob for one in content]
        # The tokens of a stop string have log-probabilities and no text.
        text = answer.choices[0].message.content
        asked = dict(messages=user("Hi"), max_tokens=6, logprobs=True, temperature=0, stop=[text[len(text) // 2:][:3]])
        whole = [one.token for one in self.create(**asked).choices[0].logprobs.content]
        parts = [one.token for chunk in self.create(**asked, stream=True) for c in chunk.choices if c.logprobs for one in c.logprobs.content]
        assert whole == parts, (whole, parts)

    def test_logit_bias(self):
        ids = json.loads(self.post("/tokenize", {"model": self.model, "content": "Z"}))["tokens"]
        answer = self.create(messages=user("Hi"), max_tokens=4, temperature=0, logit_bias={str(ids[0]): 100})
        assert set(answer.choices[0].message.content) == {"Z"}

    def post(self, path, body):
        return self.client.post(path.replace("/v1", "") if path.startswith("/v1") else self.server.url + path,
                                body=body, cast_to=str)

    def test_usage_counts_cached_tokens(self):
        long = "The quick brown fox jumps over the lazy dog. " * 40
        first = self.create(messages=user(long), max_tokens=2)
        again = self.create(messages=user(long), max_tokens=2)
        cached = again.usage.prompt_tokens_details.cached_tokens
        assert cached > first.usage.prompt_tokens * 0.7 and cached <= first.usage.prompt_tokens, again.usage

    def test_completions(self):
        answer = self.client.completions.create(model=self.model, prompt="Once upon a time", max_tokens=8, temperature=0, logprobs=2)
        choice = answer.choices[0]
        assert len(choice.logprobs.tokens) == 8 and "".join(choice.logprobs.tokens) == choice.text
        assert [choice.text[at:][:len(token)] for at, token in zip(choice.logprobs.text_offset, choice.logprobs.tokens)] == choice.logprobs.tokens
        odd = self.client.completions.create(model=self.model, prompt="x", max_tokens=8, temperature=2, top_p=1, seed=4, logprobs=1).choices[0].logprobs
        assert all(top[token] == logprob for token, logprob, top in zip(odd.tokens, odd.token_logprobs, odd.top_logprobs)), "the chosen one is there"
        chunks = list(self.client.completions.create(model=self.model, prompt="x", max_tokens=4, stream=True, stream_options={"include_usage": True}))
        assert chunks[-1].usage.completion_tokens <= 4 and all(chunk.usage is None for chunk in chunks[:-1])
        streamed = "".join(chunk.choices[0].text for chunk in self.client.completions.create(
            model=self.model, prompt="Once upon a time", max_tokens=8, temperature=0, stream=True))
        assert streamed == choice.text
        several = self.client.completions.create(model=self.model, prompt=["One two", "Red green"], max_tokens=4, n=2)
        assert [c.index for c in several.choices] == [0, 1, 2, 3]

    def test_errors(self):
        refused(self.client.chat.completions.create, 404, code="model_not_found", model="nothing", messages=user("x"))
        refused(self.create, 400, param="messages", messages=[])
        refused(self.create, 400, param="messages", messages=user("word " * 9000), code="context_length_exceeded")
        refused(self.create, 400, param="temperature", messages=user("x"), temperature=3)
        self.create(messages=user("x"), top_p=0, max_tokens=1)
        refused(self.create, 400, param="mystery", messages=user("x"), extra_body={"mystery": 1})
        refused(self.create, 400, param="top_logprobs", messages=user("x"), top_logprobs=2)
        refused(self.create, 400, param="n", messages=user("x"), n=1000)
        refused(self.create, 400, param="modalities", messages=user("x"), modalities=["text", "audio"])
        refused(self.create, 400, param="timeout", messages=user("x"), extra_body={"timeout": 0})
        refused(self.create, 400, param="seed", messages=user("x"), seed=2 ** 64)
        refused(self.create, 400, param="tool_choice", messages=user("x"), tools=[CLOCK], tool_choice={"type": "function", "function": {"name": "none"}})
        refused(self.create, 400, param="tools[0].function.parameters", messages=user("x"),
                tools=[{"type": "function", "function": {"name": "f", "parameters": "x"}}])
        refused(self.create, 400, param="messages[0].content[0]",
                messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://x/y"}}]}])
        refused(self.create, 400, param="regex", messages=user("x"), extra_body={"regex": "(abc"})
        refused(self.create, 400, param="grammar", messages=user("x"), extra_body={"grammar": "start: missing"})
        refused(self.create, 400, param="logit_bias", messages=user("x"), logit_bias={"99999999": 1})
        schema = {"type": "object", "properties": {"a": {"type": "array", "uniqueItems": True}}}
        problem = refused(self.create, 400, messages=user("x"), response_format={
            "type": "json_schema", "json_schema": {"name": "a", "schema": schema}})
        assert "uniqueItems" in problem.message, problem.message

    def test_structured_output_with_pydantic(self):
        class Step(BaseModel):
            what: str = Field(max_length=30)
            minutes: int = Field(ge=0, le=60)

        class Recipe(BaseModel):
            title: str = Field(max_length=30)
            kind: Literal["soup", "cake"]
            vegetarian: bool
            note: Optional[str] = Field(max_length=20)
            steps: List[Step] = Field(max_length=3)

        answer = self.client.chat.completions.parse(model=self.model, messages=user("A recipe, as JSON."),
                                                    response_format=Recipe, max_tokens=400, temperature=0.8, seed=3)
        assert isinstance(answer.choices[0].message.parsed, Recipe), answer.choices[0]
        response = self.client.responses.parse(model=self.model, input="A recipe, as JSON.", text_format=Recipe,
                                               max_output_tokens=400, temperature=0)
        assert isinstance(response.output_parsed, Recipe)

    def test_json_object_regex_and_grammar(self):
        answer = self.create(messages=user("Any JSON object with two keys."), response_format={"type": "json_object"},
                             max_tokens=200, temperature=0)
        if answer.choices[0].finish_reason == "stop":
            json.loads(answer.choices[0].message.content)
        phone = self.create(messages=user("A phone number."), extra_body={"regex": "[0-9]{3}-[0-9]{4}"}).choices[0].message.content
        assert len(phone) == 8 and phone[3] == "-", phone
        colour = self.create(messages=user("A colour."), extra_body={"grammar": 'start: "red" | "green"'}).choices[0].message.content
        assert colour in ("red", "green")

    def test_tools(self):
        tools = [WEATHER, CLOCK]
        question = user("What is the weather in Paris, in celsius?")
        probe = None
        try:
            probe = self.create(messages=question, tools=tools, max_tokens=100, temperature=0)
        except openai.BadRequestError as problem:  # a template without tools says so
            assert problem.body["param"] == "tools", problem.body
            return
        named = self.create(messages=question, tools=tools, max_tokens=200, temperature=0,
                            tool_choice={"type": "function", "function": {"name": "get_weather"}})
        call = named.choices[0].message.tool_calls[0]
        assert call.function.name == "get_weather" and call.id and named.choices[0].finish_reason == "tool_calls"
        arguments = json.loads(call.function.arguments)
        assert set(arguments) == {"city", "unit"} and arguments["unit"] in ("celsius", "fahrenheit")
        required = self.create(messages=question, tools=tools, max_tokens=200, temperature=0, tool_choice="required")
        assert required.choices[0].message.tool_calls[0].function.name in ("get_weather", "get_time")
        none = self.create(messages=question, tools=tools, max_tokens=30, temperature=0, tool_choice="none")
        assert not none.choices[0].message.tool_calls
        assert probe.choices[0].finish_reason in ("tool_calls", "stop", "length")
        names, streamed, ids = [], "", set()
        for chunk in self.create(messages=question, tools=tools, max_tokens=200, temperature=0, tool_choice="required", stream=True):
            for part in (chunk.choices[0].delta.tool_calls or []) if chunk.choices else []:
                streamed += part.function.arguments or ""
                if part.id:
                    ids.add(part.id)
                    names.append(part.function.name)
        wanted = required.choices[0].message.tool_calls
        assert names == [c.function.name for c in wanted] and len(ids) == len(wanted)
        assert streamed == "".join(c.function.arguments for c in wanted)
        # The answer of the tool goes back.
        back = question + [named.choices[0].message.model_dump(exclude_none=True),
                           {"role": "tool", "tool_call_id": call.id, "content": '{"temperature": 21, "sky": "clear"}'}]
        final = self.create(messages=back, tools=tools, max_tokens=40, temperature=0)
        assert final.choices[0].message.content, final

    def test_embeddings(self):
        if not self.embedding_model:
            return
        make = lambda **a: self.client.embeddings.create(model=self.embedding_model, **a)
        both = make(input=["a small boat", "a little ship", "the stock exchange"])  # the client asks for base64
        boat, ship, stock = (one.embedding for one in both.data)
        dot = lambda a, b: sum(x * y for x, y in zip(a, b))
        assert abs(dot(boat, boat) - 1) < 1e-4
        if "minilm" in self.embedding_model:
            assert dot(boat, ship) > dot(boat, stock) + 0.2
        assert both.usage.prompt_tokens == both.usage.total_tokens > 9
        floats = make(input="a small boat", encoding_format="float").data[0].embedding
        assert max(abs(a - b) for a, b in zip(floats, boat)) < 1e-6
        raw = make(input="a small boat", encoding_format="base64").data[0].embedding
        assert list(struct.unpack(f"<{len(boat)}f", base64.b64decode(raw))) == boat
        ids = json.loads(self.post("/tokenize", {"model": self.embedding_model, "content": "a small boat", "add_special": True}))["tokens"]
        assert make(input=[ids], encoding_format="float").data[0].embedding == floats
        assert make(input=ids, encoding_format="float").data[0].embedding == floats
        assert len(make(input="x", dimensions=len(boat)).data[0].embedding) == len(boat)
        refused(make, 400, param="dimensions", input="x", dimensions=7)
        refused(make, 400, param="input", input=[])
        refused(make, 400, param="input", input="word " * 5000, code="context_length_exceeded")
        refused(self.client.embeddings.create, 400, param="model", model=self.model, input="x")
        refused(self.client.chat.completions.create, 400, param="model", model=self.embedding_model, messages=user("x"))

    def test_responses(self):
        make = lambda **a: self.client.responses.create(model=self.model, temperature=0, **a)
        first = make(input="My name is Ada.", max_output_tokens=12, instructions="Be brief.")
        assert first.output_text and first.usage.input_tokens > 0
        assert self.client.responses.retrieve(first.id).output_text == first.output_text
        second = make(input="What is my name?", previous_response_id=first.id, max_output_tokens=16)
        assert second.previous_response_id == first.id and second.usage.input_tokens > first.usage.input_tokens
        text, last, kinds = "", None, []
        for event in make(input="My name is Ada.", instructions="Be brief.", max_output_tokens=12, stream=True):
            kinds.append(event.type)
            if event.type == "response.output_text.delta":
                text += event.delta
            last = event
        assert text == first.output_text and kinds[0] == "response.created"
        assert last.type in ("response.completed", "response.incomplete") and last.response.output_text == text
        with self.client.responses.stream(model=self.model, input="Hi", max_output_tokens=8, temperature=0) as stream:
            for _ in stream:
                pass
        likely = make(input="Hi", max_output_tokens=4, include=["message.output_text.logprobs"], top_logprobs=2)
        entries = likely.output[0].content[0].logprobs
        assert 0 < len(entries) <= 4 and all(len(one.top_logprobs) == 2 for one in entries)
        told = self.client.responses.create(model=self.model, input="Hi", temperature=0.7, top_p=0.9, user="ada", max_output_tokens=1)
        assert (told.temperature, told.top_p, told.user) == (0.7, 0.9, "ada"), told
        refused(make, 400, param="include", input="x", include=["everything"])
        assert make(input="x", extra_body={"regex": "ab?c"}).output_text in ("abc", "ac")
        refused(make, 400, param="text.format", input="x", text={"format": {"type": "json_object"}}, extra_body={"regex": "a"})
        refused(make, 400, param="ignore_eos", input="x", text={"format": {"type": "json_object"}}, extra_body={"ignore_eos": True})
        refused(self.client.completions.create, 400, param="response_format", model=self.model, prompt="x",
                extra_body={"regex": "a", "response_format": {"type": "json_object"}})
        refused(make, 400, param="input[0].call_id", input=[{"type": "function_call_output", "call_id": "none", "output": "x"}])
        hidden = make(input="x", store=False, max_output_tokens=2)
        refused(self.client.responses.retrieve, 404, response_id=hidden.id)
        refused(make, 404, param="previous_response_id", input="x", previous_response_id="resp_none")
        self.client.responses.delete(first.id)
        refused(self.client.responses.retrieve, 404, response_id=first.id)
        flat = [{"type": "function", **WEATHER["function"], "strict": True}]
        try:
            called = make(input="The weather in Paris?", tools=flat, tool_choice="required", max_output_tokens=200)
        except openai.BadRequestError as problem:
            assert problem.body["param"] == "tools", problem.body
            return
        item = next(one for one in called.output if one.type == "function_call")
        json.loads(item.arguments)
        final = make(input=[{"type": "function_call_output", "call_id": item.call_id, "output": "clear, 21"}],
                     previous_response_id=called.id, tools=flat, max_output_tokens=30)
        assert final.output

    def test_deadline(self):
        begin = time.time()
        answer = self.create(messages=user("Write a very long story."), max_tokens=2000, extra_body={"timeout": 0.3, "ignore_eos": True})
        assert answer.choices[0].finish_reason == "length" and time.time() - begin < 20

    def test_cancel(self):
        stream = self.create(messages=user("Write a very long story."), max_tokens=2000, stream=True, extra_body={"ignore_eos": True})
        next(iter(stream))
        before = self.server.metric("callie_steps_total")
        stream.close()
        for _ in range(400):
            if self.server.metric("callie_batch") == 0 and self.server.metric("callie_answers_cancelled_total") >= 1:
                break
            time.sleep(0.02)
        assert self.server.metric("callie_batch") == 0 and self.server.metric("callie_kv_blocks_used") == 0
        assert self.server.metric("callie_answers_cancelled_total") >= 1
        assert self.server.metric("callie_steps_total") - before < 200


def test_queue(callie, model):
    """A full queue answers 429 with Retry-After; a client that waits succeeds; SIGTERM lets open answers finish."""
    with Server(callie, model, "--max-seqs", "1", "--queue-limit", "1", "--threads", "1") as server:
        client = openai.OpenAI(base_url=server.url + "/v1", api_key="x", max_retries=0)
        problems, done = [], []

        def one(i):
            try:
                done.append(client.chat.completions.create(model=model, messages=user(f"Story {i}"), max_tokens=40,
                                                           extra_body={"ignore_eos": True}))
            except openai.RateLimitError as problem:
                problems.append(problem)

        threads = [threading.Thread(target=one, args=(i,)) for i in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert done and problems, (len(done), len(problems))
        assert all(int(p.response.headers["retry-after"]) >= 1 for p in problems)
        answers = []
        last = threading.Thread(target=lambda: answers.append(client.chat.completions.create(
            model=model, messages=user("Story"), max_tokens=60, extra_body={"ignore_eos": True})))
        last.start()
        for _ in range(500):
            if server.metric("callie_batch") == 1:
                break
            time.sleep(0.01)
        assert server.stop() == 0
        last.join()
        assert answers and answers[0].usage.completion_tokens == 60


def main():
    callie = sys.argv[1]
    model = sys.argv[2] if len(sys.argv) > 2 else "smollm2-135m"
    embedding = sys.argv[3] if len(sys.argv) > 3 else None  # a name or a folder
    embedding_model = embedding and os.path.basename(embedding)
    failed = 0
    with Server(callie, *[m for m in (model, embedding) if m], "--threads", "1") as server:
        client = openai.OpenAI(base_url=server.url + "/v1", api_key="not-needed", max_retries=0, timeout=300)
        tests = Tests(server, client, model, embedding_model)
        wanted = sys.argv[4:]
        for name in [n for n in dir(tests) if n.startswith("test_")]:
            if wanted and name not in wanted:
                continue
            begin = time.time()
            try:
                getattr(tests, name)()
                print(f"ok      {name} ({time.time() - begin:.1f} s)", flush=True)
            except Exception as problem:  # every test is run
                failed += 1
                print(f"FAILED  {name}: {type(problem).__name__}: {problem}", flush=True)
                if not isinstance(problem, openai.APIError):
                    import traceback
                    traceback.print_exc()
    if not wanted:
        test_queue(callie, model)
        print("ok      test_queue")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
