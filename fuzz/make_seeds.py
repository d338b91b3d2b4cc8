#!/usr/bin/env python3
"""Writes the seed files of the fuzzers, fuzz/corpus/NAME/*. Needs: numpy gguf.

  fuzz/make_seeds.py
"""
import json
import os
import struct

import gguf
import numpy as np

corpus = os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus")


def put(fuzzer, name, content):
    os.makedirs(os.path.join(corpus, fuzzer), exist_ok=True)
    with open(os.path.join(corpus, fuzzer, name), "wb") as file:
        file.write(content if isinstance(content, bytes) else content.encode())


def gguf_seed():
    path = os.path.join(corpus, "gguf", "small.gguf")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_uint32("llama.block_count", 1)
    writer.add_float32("llama.rope.freq_base", 1e4)
    writer.add_bool("tokenizer.ggml.add_bos_token", True)
    writer.add_array("tokenizer.ggml.tokens", ["a", "b"])
    writer.add_array("tokenizer.ggml.token_type", [1, 3])
    writer.add_tensor("token_embd.weight", np.arange(64, dtype=np.float32).reshape(2, 32))
    writer.add_tensor("output_norm.weight", np.ones(32, dtype=np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def safetensors_seed():
    header = {
        "__metadata__": {"format": "pt"},
        "a": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]},
        "b": {"dtype": "BF16", "shape": [4], "data_offsets": [16, 24]},
    }
    text = json.dumps(header).encode()
    put("safetensors", "small", struct.pack("<Q", len(text)) + text + bytes(24))
    put("safetensors", "empty", struct.pack("<Q", 2) + b"{}")


def plan_seeds():
    put("plan_trace", "azure.csv", "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.6805900,374,44\n2023-11-16 18:15:50.9951690,396,109\n")
    put("plan_trace", "vidur.csv", "arrived_at,num_prefill_tokens,num_decode_tokens\n0.1,374,44\n0.4,396,109\n")
    put("plan_trace", "lengths.csv", "num_prefill_tokens,num_decode_tokens,num_total_tokens,pd_ratio\n374,44,418,8.5\n")
    put("plan_trace", "splitwise.csv", "request_id,arrival_timestamp,prompt_size,token_size\n0,0.0,374,44\n")
    put("plan_trace", "burstgpt.csv", "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n5,ChatGPT,472,18,490,Conversation log\n")
    put("plan_trace", "tracev2.csv", "request_id,arrival_time_us,input_tokens,output_tokens\n0,1000,10,20\n")
    put("plan_trace", "mooncake.jsonl", '{"timestamp": 0, "input_length": 1030, "output_length": 5, "hash_ids": [1, 2, 3]}\n{"timestamp": 3000, "input_length": 700, "output_length": 9, "hash_ids": [1, 4]}\n')
    put("plan_trace", "llmservingsim.jsonl", '{"input_toks": 12, "output_toks": 3, "arrival_time_ns": 1000}\n')
    put("plan_trace", "callie.jsonl", '{"model": "m", "threads": 1, "token_budget": 512, "max_seqs": 8, "block_size": 16, "blocks": 64, "version": "0"}\n{"arrival_s": 0.1, "queued_s": 0.1, "scheduled_s": 0.2, "first_token_s": 0.3, "finished_s": 0.4, "prompt_tokens": 8, "cached_tokens": 0, "output_tokens": 4, "max_tokens": 4, "prompt_block_hashes": [], "priority": 0, "preemptions": 0, "finish_reason": "length"}\n')
    examples = os.path.join(os.path.dirname(corpus), "..", "examples", "plan")
    for name in sorted(os.listdir(examples)):
        with open(os.path.join(examples, name), "rb") as file:
            put("plan_config", name, file.read())


