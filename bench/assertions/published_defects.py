#!/usr/bin/env python3
"""Counts the defects of published records ("Code", "Assertion", "Synchronous", "Clock") by `callie assert score`.

The records are not part of this repository: give the JSON files as arguments.
"""
import argparse
import json
import subprocess
from collections import Counter


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--callie", default="build/release/callie")
    parser.add_argument("--records", type=int, default=0, help="only the first so many of each file")
    parser.add_argument("files", nargs="+")
    args = parser.parse_args()
    columns = []
    for path in args.files:
        source = path
        if args.records:
            source = path + f".{args.records}.json"
            json.dump(json.load(open(path))[: args.records], open(source, "w"))
        run = subprocess.run([args.callie, "assert", "score", "--reference", source, "--json"], check=True, capture_output=True, text=True)
        result = json.loads(run.stdout)
        counts = Counter()
        for answer in result["answers"]:
            codes = {d["code"] for d in answer["diagnostics"] if d["severity"] == "error"}
            for assertion in answer["assertions"]:
                codes |= {d["code"] for d in assertion["diagnostics"] if d["severity"] == "error"}
            counts.update(codes)
        columns.append((path.split("/")[-1], result["summary"], counts))
    print("| | " + " | ".join(name for name, _, _ in columns) + " |")
    print("|---" * (len(columns) + 1) + "|")
    print("| records | " + " | ".join(str(s["answers"]) for _, s, _ in columns) + " |")
    print("| accepted | " + " | ".join(f"{s['accepted'] * s['answers']:.0f}" for _, s, _ in columns) + " |")
    codes = sorted({code for _, _, c in columns for code in c}, key=lambda code: -sum(c[code] for _, _, c in columns))
    for code in codes:
        print(f"| {code} | " + " | ".join(str(c[code]) for _, _, c in columns) + " |")
    for name, s, _ in columns:
        print(f"{name}: {s['assertions']} assertions: {s['verdicts']}")


if __name__ == "__main__":
    main()
