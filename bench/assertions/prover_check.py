#!/usr/bin/env python3
"""`callie assert prove` beside Yosys and ABC: verdicts and processor time, one property a run.

Properties: those of prover_designs.py (written by hand, many with a meaning that its author noted), correct assertions of
`callie assert generate` (their lowered text), the `ifdef FORMAL` blocks of a folder of Verilog (--formal: each module with one is
a top module, and each of its own assertions a property; the PyPI package pythondata-cpu-mor1kx has some), and the regression
tests with assertions of Debian's `verilator` source package, which are fetched when this runs and whose
outcome is what their own test says: they pass in simulation, so no assertion in them fails from the start on.

Yosys: `sat -tempinduct`. ABC: `write_aiger`, then `pdr`. Times are processor seconds of the whole process (for ABC the
translation by Yosys is counted separately and left out), so that a busy machine does not matter. A peer's time is that of
the faster one which decides. The report gives them as they are and less what each program needs to start and to do nothing
(callie is linked with all of its verbs: some 20 ms). Vacuous counts as proven, which is how peers see it.

    bench/assertions/prover_check.py --work FOLDER [--callie PATH] [--limit 60] [--verilator-source FOLDER] [--formal FOLDER] [--report]

Finished rows are kept in FOLDER/rows.jsonl; a second run goes on from there. --report prints the table of what is there.
"""
import argparse
import json
import os
import re
import resource
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from prover_designs import designs  # noqa: E402

PREPARE = "read_verilog -sv -formal {file}; prep -top {top}; async2sync; flatten; opt_clean; memory_map; opt_clean; "
SAT = "sat -tempinduct -prove-asserts -set-assumes -maxsteps 120 -verify"
AIGER = ("delete -output; opt -full; techmap; dffunmap; abc -g AND; opt_clean; write_aiger -I -B -zinit {aig}")


def run(command, limit):
    """(output, processor seconds, over the limit)"""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                               preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (limit, limit)))
    try:
        text, _ = process.communicate(timeout=limit * 20)
    except subprocess.TimeoutExpired:
        process.kill()
        text, _ = process.communicate()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return text, seconds, process.returncode < 0


def ours(callie, file, top, limit):
    text, seconds, _ = run([callie, "assert", "prove", str(file), "--top", top, "--json", "--time-limit", str(limit)], limit + 30)
    try:
        found = json.loads(text)["assertions"]
    except (ValueError, KeyError):
        return "error", seconds, text.strip()[:200]
    verdicts = {a["verdict"] for a in found}
    if len(found) != 1:
        return "error", seconds, f"{len(found)} assertions"
    return verdicts.pop(), seconds, found[0]["reason"] or found[0]["method"] or ""


def yosys_sat(file, top, limit):
    text, seconds, over = run(["yosys", "-p", PREPARE.format(file=file, top=top) + SAT], limit)
    return verdict_of(text, over), seconds


def verdict_of(text, over):
    """What `sat -tempinduct` says."""
    if "Induction step proven: SUCCESS!" in text or "no literals to prove" in text.lower():
        return "proven"
    if "model found: FAIL!" in text or "Called with -verify and proof did fail!" in text and "Reached maximum number of time steps" not in text:
        return "refuted"
    return "open" if over or "Reached maximum" in text or "timeout" in text.lower() else "error"


def abc(file, top, limit, folder):
    aig = folder / "x.aig"
    aig.unlink(missing_ok=True)
    text, seconds, _ = run(["yosys", "-p", PREPARE.format(file=file, top=top) + AIGER.format(aig=aig)], limit)
    if not aig.exists():
        return "error", seconds
    text, seconds, over = run(["yosys-abc" if not Path("/usr/bin/berkeley-abc").exists() else "berkeley-abc", "-c",
                               f"read_aiger {aig}; fold; strash; pdr -T {limit}"], limit)
    if "Property proved" in text:
        return "proven", seconds
    if re.search(r"Output \d+ .*was asserted in frame|was asserted in frame", text):
        return "refuted", seconds
    if "trivially" in text.lower() or "combinational" in text.lower():
        text, more, _ = run(["berkeley-abc", "-c", f"read_aiger {aig}; fold; strash; prove; print_status"], limit)
        return ("proven" if "UNSATISFIABLE" in text else "refuted" if "SATISFIABLE" in text else "error"), seconds + more
    return "open" if over or "timeout" in text.lower() else "error", seconds


