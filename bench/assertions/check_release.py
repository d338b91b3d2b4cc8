#!/usr/bin/env python3
"""Checks a data set of `callie assert generate` with tools that share no code with it.

Yosys proves every `lowered` module (all asserts of all pairs). Verilator compiles the raw texts of a sample, runs
random stimulus (no correct assertion may fail) and replays the witness of every refuted mutant (each must fail).
Also: duplicates, and what the splits share. Prints one JSON object.

    bench/assertions/check_release.py pairs.jsonl [--yosys N] [--verilator N] [--cycles N]
"""
import argparse
import json
import os
import re
import subprocess
import sys
import tempfile

BATCH = 50
YOSYS = ("prep -top {top}; async2sync; flatten; opt_clean; "
         "sat -tempinduct -prove-asserts -set-assumes -maxsteps 12 -verify")


def read(path):
    with open(path) as lines:
        return [json.loads(line) for line in lines]


def yosys(pairs):
    """Pairs that Yosys did not prove."""
    wrong = []
    with tempfile.TemporaryDirectory() as folder:
        for start in range(0, len(pairs), BATCH):
            group = pairs[start:start + BATCH]
            script = []
            for i, pair in enumerate(group):
                file = f"{folder}/{i}.sv"
                with open(file, "w") as out:
                    out.write(pair["lowered"])
                top = re.search(r"module (\w+)", pair["lowered"]).group(1)
                script += ["design -reset", f"log PAIR {pair['id']}", f"read_verilog -sv -formal {file}",
                           YOSYS.format(top=top)]
            text = run_yosys(script)
            proven = set(re.findall(r"PAIR (\S+)(?:(?!PAIR ).)*?Induction step proven: SUCCESS!", text, re.S))
            for pair in group:
                if pair["id"] in proven:
                    continue
                # A failure ends the process: those behind it are tried alone.
                i = group.index(pair)
                alone = script[4 * i:4 * i + 4] if len(script) == 4 * len(group) else script
                if "Induction step proven: SUCCESS!" not in run_yosys(alone):
                    wrong.append(pair["id"])
    return wrong


def run_yosys(commands):
    with tempfile.NamedTemporaryFile("w", suffix=".ys", delete=False) as script:
        script.write("\n".join(commands))
    done = subprocess.run(["yosys", "-s", script.name], capture_output=True, text=True)
    os.unlink(script.name)
    return done.stdout


def literal(value):
    return value if isinstance(value, str) else f"'d{value}"


