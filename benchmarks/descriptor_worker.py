"""
One process of benchmarks/descriptors.py: does what it is told on standard input, and says how long.

It runs in any interpreter that has numpy and the package in question; a line is a request, a line
is the answer, both JSON.
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

CUTOFF, N_MAX, L_MAX, SIGMA, SMOOTHING = 5.0, 8, 6, 0.5, 0.5
PADDING = SIGMA * np.sqrt(2 * np.log(1000))  # how far beyond its radius dscribe takes neighbours


class Ours:
    """The power spectrum of distdesc, structures to rows."""

    def __init__(self, data: dict[str, Any], variant: str) -> None:
        from distdesc.descriptors.power_spectrum import PowerSpectrum
        from distdesc.structures import neighbours
        from distdesc.structures.source import Structures

        self.build = neighbours.iterate_environments
        self.blocks = variant == "blocks"
        self.descriptor = PowerSpectrum(
            cutoff=CUTOFF, n_max=N_MAX, l_max=L_MAX, sigma=SIGMA, smoothing=SMOOTHING,
            elements=tuple(data["elements"]), include_centre=True,
        )  # fmt: skip
        count = len(data["cells"])
        self.all = Structures(
            np.arange(count), data["offsets"], data["numbers"], data["positions"], data["cells"],
            np.repeat(data["pbc"][:, None], 3, axis=1),
        )  # fmt: skip

    def batch(self, first: int, last: int) -> Any:
        """Structures of one call."""
        return self.all.take(np.arange(first, last))

    def values(self, batch: Any) -> None:
        """Compute, and drop, the fingerprints of a batch."""
        work = self.descriptor.compute_blocks if self.blocks else self.descriptor.compute
        for part in self.build(batch, 0, len(batch.numbers), CUTOFF, 2**17):
            work(part)

    def gradients(self, batch: Any, centres: int) -> None:
        """Compute, and drop, the fingerprints and derivatives of so many environments."""
        for part in self.build(batch, 0, centres, CUTOFF, 2**9):
            self.descriptor.compute(part)
            self.descriptor.jacobian(part)


class Featomic:
    """The power spectrum of featomic, in its blocks or in one array."""

    def __init__(self, data: dict[str, Any], variant: str) -> None:
        from featomic import SoapPowerSpectrum
        from metatensor import Labels

        self.atoms, self.dense, self.labels = ase_atoms(data), variant == "dense", Labels
        numbers = np.unique(ase_numbers(data["elements"]))
        self.pairs = [(a, b) for k, a in enumerate(numbers) for b in numbers[k:]]
        self.width = N_MAX**2 * (L_MAX + 1)
        self.calculator = SoapPowerSpectrum(
            cutoff={"radius": CUTOFF, "smoothing": {"type": "ShiftedCosine", "width": SMOOTHING}},
            density={"type": "Gaussian", "width": SIGMA},
            basis={
                "type": "TensorProduct",
                "max_angular": L_MAX,
                "radial": {"type": "Gto", "max_radial": N_MAX - 1},
            },
        )

    def batch(self, first: int, last: int) -> Any:
        """Structures of one call."""
        return self.atoms[first:last]

    def values(self, batch: Any) -> None:
        """Compute, and drop, the fingerprints of a batch."""
        found = self.calculator.compute(batch)
        if not self.dense:
            return
        start = np.cumsum([0, *map(len, batch)])
        out = np.zeros((start[-1], len(self.pairs) * self.width))
        for key, block in found.items():
            k = self.pairs.index((key["neighbor_1_type"], key["neighbor_2_type"]))
            rows = start[block.samples["system"]] + block.samples["atom"]
            out[rows, k * self.width : (k + 1) * self.width] = block.values

    def gradients(self, batch: Any, centres: int) -> None:
        """Compute, and drop, the fingerprints and derivatives of so many environments."""
        samples = None
        if centres < sum(map(len, batch)):
            samples = self.labels("atom", np.arange(centres, dtype=np.int32)[:, None])
        self.calculator.compute(batch, gradients=["positions"], selected_samples=samples)


class Dscribe:
    """The power spectrum of dscribe; with as many neighbours as the others, or with its own."""

    def __init__(self, data: dict[str, Any], variant: str) -> None:
        from dscribe.descriptors import SOAP

        self.atoms, self.n_jobs = ase_atoms(data), 2 if variant == "jobs" else 1
        self.soap = SOAP(
            r_cut=CUTOFF - PADDING if variant == "near" else CUTOFF, n_max=N_MAX, l_max=L_MAX,
            sigma=SIGMA, species=list(data["elements"]), periodic=bool(np.any(data["pbc"])),
        )  # fmt: skip

    def batch(self, first: int, last: int) -> Any:
        """Structures of one call."""
        return self.atoms[first:last]

    def values(self, batch: Any) -> None:
        """Compute, and drop, the fingerprints of a batch."""
        self.soap.create(batch, n_jobs=self.n_jobs)

    def gradients(self, batch: Any, centres: int) -> None:
        """Compute, and drop, the fingerprints and derivatives of so many environments."""
        for atoms in batch:
            chosen = list(range(min(centres, len(atoms))))
            self.soap.derivatives(atoms, centers=chosen, attach=True)


METHODS = {"ours": Ours, "featomic": Featomic, "dscribe": Dscribe}


def ase_numbers(elements: list[str]) -> list[int]:
    """Atomic numbers of chemical symbols."""
    from ase.data import atomic_numbers

    return [atomic_numbers[e] for e in elements]


def ase_atoms(data: dict[str, Any]) -> list[Any]:
    """The structures of a set as objects of ASE."""
    from ase import Atoms

    return [
        Atoms(data["numbers"][a:b], data["positions"][a:b], cell=cell, pbc=pbc)
        for (a, b), cell, pbc in zip(
            itertools.pairwise(data["offsets"]), data["cells"], data["pbc"], strict=True
        )
    ]


def shortest(work: Callable[[], None], seconds: float) -> float:
    """Least CPU time of at least two passes, and of as many as fit in the time."""
    times: list[float] = []
    begin = time.perf_counter()
    while len(times) < 2 or time.perf_counter() - begin < seconds:
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def answer(request: dict[str, Any]) -> dict[str, float]:
    """
    CPU seconds per environment of a method, on the structures of a file.

    ``do`` is "values" or "gradients" for the shortest of several passes over the first
    ``structures`` of a set, after one to warm up; or "rate", for environments per second of
    wall time. Gradients are those of ``centres`` environments: of all, or of a part of one
    structure.
    """
    with np.load(request["file"]) as file:
        data = {name: file[name] for name in file.files}
    data["elements"] = data["elements"].tolist()
    method = METHODS[request["method"]](data, request.get("variant", ""))
    n, size = request.get("structures", len(data["cells"])), request.get("batch", 50)
    batches = [method.batch(k, min(k + size, n)) for k in range(0, n, size)]
    centres = request.get("centres", 0)

    def one_pass() -> None:
        for batch in batches:
            if request["do"] == "gradients":
                method.gradients(batch, centres)
            else:
                method.values(batch)

    one_pass()
    environments = centres if request["do"] == "gradients" else int(data["offsets"][n])
    if request["do"] == "rate":
        begin, passes = time.perf_counter(), 0
        while time.perf_counter() - begin < request["seconds"]:
            one_pass()
            passes += 1
        return {"rate": passes * environments / (time.perf_counter() - begin)}
    spent = shortest(one_pass, request["seconds"])
    return {"seconds": spent / environments}


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)