def properties(args):
    for name, source, expected in designs():
        yield "by hand", name, "m", source, expected
    if args.generated:
        with open(args.generated) as lines:
            for number, line in enumerate(lines):
                if number >= args.generated_count:
                    break
                pair = json.loads(line)
                top = re.search(r"module (\w+)", pair["lowered"]).group(1)
                parts = re.split(r"(?=\b\w+\s*:\s*assert\b\s*\()", pair["lowered"])
                if len(parts) < 2:
                    continue
                # One assertion of each pair; the others become nothing.
                keep = 1 + number % (len(parts) - 1)
                text = parts[0] + "".join(p if i == keep else re.sub(r"^\w+\s*:\s*assert\s*\((?:[^()]|\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\))*\)\s*;", ";", p)
                                          for i, p in enumerate(parts) if i > 0)
                yield "generated", pair["id"], top, text, True


def check(args, work):
    rows_file = work / "rows.jsonl"
    done = set()
    if rows_file.exists():
        done = {(r["set"], r["name"]) for r in map(json.loads, rows_file.open())}
    end = time.time() + args.seconds if args.seconds else None
    with rows_file.open("a") as out:
        for kind, name, top, source, expected in properties(args):
            if (kind, name) in done:
                continue
            if end and time.time() > end:
                break
            file = work / "x.sv"
            file.write_text(source)
            verdict, seconds, detail = ours(args.callie, file, top, args.limit)
            row = {"set": kind, "name": name, "expected": expected, "verdict": verdict, "seconds": seconds, "detail": detail}
            row["yosys"], row["yosys_seconds"] = yosys_sat(file, top, args.limit)
            row["abc"], row["abc_seconds"] = abc(file, top, args.limit, work)
            out.write(json.dumps(row) + "\n")
            out.flush()


def verilator_tests(args, work):
    """Regression tests of Debian's source package: what prove says of assertions that pass in simulation."""
    folder = args.verilator_source and Path(args.verilator_source)
    if not folder:
        return None
    rows = []
    for file in sorted(folder.glob("test_regress/t/*.v")) + sorted(folder.glob("test_regress/t/*.sv")):
        text = file.read_text(errors="replace")
        if not re.search(r"\bassert\s*(property|#0|final|\()", text) or "_bad" in file.name:
            continue
        found, _, _ = run([args.callie, "assert", "prove", str(file), "-I", str(file.parent), "--json", "--time-limit", "10"], 120)
        driver = file.with_suffix(".pl")
        simulates = driver.exists() and "execute" in driver.read_text() and "fails" not in driver.read_text()
        try:
            assertions = json.loads(found)["assertions"]
            rows.append((file.name, simulates, [(a["name"], a["verdict"], a["reason"]) for a in assertions]))
        except (ValueError, KeyError):
            rows.append((file.name, simulates, found.strip().splitlines()[0] if found.strip() else ""))
    return rows


def formal_blocks(args, work):
    """Verdicts of FORMAL blocks beside Yosys, kept in formal.jsonl: a module's assertions at once, Yosys one by one."""
    rows_file = work / "formal.jsonl"
    done = {row["module"] for row in map(json.loads, rows_file.open())} if rows_file.exists() else set()
    texts = {str(f): f.read_text(errors="replace") for f in sorted(Path(args.formal).rglob("*.v"))}
    modules = {found.group(1): f for f, text in texts.items() if (found := re.search(r"^\s*module\s+(\w+)", text, re.M))}
    folders = sorted({str(Path(f).parent) for f in texts})
    with rows_file.open("a") as out:
        for top, file in modules.items():
            if not re.search(r"`ifdef\s+FORMAL\b", texts[file]) or top in done:
                continue
            files = [file]
            for f in files:  # grows: the files of the modules that are named below `top`
                files += [modules[name] for name in modules if modules[name] not in files and re.search(rf"\b{name}\b", texts[f])]
            row = {"module": top, "error": "", "assertions": [], "seconds": 0.0, "yosys_seconds": 0.0}
            found, row["seconds"], _ = run([args.callie, "assert", "prove", *files, "--top", top, "-D", "FORMAL", "--json", "--time-limit", str(args.limit),
                                            *(f"-I{f}" for f in folders)], 40 * args.limit)
            try:
                own = [a for a in json.loads(found)["assertions"] if a.get("file", file) == file]
            except (ValueError, KeyError):
                own, row["error"] = [], next((line for line in found.splitlines() if "error" in line), "")
            cells = yosys_assertions(files, folders, file, top, work, args.limit) if own else {}
            for a in own:
                entry = {key: a[key] for key in ("name", "line", "verdict", "reason")}
                entry["yosys"] = "no cell"
                names = cells.get(a["line"], [])
                if len(names) == 1 and sum(other["line"] == a["line"] for other in own) == 1:
                    entry["yosys"], seconds = yosys_cell(work, names[0], args.limit)
                    row["yosys_seconds"] += seconds
                row["assertions"].append(entry)
            out.write(json.dumps(row) + "\n")
            out.flush()


