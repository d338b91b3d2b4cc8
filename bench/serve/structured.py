#!/usr/bin/env python3
"""Structured output on schemas.jsonl through the official Python client: how many answers are valid and end in time,
what the mask costs a token, and what it costs in throughput.

    structured.py CALLIE MODEL [--generations 5] [--json F]      (needs: pip install openai jsonschema)
"""
import argparse
import collections
import concurrent.futures
import json
import pathlib
import sys
import urllib.request

import jsonschema
import openai

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent / "tests" / "clients"))
from server import Server  # noqa: E402


def mask_microseconds(server, quantile):
    """The quantile of callie_mask_seconds, linear inside its bucket, in microseconds."""
    text = urllib.request.urlopen(server.url + "/metrics").read().decode()
    buckets = []
    for line in text.splitlines():
        if line.startswith("callie_mask_seconds_bucket"):
            bound, count = line.split('le="')[1].split('"} ')
            buckets.append((float(bound.replace("+Inf", "inf")), int(count)))
    wanted, low, before = quantile * buckets[-1][1], 0.0, 0
    for bound, count in buckets:
        if count >= wanted:
            return 1e6 * (low + (bound - low) * (wanted - before) / max(count - before, 1))
        low, before = bound, count


def throughput(client, server, model, clients, **extra):
    """Output tokens a second of step time while `clients` answers run together."""
    def one(i):
        client.chat.completions.create(model=model, messages=[{"role": "user", "content": f"Write about topic {i}."}],
                                       max_tokens=96, temperature=0, extra_body=extra)
    before = server.metric("callie_output_tokens_total"), server.metric("callie_step_seconds_total")
    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        list(pool.map(one, range(clients)))
    after = server.metric("callie_output_tokens_total"), server.metric("callie_step_seconds_total")
    return (after[0] - before[0]) / (after[1] - before[1])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("callie")
    parser.add_argument("model")
    parser.add_argument("--generations", type=int, default=5)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--threads", default="0")
    parser.add_argument("--temperature", type=float, default=0.7)
    parser.add_argument("--json")
    args = parser.parse_args()
    schemas = [json.loads(line) for line in open(HERE / "schemas.jsonl")]
    with Server(args.callie, args.model, "--threads", args.threads, "--log-level", "warn") as server:
        client = openai.OpenAI(base_url=server.url + "/v1", api_key="x", timeout=1200, max_retries=0)

        def generate(job):
            entry, seed = job
            answer = client.chat.completions.create(
                model=args.model, max_tokens=1024, temperature=args.temperature, seed=seed,
                messages=[{"role": "user", "content": entry["prompt"] + " Answer in JSON."}],
                response_format={"type": "json_schema",
                                 "json_schema": {"name": entry["name"], "strict": True, "schema": entry["schema"]}})
            choice = answer.choices[0]
            valid = False
            if choice.finish_reason == "stop":
                try:
                    jsonschema.Draft202012Validator(
                        entry["schema"], format_checker=jsonschema.FormatChecker()).validate(json.loads(choice.message.content))
                    valid = True
                except (ValueError, jsonschema.ValidationError) as problem:
                    print(f"{entry['name']}: {str(problem)[:200]}\n  {choice.message.content}", file=sys.stderr)
            elif choice.finish_reason != "stop":
                print(f"{entry['name']}: {choice.finish_reason}: …{choice.message.content[-60:]!r}", file=sys.stderr)
            return choice.finish_reason, valid, answer.usage.completion_tokens

        jobs = [(entry, seed) for seed in range(args.generations) for entry in schemas]
        with concurrent.futures.ThreadPoolExecutor(args.clients) as pool:
            results = list(pool.map(generate, jobs))
        reasons = collections.Counter(reason for reason, _, _ in results)
        report = {"model": args.model, "schemas": len(schemas), "generations": len(results), "finish_reasons": dict(reasons),
                  "ended_share": reasons["stop"] / len(results),
                  "valid_of_ended": sum(valid for _, valid, _ in results) / max(reasons["stop"], 1),
                  "mask_us_p50": mask_microseconds(server, 0.5), "mask_us_p90": mask_microseconds(server, 0.9),
                  "tokens": sum(tokens for _, _, tokens in results)}
        # The same prompts with and without a mask that allows nearly everything, in turns.
        free, bound = [], []
        for _ in range(3):
            free.append(throughput(client, server, args.model, 8, ignore_eos=True))
            bound.append(throughput(client, server, args.model, 8, regex="(.|\\n){400,}"))
        report["free_tok_s"], report["masked_tok_s"] = sorted(free)[1], sorted(bound)[1]
        report["masked_slowdown"] = 1 - report["masked_tok_s"] / report["free_tok_s"]
    print(json.dumps(report, indent=2))
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(report, indent=2) + "\n")
    sys.exit(0 if report["valid_of_ended"] == 1 and report["ended_share"] >= 0.97 else 1)


if __name__ == "__main__":
    main()
