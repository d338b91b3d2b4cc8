#!/usr/bin/env python3
"""The planner's cost of an IVF-PQ search (src/plan/cost/retrieval.h) against libfaiss on this machine, one thread.

    bench/planner/rag_faiss.py build -o index.faiss      # a few minutes: 1 M x 128, IVF1024, PQ32
    bench/planner/rag_faiss.py measure -o index.faiss    # under a minute
    # the same with --clusters 100: vectors and queries in 100 clusters of unequal size

Every other pair of (nprobe, queries) calibrates what the formula takes from a machine (fixed_us, single_us, the rate of its
products, ns_per_code); the error is that of the others. The imbalance of each nprobe is counted on other queries. Needs: numpy faiss-cpu.
"""

import argparse
import itertools
import time

import faiss
import numpy as np

VECTORS, DIMENSION, LISTS, CODE = 1_000_000, 128, 1024, 32
PROBES, QUERIES = (16, 32, 64, 128, 256), (1, 2, 4, 8, 16, 32)


def vectors(rng, count, clusters):
    """Normally distributed, or around centres of which the k-th has a share of about 1 / sqrt(k)."""
    noise = rng.standard_normal((count, DIMENSION), dtype=np.float32)
    if clusters == 0:
        return noise
    centres = np.random.default_rng(7).standard_normal((clusters, DIMENSION), dtype=np.float32)
    share = 1 / np.sqrt(np.arange(1, clusters + 1))
    return centres[rng.choice(clusters, count, p=share / share.sum())] + 0.5 * noise


def build(path, clusters):
    rng = np.random.default_rng(1)
    quantiser = faiss.IndexFlatL2(DIMENSION)
    index = faiss.IndexIVFPQ(quantiser, DIMENSION, LISTS, CODE, 8)
    index.cp.niter = index.pq.cp.niter = 5
    index.use_precomputed_table = -1
    for start in range(0, VECTORS, 100_000):
        part = vectors(rng, 100_000, clusters)
        if start == 0:
            index.train(part[:50_000])
        index.add(part)
    faiss.write_index(index, path)


def imbalance(index, queries, probes):
    """Codes in the lists that these queries visit, per query, in multiples of N nprobe / nlist."""
    lengths = np.array([index.invlists.list_size(k) for k in range(LISTS)])
    visited = index.quantizer.search(queries, probes)[1]
    return lengths[visited].sum() / len(queries) / (VECTORS * probes / LISTS)


def measure(path, clusters):
    faiss.omp_set_num_threads(1)
    index = faiss.read_index(path)
    sample = vectors(np.random.default_rng(3), 1000, clusters)
    factor = {probes: imbalance(index, sample, probes) for probes in PROBES}
    print("imbalance:", ", ".join(f"{f:.2f} at nprobe {p}" for p, f in factor.items()))
    rng = np.random.default_rng(2)
    rows = []
    for probes, queries in itertools.product(PROBES, QUERIES):
        index.nprobe = probes
        times = []
        # Lists differ in length, so that the mean over many queries is what the formula predicts.
        for _ in range(max(7, 256 // queries)):
            q = vectors(rng, queries, clusters)
            start = time.process_time()
            index.search(q, 10)
            times.append((time.process_time() - start) * 1e6)
        times = np.array(times)
        rows.append((probes, queries, float(times[times < 3 * np.median(times)].mean())))
    # The planner's formula: us = fixed + single [queries = 1] + queries * ((2 nlist d + 2 * 256 d nprobe) / flops
    # + N nprobe / nlist * imbalance * ns_per_code / 1000), by least relative squares with no negative term.
    work = np.array([q * (2 * LISTS * DIMENSION + 512 * DIMENSION * p) / 1e3 for p, q, _ in rows])
    codes = np.array([q * VECTORS * p / LISTS * factor[p] / 1e3 for p, q, _ in rows])
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
    parser.add_argument("--clusters", type=int, default=0, help="0: vectors spread evenly")
    args = parser.parse_args()
    {"build": build, "measure": measure}[args.verb](args.output, args.clusters)


if __name__ == "__main__":
    main()
