#!/usr/bin/env python3
"""The planner's cost of an IVF-PQ search (src/plan/cost/retrieval.h) against libfaiss on this machine, one thread.

    bench/planner/rag_faiss.py build -o index.faiss      # a few minutes: 1 M x 128, IVF1024, PQ32
    bench/planner/rag_faiss.py measure -o index.faiss    # under a minute

Every other pair of (nprobe, queries) calibrates what the formula takes from a machine (fixed_us, single_us, the rate of its
products, ns_per_code); the error is that of the others. Needs: numpy faiss-cpu.
"""

import argparse
import itertools
import time

import faiss
import numpy as np

VECTORS, DIMENSION, LISTS, CODE = 1_000_000, 128, 1024, 32
PROBES, QUERIES = (16, 32, 64, 128, 256), (1, 2, 4, 8, 16, 32)


def build(path):
    rng = np.random.default_rng(1)
    quantiser = faiss.IndexFlatL2(DIMENSION)
    index = faiss.IndexIVFPQ(quantiser, DIMENSION, LISTS, CODE, 8)
    index.cp.niter = index.pq.cp.niter = 5
    index.use_precomputed_table = -1
    for start in range(0, VECTORS, 100_000):
        part = rng.standard_normal((100_000, DIMENSION), dtype=np.float32)
        if start == 0:
            index.train(part[:50_000])
        index.add(part)
    faiss.write_index(index, path)


def measure(path):
    faiss.omp_set_num_threads(1)
    index = faiss.read_index(path)
    rng = np.random.default_rng(2)
    rows = []
    for probes, queries in itertools.product(PROBES, QUERIES):
        index.nprobe = probes
        times = []
        for _ in range(7):
            q = rng.standard_normal((queries, DIMENSION), dtype=np.float32)
            start = time.perf_counter()
            index.search(q, 10)
            times.append((time.perf_counter() - start) * 1e6)
        rows.append((probes, queries, float(np.median(times))))
    # The planner's formula: us = fixed + single [queries = 1] + queries * ((2 nlist d + 2 * 256 d nprobe) / flops
    # + N nprobe / nlist * ns_per_code / 1000), by least relative squares with no negative term.
    work = np.array([q * (2 * LISTS * DIMENSION + 512 * DIMENSION * p) / 1e3 for p, q, _ in rows])
    codes = np.array([q * VECTORS * p / LISTS / 1e3 for p, q, _ in rows])
    features = np.stack([np.ones(len(rows)), [float(q == 1) for _, q, _ in rows], work, codes], 1)
    seen = np.array([t for _, _, t in rows])
    fitted = np.array([(PROBES.index(p) + QUERIES.index(q)) % 2 == 0 for p, q, _ in rows])
    weighted = features / seen[:, None]
    used, solution = [0, 1, 2, 3], np.zeros(4)
    while True:
        part = np.linalg.lstsq(weighted[fitted][:, used], np.ones(fitted.sum()), rcond=None)[0]
        if (part >= 0).all():
            solution[used] = part
            break
        used.remove(used[int(part.argmin())])
    fixed, single, per_work, ns = solution
    error = np.abs(features @ solution / seen - 1)
    rate = f"{1 / per_work:.1f} GFLOP/s" if per_work > 0 else "not needed"
    print(f"faiss {faiss.__version__}: fixed_us {fixed:.0f}, single_us {single:.0f}, products {rate}, ns_per_code {ns:.1f}")
    for (p, q, t), e, f in zip(rows, error, fitted):
        print(f"nprobe {p:4d} queries {q:3d} {t:10.0f} us {'fitted  ' if f else 'held out'} {100 * e:5.1f} %")
    held = 100 * error[~fitted]
    print(f"held out: median {np.median(held):.1f} %, mean {held.mean():.1f} %, largest {held.max():.1f} % (asked: 10 %)")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=["build", "measure"])
    parser.add_argument("-o", "--output", default="index.faiss")
    args = parser.parse_args()
    {"build": build, "measure": measure}[args.verb](args.output)


if __name__ == "__main__":
    main()
