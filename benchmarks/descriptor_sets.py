"""What benchmarks/descriptors.py computes descriptors of."""

from __future__ import annotations

import lzma
from pathlib import Path

import ase
import ase.build
import ase.io
import numpy as np

from distdesc.structures.source import Structures

SAMPLE = Path(__file__).resolve().parent.parent / "jobs" / "data" / "qm9_sample.xyz.xz"


def structures() -> dict[str, list[ase.Atoms]]:
    """Sets of structures: molecules of five elements, and crystals moved about at random."""
    with lzma.open(SAMPLE, "rt") as file:
        molecules = ase.io.read(file, "::4", format="extxyz")
    build = ase.build.bulk
    perovskite = crystal("SrTiO3", 3.905)
    mixed = crystal("PbTiO3", 4.06)
    mixed.symbols[[k for k, z in enumerate(mixed.symbols) if z == "Ti"][::2]] = "Zr"
    crystals = {
        "Cu32": (build("Cu", cubic=True) * 2, 10),
        "Cu108": (build("Cu", cubic=True) * 3, 4),
        "Si64": (build("Si", cubic=True) * 2, 6),
        "NaCl64": (build("NaCl", "rocksalt", a=5.64, cubic=True) * 2, 6),
        "SrTiO3 40": (perovskite, 8),
        "PbZrTiO3 40": (mixed, 8),
    }
    return {"molecules": molecules} | {k: rattled(*v) for k, v in crystals.items()}


def crystal(formula: str, a: float) -> ase.Atoms:
    """Eight cells of a cubic perovskite."""
    half = 0.5
    places = [[0, 0, 0], [half] * 3, [half, half, 0], [half, 0, half], [0, half, half]]
    cell = ase.Atoms(formula, scaled_positions=places, cell=[a] * 3, pbc=True)
    return cell * 2


def rattled(atoms: ase.Atoms, count: int) -> list[ase.Atoms]:
    copies = [atoms.copy() for _ in range(count)]
    for seed, one in enumerate(copies):
        one.rattle(0.1, seed=seed)
    return copies


def joined(atoms: list[ase.Atoms]) -> Structures:
    """A set as one batch."""
    return Structures(
        np.arange(len(atoms)), np.cumsum([0, *map(len, atoms)]),
        np.concatenate([a.numbers for a in atoms]).astype(np.int32),
        np.concatenate([a.positions for a in atoms]), np.stack([a.cell[:] for a in atoms]),
        np.stack([a.pbc for a in atoms]),
    )  # fmt: skip


def elements_of(atoms: list[ase.Atoms]) -> list[str]:
    """Elements that the descriptors of a set are made for; fluorine is rare in the sample."""
    if not np.any(atoms[0].pbc):
        return ["C", "F", "H", "N", "O"]
    return sorted({symbol for one in atoms for symbol in one.symbols})
