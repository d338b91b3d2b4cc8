#!/usr/bin/env python3
"""Checks a data set of `callie assert generate` with tools that share no code with it.

Yosys proves every `lowered` module (all asserts of all pairs; where all at once take it more than 10 processor seconds,
one after the other with the others taken out). Verilator compiles the raw texts of a sample, runs
random stimulus (no correct assertion may fail) and replays the witness of every refuted mutant (each must fail).
Also: duplicates, and what the splits share. Prints one JSON object.

With --state, what a tool has said of a text is kept there (by its hash) and not asked again: a long check can be done in
pieces (--seconds), and a release that differs in a few pairs costs a few questions. What was not reached yet is counted as
`open`, and the exit code is then 3.

    bench/assertions/check_release.py pairs.jsonl [--yosys N] [--verilator N] [--cycles N] [--state FILE] [--seconds N]
"""
import argparse
import hashlib
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time

BATCH = 50
RANDOM, BETWEEN = "random", "between"  # phases of a simulation that are no replay
YOSYS = ("prep -top {top}; async2sync; flatten; opt_clean; "
         "sat -tempinduct -prove-asserts -set-assumes -maxsteps 12 -verify")
PROVEN = "Induction step proven: SUCCESS!"
BATCH_LIMIT, PAIR_LIMIT, ASSERTION_LIMIT = 60, 10, 300  # processor seconds of Yosys
ASSERTION = re.compile(r"^\s*\w+: assert \(.*\);$", re.M)


