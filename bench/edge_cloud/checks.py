#!/usr/bin/env python3
"""The numbered checks of docs/edge-cloud.md that need no quiet machine, one machine-readable line each.

  checks.py BUILD [--only 1,5,12] [--models DIR]

BUILD holds test_decode, test_serve, test_engine and test_tune. Tests print lines of their own with figures; a check has
passed when all its tests have passed and at least one ran. Checks 8, 9, 13, 17 and 18 have a part on real models and
real processes as well: pair.py, loopback.py and `callie tune exits`.
"""
import argparse
import json
import os
import subprocess
import sys

CHECKS = {
    1: [("test_decode", "EdgeCloudSession.EveryMode*:EdgeCloudSession.MaxNew*:EdgeCloudModels.ARealModel*")],
    2: [("test_decode", "EdgeCloudModels.EveryMode*:EdgeCloudModels.HintsOf*:EdgeCloudModels.AnEqualDraft*:EdgeCloudModels.StopStrings*")],
    3: [("test_engine", "*BatchInvariance*")],
    4: [("test_decode", "RejectionSampling.*")],
    5: [("test_decode", "EdgeCloudModelCheck.*")],
    6: [("test_decode", "EdgeCloudSession.DisconnectAtEveryFrame*:EdgeCloudModels.Cuts*")],
    7: [("test_decode", "EdgeCloudSession.ServerRestart*:EdgeCloudSession.ColdResume*"), ("test_serve", "EdgeCloudGrpc.AServerThatForgot*")],
    8: [("test_decode", "EdgeCloudTiming.Prediction*:EdgeCloudTiming.Shapes*")],
    9: [("test_tune", "ExitTraining.TrainedExits*")],
    10: [("test_decode", "EdgeCloudTiming.HintsAreNever*")],
    11: [("test_decode", "EdgeCloudTiming.DraftSteps*")],
    12: [("test_decode", "EdgeCloudAdaptive.*")],
    13: [("test_decode", "EdgeCloudCodec.Padded*")],
    14: [("test_decode", "EdgeCloudSession.SeveralClients*:EdgeCloudModels.ManyClients*"), ("test_serve", "EdgeCloudGrpc.ClientsTogether*")],
    15: [("test_serve", "EdgeCloudGrpc.Wrong*:EdgeCloudGrpc.Keys*:EdgeCloudGrpc.Limits*:EdgeCloudGrpc.TooMany*"), ("test_decode", "EdgeCloudCodec.*:EdgeCloudRefusals.*")],
    16: [("test_decode", "EdgeCloudImages.*")],
    17: [("test_tune", "ExitTraining.*")],
    18: [("test_decode", "EdgeCloudTiming.ServerBusy*")],
}


def run(build, binary, names):
    """(tests passed, tests that failed or did not run, JSON lines that they printed)"""
    report = os.path.join(build, f"checks-{os.getpid()}.json")
    done = subprocess.run([os.path.join(build, binary), f"--gtest_filter={names}", f"--gtest_output=json:{report}"],
                          capture_output=True, text=True)
    if not os.path.exists(report):
        sys.exit(f"error: {binary}: {done.stderr.strip() or 'wrote no report'}")
    with open(report) as file:
        suites = json.load(file)["testsuites"]
    os.unlink(report)
    tests = [test for suite in suites for test in suite["testsuite"]]
    passed = [t for t in tests if t["result"] == "COMPLETED" and not t.get("failures")]
    skipped = [t for t in tests if t["result"] == "SKIPPED"]
    failed = len(tests) - len(passed) - len(skipped) + (done.returncode not in (0, 1))
    return len(passed), len(skipped), failed, [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"check"')]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("build")
    p.add_argument("--only", default=",".join(map(str, CHECKS)))
    p.add_argument("--models", help="folder of smollm2-135m.gguf, for the tests on a real model")
    a = p.parse_args()
    if a.models:
        os.environ["CALLIE_MODELS"] = a.models
    all_passed = True
    for check in map(int, a.only.split(",")):
        passed = skipped = failed = 0
        parts = []
        for binary, names in CHECKS[check]:
            more = run(a.build, binary, names)
            passed, skipped, failed = passed + more[0], skipped + more[1], failed + more[2]
            parts += [{key: value for key, value in line.items() if key != "check"} for line in more[3] if line["check"] == check]
        good = passed > 0 and failed == 0
        all_passed &= good
        print(json.dumps({"check": check, "passed": good, "tests": passed, "skipped": skipped, "failed": failed, "parts": parts}), flush=True)
    print(json.dumps({"check": "all", "passed": all_passed}))
    return 0 if all_passed else 1


if __name__ == "__main__":
    sys.exit(main())