def tokenizer_seeds():
    added = [{"id": 0, "content": "<s>", "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}]
    letters = {letter: i + 1 for i, letter in enumerate("abcdefgh\u0120\u010a")}
    put("tokenizer_json", "bpe", json.dumps({
        "version": "1.0", "added_tokens": added, "normalizer": {"type": "NFC"},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": "\\p{L}+|\\s+|\\p{N}{1,3}"}, "behavior": "Isolated", "invert": False},
            {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}]},
        "post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
                           "pair": [], "special_tokens": {"<s>": {"id": "<s>", "ids": [0], "tokens": ["<s>"]}}},
        "decoder": {"type": "ByteLevel"},
        "model": {"type": "BPE", "vocab": {"<s>": 0, **letters, "ab": 20, "abc": 21}, "merges": ["a b", "ab c"], "ignore_merges": False}}))
    put("tokenizer_json", "unigram", json.dumps({
        "version": "1.0", "added_tokens": added,
        "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "\u2581"}, {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}]},
        "decoder": {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}]},
        "model": {"type": "Unigram", "unk_id": 1, "byte_fallback": True, "vocab": [["<s>", 0.0], ["<unk>", 0.0], ["\u2581The", -2.0], ["a", -3.5], ["<0x0A>", -9.0]]}}))
    put("tokenizer_json", "word_piece", json.dumps({
        "version": "1.0", "added_tokens": [],
        "normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": True},
        "pre_tokenizer": {"type": "BertPreTokenizer"}, "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
                  "vocab": {"[UNK]": 0, "the": 1, "ca": 2, "##fe": 3, "1": 4, "##2": 5}}}))


def template_seeds():
    put("template", "chat", "{{ bos_token }}{% for m in messages %}<|{{ m['role'] }}|>\n{{ m.content | trim }}{% if not loop.last %}{{ eos_token }}{% endif %}\n"
                            "{% endfor %}{% if add_generation_prompt %}<|assistant|>\n{% endif %}")
    put("template", "macro", "{% macro show(x, n=2) -%}{{ x | tojson(indent=n) }}{%- endmacro %}{% set ns = namespace(i=0) %}"
                             "{% for m in messages[::-1] %}{% set ns.i = ns.i + 1 %}{{ show(m) ~ ns.i }}{% endfor %}"
                             "{% if messages is not string and tools is defined %}{{ raise_exception('no') }}{% endif %}{{ strftime_now('%d %b %Y') }}")


def prove_seeds():
    head = "module m(input clk, r, a, b, input [3:0] v, output logic q = 0, output logic [3:0] y);\n"
    put("prove", "clocked", head + " always_ff @(posedge clk or posedge r) if (r) q <= 0; else q <= a;\n always_comb y = v + 1;\n"
        " x: assert property (@(posedge clk) disable iff (r) a ##[1:2] b |=> q until $past(a, 2));\nendmodule\n")
    put("prove", "sequences", head + " assert property (@(posedge clk) first_match(a[*1:2] ##1 b) and (b within a[*3]) |-> nexttime a);\nendmodule\n")
    put("prove", "combinational", head + " typedef enum logic [1:0] {A, B} e_t; e_t e; function automatic [3:0] f(input [3:0] k);\n"
        "  for (int i = 0; i < 4; i++) begin if (k[i]) continue; f[i] = k[3 - i]; end endfunction\n"
        " always_comb begin y = f(v); unique casez (v) 4'b1???: e = A; default: e = e_t'(v[1:0]); endcase\n"
        "  if (v inside {[1:3]}) i: assert (y != 4'hf && $onehot0(v & 4'd1)); end\nendmodule\n")