def yosys_assertions(files, folders, file, top, work, limit):
    """Flattens `top` into top.il; the top module's own $assert cells by their line in `file`."""
    (work / "top.il").unlink(missing_ok=True)
    run(["yosys", "-p", f"read_verilog -sv -formal -DFORMAL {' '.join(f'-I{f}' for f in folders)} {' '.join(files)}; prep -top {top}; async2sync; flatten; "
         f"opt_clean; memory_map; opt_clean; write_rtlil {work}/top.il"], 4 * limit)
    cells = {}
    if (work / "top.il").exists():
        for line, name in re.findall(rf'attribute \\src "{re.escape(file)}:(\d+)[^"]*"\n  cell \$assert (\S+)', (work / "top.il").read_text()):
            if "$flatten" not in name:
                cells.setdefault(int(line), []).append(name)
    return cells


def yosys_cell(work, name, limit):
    text, seconds, over = run(["yosys", "-p", f"read_rtlil {work}/top.il; select -set rest t:$assert c:{name} %d; delete @rest; opt_clean; {SAT}"],
                              limit)
    return verdict_of(text, over), seconds


def formal_report(work):
    rows = [json.loads(line) for line in (work / "formal.jsonl").open()]
    every = [(r["module"], a) for r in rows for a in r["assertions"]]
    of = lambda verdict: sum(a["verdict"] == verdict for _, a in every)
    decided = [(m, a) for m, a in every if a["yosys"] in ("proven", "refuted") and a["verdict"] in ("proven", "refuted", "vacuous")]
    wrong = [(m, a) for m, a in decided if (a["verdict"] == "refuted") != (a["yosys"] == "refuted")]
    print(f"\nFORMAL blocks: {len(rows)} modules, {sum(bool(r['error']) for r in rows)} of them not read; {len(every)} assertions: "
          f"proven {of('proven')}, refuted {of('refuted')}, vacuous {of('vacuous')}, undetermined {of('undetermined')}, unsupported {of('unsupported')}")
    print(f"Yosys decides {sum(a['yosys'] in ('proven', 'refuted') for _, a in every)}, both {len(decided)}, contradictions {len(wrong)}; "
          f"processor seconds callie {sum(r['seconds'] for r in rows):.1f}, Yosys {sum(r['yosys_seconds'] for r in rows):.1f}")
    for r in rows:
        if r["error"]:
            print(f"  {r['module']}: {r['error']}")
    for m, a in wrong + [(m, a) for m, a in every if a["verdict"] in ("undetermined", "unsupported")]:
        print(f"  {m} {a['name']}: {a['verdict']} ({a['reason']}), Yosys {a['yosys']}")


def start_seconds(command):
    return min(run(command, 10)[1] for _ in range(7))


