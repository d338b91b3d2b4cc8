#!/usr/bin/env python3
"""The planner's studies: each writes NAME.csv and NAME.svg. All use seed 1; the configuration of every point is below.

    bench/planner/studies.py --callie build/release/callie --traces ../shared/data/serving/traces -o docs/planner/studies
"""

import argparse
import csv
import json
import os
import subprocess
import tempfile

BASE = """
models: {m: {name: MODEL}, e5: {name: e5-large}}
hardware: {h: {preset: HW}, cpu: {preset: epyc_9654}}
"""


def run(args, text):
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(text)
        file.flush()
        out = subprocess.run([args.callie, "plan", "run", file.name, "--json"], capture_output=True, text=True)
    if out.returncode:
        raise SystemExit(f"{out.stderr}\n{text}")
    s = json.loads(out.stdout)["summary"]
    a = s["all"]
    return {"requests_per_s": s["throughput"]["requests_per_s"], "ttft_mean_ms": a["ttft_ms"]["mean"],
            "ttft_p99_ms": a["ttft_ms"]["p99"], "tpot_mean_ms": a["tpot_ms"]["mean"], "tpot_p99_ms": a["tpot_ms"]["p99"],
            "e2e_p99_ms": a["e2e_ms"]["p99"], "transfer_mean_ms": a["stage_mean_ms"]["transfer"],
            "usd_per_million": s["cost"]["usd_per_million_output_tokens"], "saturated": s["bottleneck"]["saturated"],
            "preemptions": sum(c["preemptions"] for c in s["clients"])}


def base(model="llama-3.1-8b", hw="h100_sxm"):
    return BASE.replace("MODEL", model).replace("HW", hw)


def batching(args):
    for trace, scale in (("azure_2023_conv", 2), ("azure_2023_code", 1.5)):
        for policy in ("static", "orca", "continuous", "vllm0", "sarathi", "chunked", "mixed", "vllm1", "callie"):
            yield {"series": trace[11:], "x": policy}, base() + (
                f"clients: [{{name: llm, model: m, hw: h, sched: {{policy: {policy}, max_seqs: 128}}}}]\n"
                f"workload: {{trace: {os.path.abspath(args.traces)}/{trace}.csv, scale: {scale}, requests: 5000}}\n")


def pd_link(args):
    for pre, dec in ((1, 3), (2, 2), (3, 1)):
        for gbs in (5, 12, 25, 50, 100, 200, 400):
            yield {"series": f"{pre} prefill, {dec} decode", "x": gbs}, base() + (
                f"clients:\n  - {{name: pre, role: prefill, model: m, hw: h, count: {pre}, sched: {{policy: chunked}}}}\n"
                f"  - {{name: dec, role: decode, model: m, hw: h, count: {dec}, sched: {{policy: chunked}}}}\n"
                f"fabric: {{links: [{{from: pre, to: dec, gbps: {gbs * 8}, lat_us: 5}}]}}\n"
                "workload: {arrivals: 'gamma(20, 3)', prompt: 'lognormal(7.5, 0.7)', output: geometric(200), requests: 4000}\n")


def tiers(args):
    for name, tier in (("recompute", ""), ("dram, 54 GB/s", "dram"), ("rack, 6 GB/s", "rack")):
        for prefix in (512, 1024, 2048, 4096, 8192, 16384, 32768):
            classes = ", ".join(f"{{name: c{i}, share: 1, prompt: '64', output: '2', shared_prefix: {prefix}}}" for i in range(24))
            yield {"series": name, "x": prefix}, base() + (
                f"clients: [{{name: llm, model: m, hw: h, host: none, sched: {{token_budget: 8192}}, kv: {{blocks: {max(prefix // 8, 256)}, tiers: [{tier}]}}}}]\n"
                "fabric: {tiers: {dram: {gb: 512, gbs: 54, lat_us: 10}, rack: {gb: 4096, gbs: 6, lat_us: 50, shared: true}}}\n"
                f"pipeline: [{'kv, ' if tier else ''}prefill, decode]\n"
                f"workload: {{arrivals: poisson(0.3), requests: 400, warmup: 100, classes: [{classes}]}}\n")


def reasoning(args):
    for paths in (1, 8):
        for times in (1, 4, 8):
            yield {"series": f"{paths} path{'s' * (paths > 1)}", "x": times}, base() + (
                "clients: [{name: llm, model: m, hw: h, count: 2, sched: {max_seqs: 256}}]\n"
                "workload: {arrivals: poisson(4), prompt: 'lognormal(6, 0.8)', output: geometric(200), requests: 2000, "
                f"reasoning: {{p: 1, mult: '{times}', paths: {paths}}}}}\n")


def kv_cliff(args):
    for blocks in (3200, 2400, 2000, 1700, 1500, 1350, 1250, 1150, 1050):
        yield {"series": "8B", "x": blocks}, base() + (
            f"clients: [{{name: llm, model: m, hw: h, sched: {{max_seqs: 256}}, kv: {{blocks: {blocks}}}}}]\n"
            "workload: {arrivals: poisson(14), prompt: 'lognormal(6.5, 0.9)', output: geometric(210), requests: 4000}\n")


