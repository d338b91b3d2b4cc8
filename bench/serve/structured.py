#!/usr/bin/env python3
"""Structured output on schemas.jsonl through the official Python client: how many answers are valid and end in time,
what the mask costs a token, and what it costs in throughput.

    structured.py CALLIE MODEL [--generations 5] [--record F] [--json F]      (needs: pip install openai jsonschema[format])

--record FILE keeps the answers, one a line, so that a run can be made in pieces: --pieces N ends after N further answers;
what is there is not asked again. --throughput adds a round of the same prompts with and without a mask (a figure that
wants an undisturbed machine); with --generations 0 it is all that is done. Exit code 0 when every answer that ended with
`stop` is valid and 97 % of all answers ended.
"""
import argparse
import collections
import concurrent.futures
import json
import os
import pathlib
import statistics
import sys
import urllib.request

import jsonschema
import openai

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent / "tests" / "clients"))
from server import Server  # noqa: E402

FEATURES = ("$ref", "enum", "pattern", "format", "anyOf", "oneOf", "allOf", "const", "prefixItems", "maxProperties")


def mask_buckets(server):
    """callie_mask_seconds: the number of masks up to each bound, in seconds."""
    text = urllib.request.urlopen(server.url + "/metrics").read().decode()
    buckets = {}
    for line in text.splitlines():
        if line.startswith("callie_mask_seconds_bucket"):
            bound, count = line.split('le="')[1].split('"} ')
            buckets[bound] = int(count)
    return buckets


def quantile_us(buckets, quantile):
    """Linear inside its bucket, in microseconds."""
    ordered = sorted((float(bound.replace("+Inf", "inf")), count) for bound, count in buckets.items())
    wanted, low, before = quantile * ordered[-1][1], 0.0, 0
    for bound, count in ordered:
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


def keys_of(node):
    if isinstance(node, dict):
        return set(node).union(*map(keys_of, node.values()))
    return set().union(*map(keys_of, node)) if isinstance(node, list) else set()


def depth_of(node):
    """Objects and arrays of the schema inside each other."""
    inner = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    return max(map(depth_of, inner), default=0) + (isinstance(node, dict) and node.get("type") in ("object", "array"))


def recursive(node, schema, path=()):
    """Whether a $ref leads back to itself."""
    if isinstance(node, list):
        return any(recursive(one, schema, path) for one in node)
    if not isinstance(node, dict):
        return False
    target = node.get("$ref")
    if isinstance(target, str):
        if target in path:
            return True
        place = schema
        for step in target.split("/")[1:]:
            place = place[step]
        if recursive(place, schema, path + (target,)):
            return True
    return any(recursive(value, schema, path) for key, value in node.items() if key != "$defs")


def describe(schemas):
    found = {"schemas": len(schemas), "nested": sum(depth_of(s) >= 2 for s in schemas),
             "recursive": sum(recursive(s, s) for s in schemas)}
    return found | {feature: sum(feature in keys_of(s) for s in schemas) for feature in FEATURES}


class Record:
    """Lines of a file, kept as they come."""
    def __init__(self, path):
        self.file, self.lines = None, []
        if path and os.path.exists(path):
            self.lines = [json.loads(line) for line in open(path)]
        if path:
            self.file = open(path, "a")

    def add(self, line):
        self.lines.append(line)
        if self.file:
            self.file.write(json.dumps(line) + "\n")
            self.file.flush()

    def of(self, kind):
        return [line for line in self.lines if line["kind"] == kind]


def generate(client, model, temperature, entry, seed):
    answer = client.chat.completions.create(
        model=model, max_tokens=1024, temperature=temperature, seed=seed,
        messages=[{"role": "user", "content": entry["prompt"] + " Answer in JSON."}],
        response_format={"type": "json_schema",
                         "json_schema": {"name": entry["name"], "strict": True, "schema": entry["schema"]}})
    choice = answer.choices[0]
    text = choice.message.content
    valid = False
    if choice.finish_reason == "stop":
        try:
            validator = jsonschema.Draft202012Validator
            validator(entry["schema"], format_checker=validator.FORMAT_CHECKER).validate(json.loads(text))
            valid = True
        except (ValueError, jsonschema.ValidationError) as problem:
            print(f"{entry['name']}: {str(problem)[:200]}\n  {text}", file=sys.stderr)
    else:
        print(f"{entry['name']}: {choice.finish_reason}: …{text[-60:]!r}", file=sys.stderr)
    return {"kind": "answer", "schema": entry["name"], "seed": seed, "reason": choice.finish_reason, "valid": valid,
            "tokens": answer.usage.completion_tokens, "text": text}


