"""
Fingerprints per second and core: ours, the published code's, and what the arithmetic allows.

    python benchmarks/kernel.py --milad-python milad/bin/python

takes the molecules of 18 atoms of the bundled sample of QM9 (or of `--input`), each atom with its
17 neighbours as one environment, and computes order-7 moment invariants of all of them, over and
over, on one core. The limit is the number of additions and multiplications per environment,
counted from the tables, over the rate at which the same core multiplies matrices in this run.

milad 0.3.1 needs an environment of its own, on Python 3.10: ``pip install "numpy==1.23.5"
"scipy==1.9.3" "numba==0.56.4" "dscribe<2" milad==0.3.1``. Without `--milad-python` its rows are
left out. Its times are of the same environments, one call each, after a first call to warm up.
"""

from __future__ import annotations

import argparse
import lzma
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from distdesc.descriptors.moment_invariants import MomentInvariants
from distdesc.elements import NUMBERS
from distdesc.structures.environment import Environments

SAMPLE = Path(__file__).resolve().parent.parent / "jobs" / "data" / "qm9_sample.xyz.xz"
N_ATOMS = 18
CUTOFF = 12.0
ELEMENTS = ("H", "C", "N", "O", "F")

MILAD = """
import sys, time, numpy as np, milad
from milad import atomic
data = np.load(sys.argv[1])
finger = milad.descriptor(
    species={"map": {"numbers": (1, 6, 7, 8, 9), "range": (1.0, 2.0)}},
    cutoff=float(data["cutoff"]))
atoms = [atomic.AtomsCollection(len(z), positions=v, numbers=z)
         for v, z in zip(data["vectors"], data["numbers"])]
for jacobian in (False, True):
    finger(atoms[0], jacobian=jacobian)
    best = np.inf
    for _ in range(3):
        start = time.perf_counter()
        for one in atoms:
            finger(one, jacobian=jacobian)
        best = min(best, time.perf_counter() - start)
    print(best / len(atoms))
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--input", type=Path, default=SAMPLE, help="XYZ file, plain or .xz")
    parser.add_argument("--environments", type=int, default=20_000)
    parser.add_argument("--milad-python", type=Path, help="interpreter that has milad")
    args = parser.parse_args()

    molecules = read_molecules(args.input)
    environments = all_pairs(molecules, args.environments)
    few = all_pairs(molecules, 1000)
    descriptor = MomentInvariants(cutoff=CUTOFF, elements=ELEMENTS)
    start = time.perf_counter()
    descriptor.warm_up()
    print(f"warm-up, kernels compiled or from the cache: {time.perf_counter() - start:.2f} s")

    fingerprint = seconds(lambda: descriptor.compute(environments)) / len(environments)
    jacobian = seconds(lambda: descriptor.jacobian(few)) / len(few)
    rate = matrix_rate()
    operations = descriptor.operations(N_ATOMS - 1)
    limit = operations / rate
    print(
        f"{descriptor.n_features} invariants of {len(environments)} environments of "
        f"{N_ATOMS - 1} neighbours; {operations} operations each; "
        f"matrix product {rate / 1e9:.1f} GF/s\n"
    )
    rows = [("distdesc", fingerprint, jacobian), ("arithmetic limit", limit, np.nan)]
    if args.milad_python:
        rows.append(("milad", *milad_seconds(args.milad_python, all_pairs(molecules, 90))))
    print(f"{'':18}{'µs each':>10}{'per s':>12}{'ratio':>9}{'Jacobian µs':>14}{'ratio':>9}")
    for name, value, derivative in rows:
        ratio, slope_ratio = value / fingerprint, derivative / jacobian
        columns = f"{value * 1e6:10.2f}{1 / value:12,.0f}{ratio:9.2f}"
        if np.isfinite(derivative):
            columns += f"{derivative * 1e6:14.1f}{slope_ratio:9.2f}"
        print(f"{name:18}{columns}")
    print(f"\n{100 * limit / fingerprint:.0f} % of the arithmetic limit")


def read_molecules(path: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """Numbers and positions of the molecules of N_ATOMS atoms."""
    opener = lzma.open if path.suffix == ".xz" else open
    with opener(path, "rt") as file:
        lines = file.read().splitlines()
    found, at = [], 0
    while at < len(lines):
        n = int(lines[at])
        if n == N_ATOMS:
            atoms = [line.split()[:4] for line in lines[at + 2 : at + 2 + n]]
            numbers = np.array([NUMBERS[atom[0]] for atom in atoms], dtype=np.int32)
            found.append((numbers, np.array([atom[1:] for atom in atoms], dtype=float)))
        at += n + 2
    return found


def all_pairs(molecules: list[tuple[np.ndarray, np.ndarray]], n: int) -> Environments:
    """The first n environments of the molecules, taken again and again; all others are near."""
    vectors, numbers, centres = [], [], []
    others = ~np.eye(N_ATOMS, dtype=bool)
    for k in range(-(-n // N_ATOMS)):
        z, positions = molecules[k % len(molecules)]
        vectors.append((positions[None, :] - positions[:, None])[others])
        numbers.append(np.broadcast_to(z, others.shape)[others])
        centres.append(z)
    n_pairs = n * (N_ATOMS - 1)
    return Environments(
        offsets=np.arange(n + 1) * (N_ATOMS - 1),
        vectors=np.concatenate(vectors)[:n_pairs],
        numbers=np.concatenate(numbers)[:n_pairs],
        neighbours=np.zeros(n_pairs, dtype=np.int64),
        centres=np.arange(n),
        centre_numbers=np.concatenate(centres)[:n],
    )


def seconds(work: Callable[[], object], repeats: int = 7) -> float:
    """Shortest wall time of a few."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def matrix_rate(size: int = 768) -> float:
    """Additions and multiplications per second in a matrix product, one core."""
    a = np.random.default_rng(0).normal(size=(size, size))
    a @ a
    return 2 * size**3 / seconds(lambda: a @ a)


def milad_seconds(python: Path, environments: Environments) -> tuple[float, float]:
    """Seconds per fingerprint without and with Jacobian, by milad in its own interpreter."""
    n = len(environments)
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "environments.npz"
        vectors = environments.vectors.reshape(n, N_ATOMS - 1, 3)
        numbers = environments.numbers.reshape(n, N_ATOMS - 1)
        np.savez(data, vectors=vectors, numbers=numbers, cutoff=CUTOFF)
        command = [python, "-W", "ignore", "-c", MILAD, data]
        result = subprocess.run(command, capture_output=True, text=True, check=True)
    value, jacobian = (float(line) for line in result.stdout.split()[-2:])
    return value, jacobian


def stay_on_one_core() -> None:
    """Start again with one thread for matrix products, which NumPy decides when it is imported."""
    threads = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")
    if any(os.environ.get(name) != "1" for name in threads):
        os.environ |= dict.fromkeys(threads, "1")
        os.execv(sys.executable, [sys.executable, *sys.argv])


if __name__ == "__main__":
    stay_on_one_core()
    main()