def rag(args):
    for place, hw, cores in (("processor", "cpu", 8), ("processor", "cpu", 32), ("processor", "cpu", 96)):
        for share in (0, 0.2, 0.4, 0.8):
            yield {"series": f"{cores} cores", "x": share}, base() + (
                "clients:\n  - {name: llm, model: m, hw: h, count: 2}\n"
                f"  - {{name: rag, role: rag, hw: {hw}, embed: e5, batch: {{max: 16, wait_ms: 2}}, "
                f"index: {{kind: ivfpq, n: 1e8, d: 768, m: 96, nlist: 65536, nprobe: 64, cores: {cores}}}}}\n"
                f"pipeline: [{{rag: {{p: {share}, docs: 8, tokens: 512}}}}, prefill, decode]\n"
                "workload: {arrivals: poisson(5), prompt: 'lognormal(6, 0.8)', output: geometric(180), requests: 3000}\n")


def pareto(args):
    for hw in ("l40s", "a100_sxm", "h100_sxm", "b200_sxm"):
        for count in (1, 2, 3, 4):
            yield {"series": hw, "x": count}, base(hw=hw) + (
                f"clients: [{{name: llm, model: m, hw: h, count: {count}}}]\nrouting: {{policy: least_work}}\n"
                "workload: {arrivals: 'gamma(8, 2)', prompt: 'lognormal(6.5, 0.9)', output: geometric(210), requests: 3000}\n")


# study: (points, x of the plot, y of the plot)
STUDIES = {"batching": (batching, "x", "tpot_p99_ms"), "pd_link": (pd_link, "x", "transfer_mean_ms"),
           "tiers": (tiers, "x", "ttft_mean_ms"), "reasoning": (reasoning, "x", "e2e_p99_ms"),
           "kv_cliff": (kv_cliff, "x", "ttft_p99_ms"), "rag": (rag, "x", "ttft_p99_ms"),
           "pareto": (pareto, "usd_per_million", "ttft_p99_ms")}
COLOURS = ["#1f6feb", "#d1651b", "#1a7f4b", "#a03fb0"]


def plot(path, name, rows, x_key, y_key):
    """Lines over evenly spaced points, or by value for numbers; the y axis is logarithmic."""
    import math
    labels = list(dict.fromkeys(r[x_key] for r in rows))
    if x_key != "x":
        labels = sorted(labels)
    at = {label: 70 + 520 * i / max(len(labels) - 1, 1) for i, label in enumerate(labels)}
    ys = [max(r[y_key], 0.01) for r in rows]
    low, high = math.log10(min(ys)), math.log10(max(ys) * 1.05)
    place = lambda v: 270 - 230 * (math.log10(max(v, 0.01)) - low) / max(high - low, 1e-9)
    out = ['<svg xmlns="http://www.w3.org/2000/svg" width="640" height="340" font-family="sans-serif" font-size="12">',
           '<rect width="640" height="340" fill="#fff"/>', f'<text x="70" y="20" font-weight="bold">{name}: {y_key} (logarithmic)</text>']
    for k in range(5):
        v = 10 ** (low + (high - low) * k / 4)
        out.append(f'<line x1="70" x2="590" y1="{place(v):.1f}" y2="{place(v):.1f}" stroke="#ddd"/>'
                   f'<text x="64" y="{place(v) + 4:.1f}" text-anchor="end">{v:.3g}</text>')
    for label in labels if len(labels) <= 9 else labels[::3]:
        text = f"{label:.3g}" if isinstance(label, float) else label
        out.append(f'<text x="{at[label]:.1f}" y="290" text-anchor="middle">{text}</text>')
    for i, series in enumerate(dict.fromkeys(r["series"] for r in rows)):
        points = [(at[r[x_key]], place(r[y_key])) for r in rows if r["series"] == series]
        out.append(f'<polyline fill="none" stroke-width="2" stroke="{COLOURS[i]}" points="' +
                   " ".join(f"{x:.1f},{y:.1f}" for x, y in points) + '"/>')
        out += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{COLOURS[i]}"/>' for x, y in points]
        out.append(f'<text x="{70 + 150 * i}" y="325" fill="{COLOURS[i]}">{series}</text>')
    with open(path, "w") as file:
        file.write("\n".join(out) + "\n</svg>\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--callie", default="callie")
    parser.add_argument("--traces", required=True)
    parser.add_argument("-o", "--output", default="docs/planner/studies")
    parser.add_argument("--only", default="")
    args = parser.parse_args()
    os.makedirs(args.output, exist_ok=True)
    for name, (points, x_key, y_key) in STUDIES.items():
        if args.only and name != args.only:
            continue
        rows = [{**key, **run(args, text)} for key, text in points(args)]
        with open(f"{args.output}/{name}.csv", "w", newline="") as file:
            writer = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
            writer.writeheader()
            writer.writerows({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in r.items()} for r in rows)
        plot(f"{args.output}/{name}.svg", name, rows, x_key, y_key)
        print(name, len(rows), "points")


if __name__ == "__main__":
    main()
