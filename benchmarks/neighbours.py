"""
Neighbour search next to vesin: ``python benchmarks/neighbours.py``.

Copper at 300 K-like displacements, cutoff 5 Å. Rows: the whole structure, and one shard of 4,096
centres of it, which is what a task of a campaign asks for. vesin gives pairs, shifts and vectors of
whole structures, so its time for a shard is that of the whole. And a batch of 18-atom molecules,
with a call of vesin for each.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import ase.build
import numpy as np
from vesin import NeighborList

from distdesc.structures.neighbours import build_environments, iterate_environments, warm_up
from distdesc.structures.source import Structures

CUTOFF = 5.0
SHARD = 4096
SLICE = 2**17


def main() -> None:
    warm_up()
    print(f"{'structure':>24} {'what':>10} {'ours / vesin':>13}")
    for n in (4, 10, 20, 29):
        copper = crystal(n)
        theirs = best(lambda copper=copper: vesin(copper))
        whole = best(lambda copper=copper: sliced(copper, len(copper.numbers)))
        print(f"{len(copper.numbers):>15,} Cu atoms {'whole':>10} {whole / theirs:>13.2f}")
        if len(copper.numbers) > SHARD:
            shard = best(lambda copper=copper: sliced(copper, SHARD))
            print(f"{'':>24} {'a shard':>10} {shard / theirs:>13.2f}")
    molecules = gas(1000)
    ours = best(lambda: build_environments(molecules, 0, len(molecules.numbers), CUTOFF))
    theirs = best(lambda: [vesin(molecules.take(np.array([k]))) for k in range(100)]) * 10
    print(f"{'1,000 molecules':>24} {'batch':>10} {ours / theirs:>13.4f}")


def crystal(n: int) -> Structures:
    atoms = ase.build.bulk("Cu", cubic=True) * (n, n, n)
    atoms.rattle(0.1, seed=0)
    return batch([atoms.positions], [atoms.cell[:]], True)


def gas(n: int) -> Structures:
    rng = np.random.default_rng(0)
    return batch([rng.random((18, 3)) * 7 for _ in range(n)], [np.zeros((3, 3))] * n, False)


def batch(positions: list[np.ndarray], cells: list[np.ndarray], periodic: bool) -> Structures:
    offsets = np.concatenate([[0], np.cumsum([len(x) for x in positions])])
    return Structures(
        np.arange(len(cells)), offsets, np.full(offsets[-1], 29, dtype=np.int32),
        np.concatenate(positions), np.array(cells), np.full((len(cells), 3), periodic),
    )  # fmt: skip


def vesin(one: Structures) -> None:
    search = NeighborList(cutoff=CUTOFF, full_list=True)
    search.compute(one.positions, one.cells[0], bool(one.pbc.all()), "ijSD")


def sliced(one: Structures, centres: int) -> None:
    for _ in iterate_environments(one, 0, centres, CUTOFF, SLICE):
        pass


def best(call: Callable[[], object], repeats: int = 5) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


if __name__ == "__main__":
    main()
