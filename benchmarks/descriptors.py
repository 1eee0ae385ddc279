"""
The power spectrum next to featomic's and dscribe's, and next to what the machine allows.

    python benchmarks/descriptors.py --peers-python peers/bin/python

computes it from structures in memory, neighbour search included, for molecules of the bundled
sample of QM9 and for rattled crystals; all with eight radial functions, l to 6, a cutoff of 5 Å and
Gaussians of 0.5 Å, on one core. Every number is a ratio of CPU times of this run; of wall times for
two processes. featomic and dscribe need an interpreter that has them (``pip install featomic
dscribe``); with no `--peers-python` it is this one. featomic is given 50 structures a call. dscribe
takes neighbours from 1.9 Å beyond its radius; "dscribe near" has a radius smaller by that much, and
so as many neighbours as the others. dscribe's gradients of crystals are finite differences.

The limit is the larger of two times: of the multiplications and additions counted from the
descriptor's tables, at the rate of a matrix product, and of writing the rows, at that of a copy;
of Jacobians, the writing of what is not zero.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ase
import numpy as np
from descriptor_sets import elements_of, joined, structures
from descriptor_worker import CUTOFF, L_MAX, N_MAX, SIGMA, SMOOTHING

from distdesc.descriptors.power_spectrum import PowerSpectrum
from distdesc.elements import NUMBERS
from distdesc.structures.environment import Environments
from distdesc.structures.neighbours import build_environments

HERE = Path(__file__).resolve().parent
PEERS = (("featomic", "blocks"), ("featomic", "dense"), ("dscribe", "near"), ("dscribe", ""))
THREADS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS", "RAYON_NUM_THREADS")


class Worker:
    """A process of its own, which keeps what it has compiled between requests."""

    def __init__(self, python: Path, threads: int = 1) -> None:
        names = {name: "1" for name in THREADS} | {"RAYON_NUM_THREADS": str(threads)}
        self.process = subprocess.Popen(
            [python, "-W", "ignore", HERE / "descriptor_worker.py"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | names,
        )  # fmt: skip

    def tell(self, **request: Any) -> None:
        """Send a request; see `descriptor_worker.answer`."""
        print(json.dumps(request), file=self.process.stdin, flush=True)

    def hear(self) -> dict[str, float]:
        """Wait for the answer to the request before."""
        line = self.process.stdout.readline()
        if not line:
            sys.exit("a worker has died; see above")
        return json.loads(line)

    def ask(self, **request: Any) -> dict[str, float]:
        """Answer to a request."""
        self.tell(**request)
        return self.hear()

    def stop(self) -> None:
        """Let the process end."""
        self.process.stdin.close()
        self.process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peers-python", type=Path, default=Path(sys.executable))
    parser.add_argument("--seconds", type=float, default=0.6, help="for each number")
    parser.add_argument("--sets", nargs="*", help="only these")
    args = parser.parse_args()
    sets = {k: v for k, v in structures().items() if not args.sets or k in args.sets}
    with tempfile.TemporaryDirectory() as folder:
        files = {name: save(Path(folder) / f"{name}.npz", s) for name, s in sets.items()}
        ours, peers = Worker(Path(sys.executable)), Worker(args.peers_python)
        compare_values(sets, files, ours, peers, args.seconds)
        compare_gradients(sets, files, ours, peers, args.seconds)
        compare_calls(next(iter(files.items())), ours, peers, args.seconds)
        ours.stop()
        peers.stop()
        for name in list(files)[:: max(1, len(files) - 1)]:
            compare_processes(name, files[name], args.peers_python, 3 * args.seconds)
    for name, atoms in sets.items():
        profile(name, atoms)
    against_neighbours()


def compare_values(sets, files, ours, peers, seconds) -> None:
    print("\nValues: times of the others over ours, dense to dense and blocks to blocks; limit.")
    print(
        f"{'':14}{'neighb.':>8}{'columns':>8} | {'featomic':>9}{'dscribe near':>14}{'dscribe':>9}"
        f"{'quickest':>10} | {'blocks: ours/dense':>19}{'featomic':>10} | "
        f"{'arithmetic':>11}{'copy':>6}{'of limit':>10}"
    )
    for name, file in files.items():
        request = {"file": file, "do": "values", "seconds": seconds}
        rates = matrix_rate(), copy_rate()
        dense = ours.ask(method="ours", **request)["seconds"]
        blocks = ours.ask(method="ours", variant="blocks", **request)["seconds"]
        times = {p: peers.ask(method=p[0], variant=p[1], **request)["seconds"] for p in PEERS}
        environments, descriptor = both(sets[name])
        counts = operations(environments, descriptor)
        arithmetic = np.mean(counts) / rates[0] / dense
        copy = 8 * descriptor.n_features / rates[1] / dense
        near, far = times["dscribe", "near"], times["dscribe", ""]
        least = min(times["featomic", "dense"], near, far)
        neighbours = len(environments.vectors) / len(environments)
        print(
            f"{name:14}{neighbours:8.1f}{descriptor.n_features:8} | "
            f"{times['featomic', 'dense'] / dense:9.1f}{near / dense:14.1f}{far / dense:9.1f}"
            f"{least / dense:9.1f}x | {blocks / dense:19.2f}"
            f"{times['featomic', 'blocks'] / blocks:10.1f} | "
            f"{arithmetic:11.0%}{copy:6.0%}{max(arithmetic, copy):10.0%}"
        )


def compare_gradients(sets, files, ours, peers, seconds) -> None:
    print("\nValues and Jacobians: times of the others over ours (dense; featomic's in blocks).")
    print(
        f"{'':14}{'featomic':>9}{'dscribe near':>14}{'dscribe':>9}{'quickest':>10} | "
        f"{'copy':>6} of limit"
    )
    for name, file in files.items():
        periodic = bool(np.any(sets[name][0].pbc))
        few = 1 if periodic else 5
        centres = 4 if periodic else sum(map(len, sets[name][:few]))
        request = {"file": file, "do": "gradients", "structures": few, "centres": centres}
        request["seconds"] = seconds
        dense = ours.ask(method="ours", **request)["seconds"]
        times = [
            peers.ask(method=p, variant=v, **request)["seconds"] / dense
            for p, v in (("featomic", "blocks"), ("dscribe", "near"), ("dscribe", ""))
        ]
        environments, descriptor = both(sets[name][:few])
        jacobian = descriptor.jacobian(environments)[: environments.offsets[centres]]
        copy = 8 * np.count_nonzero(jacobian) / centres / copy_rate() / dense
        print(
            f"{name:14}{times[0]:9.1f}{times[1]:14.1f}{times[2]:9.1f}{min(times):9.1f}x | "
            f"{copy:6.0%}"
        )


def compare_calls(one: tuple[str, str], ours, peers, seconds) -> None:
    name, file = one
    print(f"\nOne structure a call, over 50 a call ({name}), and over ours one a call.")
    request = {"file": file, "do": "values", "seconds": seconds, "structures": 50}
    first = None
    for worker, method, variant in (
        (ours, "ours", ""), (peers, "featomic", "dense"), (peers, "dscribe", "")
    ):  # fmt: skip
        request |= {"method": method, "variant": variant}
        single = worker.ask(batch=1, **request)["seconds"]
        many = worker.ask(batch=50, **request)["seconds"]
        first = first or single
        print(f"  {method:10}{single / many:6.2f}{single / first:9.1f}")


def compare_processes(name: str, file: str, peers_python: Path, seconds: float) -> None:
    print(f"\nTwice the cores: environments per second over those on one ({name}).")
    request = {"file": file, "do": "rate", "seconds": seconds}
    own = Path(sys.executable)
    for method, variant, python in (
        ("ours", "", own), ("featomic", "dense", peers_python), ("dscribe", "", peers_python)
    ):  # fmt: skip
        request |= {"method": method, "variant": variant}
        pair = [Worker(python), Worker(python)]
        pair[1].ask(**request)  # so that both have compiled
        one = pair[0].ask(**request)["rate"]
        for worker in pair:
            worker.tell(**request)
        two = sum(worker.hear()["rate"] for worker in pair)
        for worker in pair:
            worker.stop()
        line = f"  {method:10} two processes {two / one:5.2f}"
        if method != "ours":
            # two threads of featomic, two jobs of dscribe
            worker = Worker(python, threads=2)
            own_way = request | {"variant": variant if method == "featomic" else "jobs"}
            line += f"   its own way {worker.ask(**own_way)['rate'] / one:5.2f}"
            worker.stop()
        print(line)


def profile(name: str, atoms: list[ase.Atoms]) -> None:
    """Shares of the steps, each timed on its own."""
    batch, (environments, descriptor) = joined(atoms), both(atoms)
    n = len(batch.numbers)
    out = descriptor.compute(environments)
    shard = np.empty_like(out)
    search = shortest(lambda: build_environments(batch, 0, n, CUTOFF))
    expansion = shortest(lambda: descriptor.coefficients(environments))
    whole = shortest(lambda: descriptor.compute(environments))
    writing = shortest(lambda: np.copyto(shard, out))
    total = search + whole + writing
    print(
        f"{name:14} neighbours {search / total:4.0%}   expansion {expansion / total:4.0%}   "
        f"contraction, the rest of it {max(0.0, whole - expansion) / total:4.0%}   "
        f"copy to the shard {writing / total:4.0%}"
    )


def against_neighbours() -> None:
    """How the time of one environment grows with its neighbours, of one element and of four."""
    counts = np.array([4, 8, 16, 32, 64, 128, 256])
    print()
    for elements in (("Si",), ("H", "C", "N", "O")):
        work = power_spectrum(elements).compute
        sets = [random_environments(n, elements) for n in counts]
        times = [shortest(lambda e=e, work=work: work(e)) / len(e) for e in sets]
        # relative errors count alike
        columns = np.stack([np.ones(len(counts)), counts], axis=1) / np.array(times)[:, None]
        fixed, each = np.linalg.lstsq(columns, np.ones(len(counts)), rcond=None)[0]
        worst = np.max(np.abs((fixed + each * counts) / times - 1))
        print(
            f"{len(elements)} element(s), 4 to 256 neighbours n: time proportional to "
            f"n + {fixed / each:.0f}, to within {worst:.0%}"
        )


def random_environments(n: int, elements: tuple[str, ...]) -> Environments:
    """Environments of n neighbours scattered in the ball."""
    rng, count = np.random.default_rng(n), 4096 // n + 64
    vectors = rng.normal(size=(count * n, 3))
    vectors *= (4.9 * rng.uniform(0.1, 1, len(vectors)) ** (1 / 3))[:, None] / np.linalg.norm(
        vectors, axis=1, keepdims=True
    )
    numbers = np.resize([NUMBERS[e] for e in elements], len(vectors)).astype(np.int32)
    return Environments(
        np.arange(count + 1) * n, vectors, numbers, np.arange(len(vectors)), np.arange(count),
        np.full(count, numbers[0], dtype=np.int32),
    )  # fmt: skip


def save(path: Path, atoms: list[ase.Atoms]) -> str:
    """File of a set for the workers."""
    batch = joined(atoms)
    np.savez(
        path, offsets=batch.offsets, numbers=batch.numbers, positions=batch.positions,
        cells=batch.cells, pbc=batch.pbc[:, 0], elements=elements_of(atoms),
    )  # fmt: skip
    return str(path)


def power_spectrum(elements) -> PowerSpectrum:
    return PowerSpectrum(
        cutoff=CUTOFF, n_max=N_MAX, l_max=L_MAX, sigma=SIGMA, smoothing=SMOOTHING,
        elements=tuple(elements), include_centre=True,
    )  # fmt: skip


def both(atoms: list[ase.Atoms]) -> tuple[Environments, PowerSpectrum]:
    """Environments of a set, and the descriptor for its elements."""
    batch = joined(atoms)
    environments = build_environments(batch, 0, len(batch.numbers), CUTOFF)
    return environments, power_spectrum(elements_of(atoms))


def operations(environments: Environments, descriptor: PowerSpectrum) -> list[int]:
    """Multiplications and additions of every environment."""
    counts = []
    for k, (a, b) in enumerate(zip(environments.offsets, environments.offsets[1:], strict=False)):
        present = {*environments.numbers[a:b].tolist(), int(environments.centre_numbers[k])}
        counts.append(descriptor.operations(int(b - a), len(present)))
    return counts


def shortest(work: Callable[[], object], repeats: int = 5) -> float:
    """Least CPU time of a few."""
    work()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def matrix_rate(size: int = 768) -> float:
    """Multiplications and additions per second in a matrix product, one core."""
    a = np.random.default_rng(0).normal(size=(size, size))
    return 2 * size**3 / shortest(lambda: a @ a, 15)


def copy_rate(size: int = 2**23) -> float:
    """Bytes written per second in a copy of what the caches do not hold, one core."""
    a, b = np.ones(size), np.zeros(size)
    return 8 * size / shortest(lambda: np.copyto(b, a), 15)


def stay_on_one_core() -> None:
    """Start again with one thread for matrix products, which NumPy decides when it is imported."""
    if any(os.environ.get(name) != "1" for name in THREADS):
        os.environ |= dict.fromkeys(THREADS, "1")
        os.execv(sys.executable, [sys.executable, *sys.argv])


if __name__ == "__main__":
    stay_on_one_core()
    main()