def systemverilog_seeds():
    put("systemverilog", "counter", "module m #(parameter int W = 4) (input logic clk, rst_n, output logic [W-1:0] q);\n"
        "  always_ff @(posedge clk or negedge rst_n) if (!rst_n) q <= '0; else q <= q + 1'b1;\n"
        "  a: assert property (@(posedge clk) disable iff (!rst_n) q == 3 |=> q == 4);\nendmodule\n")
    put("systemverilog", "macros", "`define MAX(a, b) ((a) > (b) ? (a) : (b))\n`ifdef X\n`else\ntypedef enum logic [1:0] {A, B = 2} e_t;\n`endif\n"
        "module m(input e_t s, input [7:0] d [0:3], output reg [7:0] y);\n  genvar i;\n  generate for (i = 0; i < 4; i++) begin : g\n    wire [7:0] w = d[i];\n"
        "  end endgenerate\n  always @* case (s) A: y = `MAX(d[0], d[1]); default: y = {4{2'b10}}; endcase\n"
        "  property p; @(posedge s[0]) $rose(y[0]) ##[1:3] y[1] |-> y[7:4] inside {[1:3], 5}; endproperty\n  assert property (p) else $error(\"no\");\nendmodule\n")


def other_seeds():
    name, descriptor = b"layer.0", bytes(8)
    entry = struct.pack("<QQQ", 0, 4096, len(name)) + name + struct.pack("<Q", len(descriptor)) + descriptor
    put("packed", "directory", struct.pack("<Q", 1) + entry + struct.pack("<Q", 7))
    put("hf_config", "config", json.dumps({"architectures": ["LlamaForCausalLM"], "hidden_size": 64, "rope_scaling": {"type": "linear", "factor": 2.0},
                                           "eos_token_id": [1, 2], "tie_word_embeddings": True, "torch_dtype": None}))
    put("hf_config", "index", json.dumps({"metadata": {"total_size": 1}, "weight_map": {"a": "model-00001-of-00002.safetensors", "b": "x.safetensors"}}))
    calls = ['<tool_call>\n{"name": "f", "arguments": {"a": 1}}\n</tool_call>', "<tool_call>\n<function=f>\n<parameter=a>\n1\n</parameter>\n</function>\n</tool_call>",
             '<|python_tag|>{"name": "f", "parameters": {"a": 1}}', '[TOOL_CALLS] [{"name": "f", "arguments": {"a": 1}}]', "```tool_code\nf(a=1, b='x')\n```"]
    for i, text in enumerate(calls):
        put("tool_calls", f"call{i}", bytes([i + 1, 3]) + b"Well. " + text.encode() + b" Done.")
    put("tool_calls", "reasoning", bytes([8 + 1, 1]) + b"<think>\nHm.\n</think>\n\nYes.")


def field(number, content):
    """A protobuf field: bytes are length-delimited, integers varints below 128."""
    return bytes([number << 3 | 2, len(content)]) + content if isinstance(content, bytes) else bytes([number << 3, content])


def edge_cloud_seeds():
    put("edge_cloud_frame", "ping", field(11, field(1, 7)))
    put("edge_cloud_frame", "draft", field(3, field(1, 5) + field(2, bytes([1, 2, 3])) + field(3, 9)) + field(15, bytes(9)))
    put("edge_cloud_frame", "verdict", field(5, field(1, 5) + field(2, 2) + field(3, bytes([4])) + field(4, bytes(8))))
    put("edge_cloud_frame", "open", field(1, field(1, 1) + field(3, b"model") + field(5, 50) + field(7, field(2, 40) + field(7, b"stop"))))
    put("edge_cloud_session", "ascending", bytes(range(128)))
    put("edge_cloud_session", "mixed", bytes(37 * i % 251 for i in range(256)))


def http_seeds():
    def message(head, body=b""):
        return head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body
    post = "POST /v1/chat/completions?a=b HTTP/1.1\nHost: x\nX-Test: y\nContent-Length: 11"
    put("http", "post", b"\x05" + message(post, b'{"a": "bc"}'))
    put("http", "two_requests", b"\x11" + message("GET /a HTTP/1.1\nHost: x") + message("GET /b?c HTTP/1.1\nHost: x\nConnection: close"))
    put("http", "chunked", b"\x03" + message("POST / HTTP/1.1\nTransfer-Encoding: chunked\nExpect: 100-continue", b"3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nT: u\r\n\r\n"))
    put("http", "streamed_answer", b"\x07" + message("POST /s HTTP/1.0\nConnection: keep-alive\nContent-Length: 6", b"stream"))
    put("http", "head", b"\x02" + message("HEAD / HTTP/1.1\nHost: x\nX-Test: a\n b"))
    put("http", "too_large", b"\x3f" + message("POST / HTTP/1.1\nContent-Length: 99999999999"))


