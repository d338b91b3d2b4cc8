#!/usr/bin/env python3
"""Shows that the test of batch invariance sees a sum in another order: each mutant of a kernel must make it fail.

  invariance.py BUILD_FOLDER      (for example build/release; sources are changed for the moment and put back)
Exit 1 when a mutant survives. Takes the time of compiling the kernels three times.
"""
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
BLOCKED = "src/kernels/matmul_blocked-inl.h"
TERM = """hn::MulAdd(value, hn::Mul(scale, broadcast_float(at.scale + 4 * t)), acc[p][t]);"""

# (what, file, [(old text, new text)...])
MUTANTS = [
    ("products of many tokens sum even and odd groups apart", BLOCKED, [
        ("VF acc[kPanels][kT];", "VF acc[kPanels][kT], odd[kPanels][kT];"),
        ("acc[p][t] = first ?", "odd[p][t] = hn::Zero(kDf);\n        acc[p][t] = first ?"),
        ("acc[p][t] =\n                  " + TERM,
         "(u & 1 ? odd : acc)[p][t] =\n                  " + TERM.replace("acc[p]", "(u & 1 ? odd : acc)[p]")),
        ("store_lanes(acc[p][t],", "store_lanes(hn::Add(acc[p][t], odd[p][t]),"),
    ]),
    ("products of many tokens round each term before it is added", BLOCKED, [
        (TERM, "hn::Add(hn::Mul(value, hn::Mul(scale, broadcast_float(at.scale + 4 * t))), acc[p][t]);"),
    ]),
]


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    compile_test = ["cmake", "--build", build, "-j", "2", "--target", "test_engine"]
    survived = 0
    for what, file, changes in MUTANTS:
        path = ROOT / file
        source = changed = path.read_text()
        for old, new in changes:
            assert changed.count(old) == 1, f"{file}: no longer has one '{old}'"
            changed = changed.replace(old, new)
        try:
            path.write_text(changed)
            subprocess.run(compile_test, check=True, stdout=subprocess.DEVNULL)
            found = subprocess.run([build / "test_engine", "--gtest_filter=*FamilyBatchInvariance*"],
                                   stdout=subprocess.PIPE, text=True)
        finally:
            path.write_text(source)
        survived += found.returncode == 0
        failed = [x for x in found.stdout.splitlines() if x.startswith("[  FAILED  ] ") and "GetParam" in x]
        print(f"{'SURVIVED' if found.returncode == 0 else 'caught'}: {what} ({len(set(failed))} formats)", flush=True)
    subprocess.run(compile_test, check=True, stdout=subprocess.DEVNULL)
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())