def spread(count, wanted):
    """Numbers of `wanted` of `count` pairs, spread over the file."""
    return range(0, count, max(1, count // wanted))[:wanted] if wanted else range(0)


def read(path, simulated):
    """The pairs, with their variants where those will be simulated; a release with all of them is large."""
    with open(path) as lines:
        count = sum(1 for _ in lines)
    needed, out = set(spread(count, simulated)), []
    with open(path) as lines:
        for number, line in enumerate(lines):
            pair = json.loads(line)
            for key in ("messages", "prompt", "completion", "Assertion") + (() if number in needed else ("mutants", "assertions")):
                if key == "assertions":
                    pair[key] = len(pair[key])
                else:
                    pair.pop(key, None)
            out.append(pair)
    return out, sorted(needed)


class State:
    """Answers by the hash of their question."""

    def __init__(self, path, seconds):
        self.path, self.known = path, {}
        self.end = time.time() + seconds if seconds else None
        if path and os.path.exists(path):
            with open(path) as lines:
                self.known = {row["key"]: row for row in map(json.loads, lines)}

    @staticmethod
    def key(tool, text):
        return hashlib.sha256(f"{tool}\n{text}".encode()).hexdigest()[:24]

    def over(self):
        return self.end is not None and time.time() > self.end

    def add(self, key, **answer):
        self.known[key] = {"key": key, **answer}
        if self.path:
            with open(self.path, "a") as out:
                out.write(json.dumps(self.known[key]) + "\n")


def yosys(pairs, state):
    """(pairs that Yosys did not prove, pairs that it was not asked about yet, pairs proven assertion by assertion)"""
    keys = {pair["id"]: State.key("yosys", pair["lowered"]) for pair in pairs}
    todo = [pair for pair in pairs if keys[pair["id"]] not in state.known]
    with tempfile.TemporaryDirectory() as folder:
        for start in range(0, len(todo), BATCH):
            if state.over():
                break
            group = todo[start:start + BATCH]
            commands = []
            for i, pair in enumerate(group):
                file = f"{folder}/{i}.sv"
                with open(file, "w") as out:
                    out.write(pair["lowered"])
                commands.append(["design -reset", f"log PAIR {pair['id']}", *yosys_commands(pair["lowered"], file)])
            text = run_yosys(sum(commands, []), BATCH_LIMIT)
            proven = set(re.findall(rf"PAIR (\S+)(?:(?!PAIR ).)*?{re.escape(PROVEN)}", text, re.S))
            for pair, alone in zip(group, commands):
                # A failure ends the process: those behind it are tried alone.
                if pair["id"] in proven or PROVEN in run_yosys(alone, PAIR_LIMIT):
                    state.add(keys[pair["id"]], proven=True)
                else:
                    state.add(keys[pair["id"]], proven=one_by_one(pair["lowered"], f"{folder}/one.sv"), one_by_one=True)
    asked = [pair["id"] for pair in pairs if keys[pair["id"]] in state.known]
    known = {i: state.known[keys[i]] for i in asked}
    return ([i for i in asked if not known[i]["proven"]], len(pairs) - len(asked),
            sum(row["proven"] and "one_by_one" in row for row in known.values()))


def yosys_commands(text, file):
    return [f"read_verilog -sv -formal {file}", YOSYS.format(top=re.search(r"module (\w+)", text).group(1))]


def one_by_one(text, file):
    """Whether Yosys proves each assertion with all others taken out."""
    count = len(ASSERTION.findall(text))
    if count == 0 or count != text.count(": assert"):
        return False
    for kept in range(count):
        numbers = iter(range(count))
        with open(file, "w") as out:
            out.write(ASSERTION.sub(lambda match: match.group(0) if next(numbers) == kept else ";", text))
        if PROVEN not in run_yosys(yosys_commands(text, file), ASSERTION_LIMIT):
            return False
    return True


def run_yosys(commands, limit):
    with tempfile.NamedTemporaryFile("w", suffix=".ys", delete=False) as script:
        script.write("\n".join(commands))
    done = subprocess.run(["yosys", "-s", script.name], capture_output=True, text=True,
                          preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (limit, limit)))
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
    if pair["reset"]:
        # A reset that is active from the start on is an edge from x; with two states there is none, so it comes from idle.
        steps.append(f"    i{index}_{pair['reset']['name']} = {1 - pair['reset']['level']}; #5;")
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
        # Other values come first: a process whose inputs do not change is not evaluated again, and its assertion says nothing.
        steps.append("    $display(\"BETWEEN\");")
        for signal in m["witness"]["cycles"][0]:
            if not clock or signal != clock["name"]:
                place = f"u{index}.{signal}" if signal in registers else f"i{index}_{signal}"
                steps.append(f"    {place} = {enum_cast(pair, index, signal, '~' + place)};")
        steps.append("    #5;")
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


def verilator(pairs, cycles, state):
    """(failures of correct assertions, wrong variants that did not fail, groups that did not compile, variants replayed, open)"""
    totals, still_open = ([], [], [], 0), 0
    for start in range(0, len(pairs), BATCH):
        group = pairs[start:start + BATCH]
        key = State.key(f"verilator {cycles}", json.dumps(group, sort_keys=True))
        if key not in state.known:
            if state.over():
                still_open += len(group)
                continue
            state.add(key, answer=verilate(group, cycles))
        totals = tuple(a + b for a, b in zip(totals, state.known[key]["answer"]))
    return *totals, still_open


def verilate(group, cycles):
    failures, silent, broken, replayed = [], [], [], 0
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
        built = subprocess.run(["verilator", "--binary", "--assert", "-Wno-fatal", "-Wno-lint", "-Wno-style", "-O1", "-MAKEFLAGS", "OPT_FAST=-O0 OPT_SLOW=-O0",
                                "--x-initial", "unique", "-j", "2", "--top-module", "top", "--Mdir", f"{folder}/o", f"{folder}/top.sv"],
                               capture_output=True, text=True)
        if built.returncode != 0:
            broken.append({"pairs": [p["id"] for p in group], "message": built.stderr[:3000]})
            if os.environ.get("KEEP"):
                with open(os.environ["KEEP"], "w") as out:
                    out.write(top)
            return [failures, silent, broken, replayed]
        with subprocess.Popen([f"{folder}/o/Vtop", "+verilator+error+limit+1000000000"], stdout=subprocess.PIPE, text=True) as ran:
            failures, silent, replayed = outcome(ran.stdout, group, replays)
    return [failures, silent, broken, replayed]


def outcome(lines, group, replays):
    """(failures of correct assertions, wrong variants that did not fail when replayed, variants replayed)"""
    failures, silent, replayed = [], [], 0
    pair_index, phase, hits = -1, RANDOM, set()  # the phase of a replay is its number
    correct = [{a["name"] for a in pair["assertions"]} for pair in group]
    seen = set()  # what failed in this phase: immediate assertions say so in every evaluation, millions of times

    def close():
        nonlocal replayed
        if phase in (RANDOM, BETWEEN):
            return
        replayed += 1
        m = replays[pair_index][phase]
        if label_of(m["text"]) not in hits:
            silent.append({"pair": group[pair_index]["id"], "kind": m["kind"], "text": m["text"]})

    for line in lines:
        at = line.find("Assertion failed in TOP.top.u")
        if at >= 0:
            place = line[at:]
            if place in seen:
                continue
            seen.add(place)
            found = re.search(r"TOP\.top\.u(\d+)\.(\w[\w.]*)", place)
            of, label = int(found.group(1)), found.group(2).split(".")[-1].rstrip(":")
            if of == pair_index:
                hits.add(label)
            if label in correct[of] and phase == RANDOM:
                failures.append({"pair": group[of]["id"], "assertion": label})
        elif line.startswith("PAIR "):
            close()
            pair_index, phase, hits = pair_index + 1, RANDOM, set()
            seen.clear()
        elif line.startswith("BETWEEN"):
            close()
            phase = BETWEEN
        elif line.startswith("REPLAY "):
            phase, hits = int(line.split()[1]), set()
            seen.clear()
    close()
    return failures, silent, replayed


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
    parser.add_argument("--state", help="answers of the tools so far")
    parser.add_argument("--seconds", type=int, default=0, help="start no question after so long")
    args = parser.parse_args()
    pairs, simulated = read(args.file, args.verilator)
    alpha = [p["hash"]["alpha"] for p in pairs]
    obligations = {f"P{n}" for n in range(1, 7)}
    report = {
        "pairs": len(pairs),
        "assertions": sum(p["assertions"] if isinstance(p["assertions"], int) else len(p["assertions"]) for p in pairs),
        "with_all_obligations": sum({q["obligation"] for q in p["proof"] if q["verdict"] == "proven"} == obligations for p in pairs),
        "alpha_repeats": len(alpha) - len(set(alpha)),
        "shapes": len({p["hash"]["shape"] for p in pairs}),
        "splits": overlaps(pairs),
    }
    some = [pairs[i] for i in spread(len(pairs), args.yosys)]
    state = State(args.state, args.seconds)
    not_proven, open_pairs, singly = yosys(some, state)
    report["yosys"] = {"pairs": len(some), "not_proven": not_proven, "open": open_pairs, "proven_one_by_one": singly}
    some = [pairs[i] for i in simulated]
    failures, silent, broken, replayed, open_simulated = verilator(some, args.cycles, state)
    report["verilator"] = {"pairs": len(some), "failures_of_correct": failures, "mutants_replayed": replayed,
                           "mutants_that_did_not_fail": silent, "not_compiled": broken, "open": open_simulated}
    print(json.dumps(report, indent=1))
    if open_pairs or open_simulated:
        sys.exit(3)
    sys.exit(1 if report["yosys"]["not_proven"] or failures or silent or broken else 0)


if __name__ == "__main__":
    main()