def report_of(record, schemas, model):
    answers, rounds = record.of("answer"), record.of("throughput")
    reasons = collections.Counter(line["reason"] for line in answers)
    masks = collections.Counter()
    for line in record.of("masks"):
        masks.update(line["buckets"])
    report = {"model": model, "features": describe([entry["schema"] for entry in schemas]),
              "schemas": len({line["schema"] for line in answers}), "generations": len(answers),
              "finish_reasons": dict(reasons)}
    if answers:
        # A failed validation afterwards has the finish reason content_filter: it ended, and it is not valid.
        ended = reasons["stop"] + reasons["content_filter"]
        report |= {"ended_share": ended / len(answers),
                   "valid_of_ended": sum(line["valid"] for line in answers) / max(ended, 1),
                   "checked_afterwards": sum(line["checked"] for line in record.of("masks")),
                   "failed_afterwards": sum(line["failed"] for line in record.of("masks")),
                   "tokens": sum(line["tokens"] for line in answers)}
    if masks:
        report |= {"mask_us_p50": quantile_us(masks, 0.5), "mask_us_p90": quantile_us(masks, 0.9)}
    if rounds:
        report |= {"throughput_rounds": len(rounds), "free_tok_s": statistics.median(line["free"] for line in rounds),
                   "masked_tok_s": statistics.median(line["masked"] for line in rounds),
                   "masked_slowdown": statistics.median(1 - line["masked"] / line["free"] for line in rounds)}
    return report


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("callie")
    parser.add_argument("model")
    parser.add_argument("--generations", type=int, default=5, help="answers for each schema")
    parser.add_argument("--pieces", type=int, default=10**9, help="end after so many further answers")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--threads", default="0")
    parser.add_argument("--temperature", type=float, default=0.7)
    parser.add_argument("--throughput", action="store_true")
    parser.add_argument("--record", metavar="FILE")
    parser.add_argument("--json")
    args = parser.parse_args()
    if "time" not in jsonschema.Draft202012Validator.FORMAT_CHECKER.checkers:
        parser.error("formats cannot be checked: pip install 'jsonschema[format]'")
    schemas = [json.loads(line) for line in open(HERE / "schemas.jsonl")]
    record = Record(args.record)
    known = {(line["schema"], line["seed"]) for line in record.of("answer")}
    jobs = [(entry, seed) for seed in range(args.generations) for entry in schemas if (entry["name"], seed) not in known]
    jobs = jobs[:args.pieces]
    if jobs or args.throughput:
        with Server(args.callie, args.model, "--threads", args.threads, "--log-level", "warn") as server:
            client = openai.OpenAI(base_url=server.url + "/v1", api_key="x", timeout=1200, max_retries=0)
            with concurrent.futures.ThreadPoolExecutor(args.clients) as pool:
                for line in pool.map(lambda job: generate(client, args.model, args.temperature, *job), jobs):
                    record.add(line)
            if jobs:
                record.add({"kind": "masks", "buckets": mask_buckets(server), "checked": server.metric("callie_schema_checked_total"),
                            "failed": server.metric("callie_schema_failed_total")})
            if args.throughput:
                # The same prompts with and without a mask that allows nearly everything, in turns.
                for _ in range(3):
                    record.add({"kind": "throughput", "free": throughput(client, server, args.model, 8, ignore_eos=True),
                                "masked": throughput(client, server, args.model, 8, regex="(.|\\n){400,}")})
    report = report_of(record, schemas, args.model)
    print(json.dumps(report, indent=2))
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(report, indent=2) + "\n")
    sys.exit(0 if report.get("valid_of_ended", 1) == 1 and report.get("ended_share", 1) >= 0.97 else 1)


if __name__ == "__main__":
    main()