def api_request_seeds():
    tools = [{"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}}}]
    schema = {"type": "object", "properties": {"a": {"oneOf": [{"type": "string", "maxLength": 2}, {"type": "null"}]}, "b": {"$ref": "#/$defs/b"}},
              "$defs": {"b": {"type": "array", "items": {"$ref": "#/$defs/b"}, "maxItems": 1}}, "required": ["a"], "additionalProperties": False}
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{\"a\": 1}"}}
    chat = [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": [{"type": "text", "text": "Hi \u00e9"}]},
            {"role": "assistant", "content": None, "tool_calls": [call]}, {"role": "tool", "tool_call_id": "c", "content": "2"}]
    requests = {
        "chat": (0, {"model": "m", "messages": chat, "tools": tools, "tool_choice": "auto", "stream": True, "stream_options": {"include_usage": True}, "n": 2,
                     "chat_template_kwargs": {"enable_thinking": True}}),
        "sampling": (0, {"messages": chat[:2], "temperature": 0.5, "top_p": 0.9, "top_k": 3, "min_p": 0.1, "presence_penalty": 1, "frequency_penalty": -1,
                         "logit_bias": {"5": -100}, "seed": 7, "stop": ["x", "yz"], "logprobs": True, "top_logprobs": 2, "max_completion_tokens": 9,
                         "priority": 1, "timeout": 2.5, "cache_salt": "s", "user": None}),
        "schema": (0, {"messages": chat[:2], "response_format": {"type": "json_schema", "json_schema": {"name": "s", "strict": True, "schema": schema}}}),
        "required_tool": (0, {"messages": chat[:2], "tools": tools, "tool_choice": {"type": "function", "function": {"name": "f"}}}),
        "completion": (1, {"model": "m", "prompt": ["ab", "c"], "max_tokens": 4, "logprobs": 1, "stream": True, "echo": False, "best_of": 1}),
        "regex": (1, {"prompt": [5, 6, 7], "regex": "[ab]{1,3}(c|d)*"}),
        "grammar": (1, {"prompt": "x", "grammar": "start: \"a\" b+\nb: /[0-9]/"}),
        "response": (2, {"model": "m", "input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
                                                 {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
                                                 {"type": "function_call_output", "call_id": "c", "output": "1"}],
                         "instructions": "Be brief.", "previous_response_id": "resp-1", "store": True, "max_output_tokens": 5, "stream": True, "metadata": {"a": "b"},
                         "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}}], "tool_choice": "none"}),
        "response_format": (2, {"input": "Hi", "text": {"format": {"type": "json_schema", "name": "s", "schema": schema}}, "temperature": 0}),
        "embeddings": (3, {"model": "e", "input": ["a", "bc"], "encoding_format": "base64", "dimensions": 2}),
        "tokenize": (4, {"content": "ab", "add_special": True, "with_pieces": True}),
        "detokenize": (5, {"tokens": [67, 68]}),
    }
    for name, (route, body) in requests.items():
        put("api_request", name, bytes([route]) + json.dumps(body).encode())
    put("api_request", "get_models", bytes([6]) + b"/v1/models/m")
    put("api_request", "delete_response", bytes([7]) + b"/v1/responses/resp-1")


gguf_seed()
http_seeds()
api_request_seeds()
safetensors_seed()
edge_cloud_seeds()
plan_seeds()
tokenizer_seeds()
template_seeds()
systemverilog_seeds()
prove_seeds()
other_seeds()