def report(work, callie):
    starts = {"callie": start_seconds([callie, "--version"]), "yosys": start_seconds(["yosys", "-V"]),
              "abc": start_seconds(["berkeley-abc", "-c", "version"])}
    rows = [json.loads(line) for line in (work / "rows.jsonl").open()]
    as_peer = {"proven": "proven", "vacuous": "proven", "refuted": "refuted"}
    print("| properties | number | proven | refuted | vacuous | not decided | contradicts Yosys | contradicts ABC | contradicts its author |")
    print("|---|---|---|---|---|---|---|---|---|")
    for kind in sorted({r["set"] for r in rows}):
        some = [r for r in rows if r["set"] == kind]
        count = lambda f: sum(bool(f(r)) for r in some)
        mine = lambda r: as_peer.get(r["verdict"])
        against = lambda r, peer: mine(r) and r[peer] in ("proven", "refuted") and r[peer] != mine(r)
        print(f"| {kind} | {len(some)} | {count(lambda r: r['verdict'] == 'proven')} | {count(lambda r: r['verdict'] == 'refuted')} | "
              f"{count(lambda r: r['verdict'] == 'vacuous')} | {count(lambda r: not mine(r))} | {count(lambda r: against(r, 'yosys'))} | "
              f"{count(lambda r: against(r, 'abc'))} | "
              f"{count(lambda r: r['expected'] is not None and mine(r) and mine(r) != ('proven' if r['expected'] else 'refuted'))} |")
    decided = [r for r in rows if r["yosys"] in ("proven", "refuted") or r["abc"] in ("proven", "refuted")]
    print(f"\ndecided by Yosys {sum(r['yosys'] in ('proven', 'refuted') for r in rows)}, by ABC {sum(r['abc'] in ('proven', 'refuted') for r in rows)}, "
          f"by one of them {len(decided)}")

    def shares(title, less):
        cost = lambda r, tool: max(0.001, r["seconds" if tool == "callie" else f"{tool}_seconds"] - less * starts[tool])
        peer = lambda r: min(cost(r, p) for p in ("yosys", "abc") if r[p] in ("proven", "refuted"))
        mine = [r for r in decided if as_peer.get(r["verdict"])]
        within = [r for r in mine if cost(r, "callie") <= 2 * peer(r)]
        faster = [r for r in mine if cost(r, "callie") <= peer(r)]
        print(f"{title}: within 2x the faster peer's time {len(within)} ({100 * len(within) / max(1, len(decided)):.1f} %), "
              f"not slower {len(faster)} ({100 * len(faster) / max(1, len(decided)):.1f} %)")
        return within

    within = shares("whole processes", 0)
    shares("without the start of each program (" + ", ".join(f"{k} {1000 * v:.0f} ms" for k, v in starts.items()) + ")", 1)
    total = lambda key: sum(r[key] for r in decided)
    print(f"processor seconds on those: callie {total('seconds'):.1f}, Yosys {total('yosys_seconds'):.1f}, ABC {total('abc_seconds'):.1f}")
    for r in rows:
        mine = as_peer.get(r["verdict"])
        wrong = any(mine and r[p] in ("proven", "refuted") and r[p] != mine for p in ("yosys", "abc"))
        doubted = r["expected"] is not None and mine and mine != ("proven" if r["expected"] else "refuted")
        if wrong or doubted or not mine or (r in decided and r not in within):
            print(f"  {r['set']} {r['name']}: {r['verdict']} ({r['detail']}) in {r['seconds']:.2f} s, Yosys {r['yosys']} {r['yosys_seconds']:.2f} s, "
                  f"ABC {r['abc']} {r['abc_seconds']:.2f} s, author {r['expected']}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--callie", default="build/release/callie")
    parser.add_argument("--work", required=True)
    parser.add_argument("--limit", type=int, default=60)
    parser.add_argument("--generated", help="JSONL of `callie assert generate`")
    parser.add_argument("--generated-count", type=int, default=100)
    parser.add_argument("--verilator-source", help="unpacked source package of Debian's verilator (apt-get source verilator)")
    parser.add_argument("--formal", help="folder of Verilog files with FORMAL blocks")
    parser.add_argument("--seconds", type=int, default=0, help="stop after so long")
    parser.add_argument("--report", action="store_true")
    args = parser.parse_args()
    work = Path(args.work)
    work.mkdir(parents=True, exist_ok=True)
    if not args.report:
        check(args, work)
        for row in verilator_tests(args, work) or []:
            print(row)
        if args.formal:
            formal_blocks(args, work)
    if (work / "formal.jsonl").exists():
        formal_report(work)
    report(work, args.callie)


if __name__ == "__main__":
    main()