def bench(index, pair, cycles):
    """The renamed module with all its assertions and mutants, and a task that drives it."""
    module = pair["module"].rstrip()
    name = re.search(r"module (\w+)", module).group(1)
    module = re.sub(r"module \w+", f"module dut{index}", module, count=1)
    assert module.endswith("endmodule"), name
    texts = [a["text"] for a in pair["assertions"]]
    replays = []
    for m in pair["mutants"]:
        if m["verdict"] == "refuted" and m["kind"].startswith("assertion:"):
            replays.append(m)
            texts.append(m["text"])
    source = module[:-len("endmodule")] + "\n".join(texts) + "\nendmodule\n"
    clock = pair["clock"]
    inputs = [s for s in pair["signals"] if s["dir"] == "input"]
    registers = {s["name"] for s in pair["signals"] if s["dir"] != "input"}
    out = [f"  logic [{s['width'] - 1}:0] i{index}_{s['name']};" for s in inputs]
    ports = ", ".join(f".{s['name']}(i{index}_{s['name']})" for s in inputs)
    out.append(f"  dut{index} u{index}({ports});")
    steps = [f"    $display(\"PAIR {pair['id']}\");"]
    active, idle = ("0", "1") if clock and clock["edge"] == "negedge" else ("1", "0")
    tick = [f"    #5; i{index}_{clock['name']} = {active}; #5; i{index}_{clock['name']} = {idle}; #5;"] if clock else ["    #10;"]
    if clock:
        steps.append(f"    i{index}_{clock['name']} = {idle};")
    data = [s for s in inputs if not clock or s["name"] != clock["name"]]
    steps.append(f"    for (int n = 0; n < {cycles}; n++) begin")
    for s in data:
        # Resets are rare, and wide inputs are often equal or at an end.
        if pair["reset"] and s["name"] == pair["reset"]["name"]:
            idle_level = 1 - pair["reset"]["level"]
            steps.append(f"    i{index}_{s['name']} = (n < 2 || $urandom_range(15) == 0) ? {1 - idle_level} : {idle_level};")
        else:
            words = ", ".join(["$urandom"] * ((s["width"] + 31) // 32))
            small = f"$urandom_range({min(3, 2 ** s['width'] - 1)})"
            steps.append(f"    i{index}_{s['name']} = $urandom_range(2) == 0 ? {small} : {{{words}}};")
    steps += tick + ["    end"]
    for k, m in enumerate(replays):
        steps.append(f"    $display(\"REPLAY {k}\");")
        for c, cycle in enumerate(m["witness"]["cycles"]):
            for signal, value in cycle.items():
                if clock and signal == clock["name"]:
                    continue
                if signal in registers:
                    if c == 0:
                        steps.append(f"    u{index}.{signal} = {enum_cast(pair, index, signal, value)};")
                else:
                    steps.append(f"    i{index}_{signal} = {literal(value)};")
            steps += tick
    return source, out, steps, replays


def enum_cast(pair, index, signal, value):
    info = next(s for s in pair["signals"] if s["name"] == signal)
    if not info["enum"]:
        return literal(value)
    kind = re.search(rf"^\s*(\w+_t) {signal};", pair["module"], re.M).group(1)
    return f"dut{index}_{kind}'({literal(value)})"


def verilator(pairs, cycles):
    failures, silent, broken, replayed = [], [], [], 0
    for start in range(0, len(pairs), BATCH):
        group = pairs[start:start + BATCH]
        modules, declarations, steps, replays = [], [], [], []
        for i, pair in enumerate(group):
            source, out, step, replay = bench(i, pair, cycles)
            for kind in re.findall(r"^\s*typedef enum .*?\} (\w+);", source, re.M):
                # One name for each module, at the top level, so that the bench may name it.
                typedef = re.search(rf"^\s*typedef enum .*?\}} {kind};", source, re.M).group(0)
                members = re.search(r"\{(.*?)\}", typedef).group(1).split(", ")
                source = source.replace(typedef, "")
                for member in members:
                    source = re.sub(rf"\b{member}\b", f"dut{i}_{member}", source)
                    typedef = re.sub(rf"\b{member}\b", f"dut{i}_{member}", typedef)
                source = re.sub(rf"\b{kind}\b", f"dut{i}_{kind}", source)
                typedef = re.sub(rf"\b{kind}\b", f"dut{i}_{kind}", typedef)
                modules.append(typedef)
            modules.append(source)
            declarations += out
            steps.append(f"  task automatic t{i}();\n" + "\n".join(step) + "\n  endtask")
            replays.append(replay)
        calls = "\n".join(f"    t{i}();" for i in range(len(group)))
        top = "\n".join(modules) + "module top;\n" + "\n".join(declarations) + "\n" + "\n".join(steps) + \
            f"\n  initial begin\n{calls}\n    $finish;\n  end\nendmodule\n"
        with tempfile.TemporaryDirectory() as folder:
            with open(f"{folder}/top.sv", "w") as out:
                out.write(top)
            built = subprocess.run(["verilator", "--binary", "--assert", "-Wno-fatal", "-Wno-lint", "-Wno-style", "-O1", "-CFLAGS", "-O0",
                                    "--x-initial", "unique", "-j", "2", "--top-module", "top", "--Mdir", f"{folder}/o", f"{folder}/top.sv"],
                                   capture_output=True, text=True)
            if built.returncode != 0:
                broken.append({"pairs": [p["id"] for p in group], "message": built.stderr[:3000]})
                if os.environ.get("KEEP"):
                    with open(os.environ["KEEP"], "w") as out:
                        out.write(top)
                continue
            ran = subprocess.run([f"{folder}/o/Vtop", "+verilator+error+limit+100000000"], capture_output=True, text=True)
        pair_index, replay, hits = -1, None, set()

        def close():
            nonlocal replayed
            if replay is None:
                return
            replayed += 1
            m = replays[pair_index][replay]
            if label_of(m["text"]) not in hits:
                silent.append({"pair": group[pair_index]["id"], "kind": m["kind"], "text": m["text"]})

        for line in ran.stdout.splitlines():
            if line.startswith("PAIR "):
                close()
                pair_index, replay, hits = pair_index + 1, None, set()
            elif line.startswith("REPLAY "):
                close()
                replay, hits = int(line.split()[1]), set()
            elif found := re.search(r"Assertion failed in TOP\.top\.u(\d+)\.(\w[\w.]*)", line):
                label = found.group(2).split(".")[-1].rstrip(":")
                hits.add(label)
                if label in {a["name"] for a in group[int(found.group(1))]["assertions"]} and replay is None:
                    failures.append({"pair": group[int(found.group(1))]["id"], "assertion": label})
        close()
    return failures, silent, broken, replayed


def label_of(text):
    return re.search(r"(\w+): assert", text).group(1)


def overlaps(pairs):
    train = [p for p in pairs if p["split"] == "train"]
    test = [p for p in pairs if p["split"] == "test"]

    def shared(key):
        return len({k for p in train for k in key(p)} & {k for p in test for k in key(p)})
    return {
        "train": len(train), "test": len(test),
        "alpha": shared(lambda p: [p["hash"]["alpha"]]),
        "shape": shared(lambda p: [p["hash"]["shape"]]),
        "header": shared(lambda p: [p["Code"].split("\n")[0]]),
        "names": shared(lambda p: [s["name"] for s in p["signals"]]),
        "repository": shared(lambda p: [p["source"]["repo"]] if p["source"] else []),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file")
    parser.add_argument("--yosys", type=int, default=10**9, help="pairs to prove again")
    parser.add_argument("--verilator", type=int, default=500, help="pairs to simulate, spread over the file")
    parser.add_argument("--cycles", type=int, default=2000)
    args = parser.parse_args()
    pairs = read(args.file)
    alpha = [p["hash"]["alpha"] for p in pairs]
    obligations = {f"P{n}" for n in range(1, 7)}
    report = {
        "pairs": len(pairs),
        "assertions": sum(len(p["assertions"]) for p in pairs),
        "with_all_obligations": sum({q["obligation"] for q in p["proof"] if q["verdict"] == "proven"} == obligations for p in pairs),
        "alpha_repeats": len(alpha) - len(set(alpha)),
        "shapes": len({p["hash"]["shape"] for p in pairs}),
        "splits": overlaps(pairs),
    }
    some = pairs[::max(1, len(pairs) // args.yosys)][:args.yosys] if args.yosys else []
    report["yosys"] = {"pairs": len(some), "not_proven": yosys(some)}
    some = pairs[::max(1, len(pairs) // args.verilator)][:args.verilator] if args.verilator else []
    failures, silent, broken, replayed = verilator(some, args.cycles)
    report["verilator"] = {"pairs": len(some), "failures_of_correct": failures, "mutants_replayed": replayed,
                           "mutants_that_did_not_fail": silent, "not_compiled": broken}
    print(json.dumps(report, indent=1))
    sys.exit(1 if report["yosys"]["not_proven"] or failures or silent or broken else 0)


if __name__ == "__main__":
    main()
