"""Structures in memory, for notebooks: ase.Atoms to batches and environments."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ase import Atoms

from distdesc.errors import StructureError
from distdesc.structures.environment import Environments
from distdesc.structures.neighbours import build_environments
from distdesc.structures.source import Structures
from distdesc.structures.validate import Limits, find_problems


def structures_of(atoms: Atoms | Sequence[Atoms]) -> Structures:
    """
    Batch of structures in memory.

    Parameters
    ----------
    atoms : ase.Atoms or sequence of ase.Atoms
        Not modified.
    """
    images = [atoms] if isinstance(atoms, Atoms) else list(atoms)
    numbers = [np.asarray(a.numbers, dtype=np.int32) for a in images]
    positions = [np.asarray(a.positions, dtype=np.float64) for a in images]
    return Structures(
        indices=np.arange(len(images)),
        offsets=np.concatenate([[0], np.cumsum([len(z) for z in numbers], dtype=np.int64)]),
        numbers=np.concatenate([np.empty(0, np.int32), *numbers]),
        positions=np.concatenate([np.empty((0, 3)), *positions]),
        cells=np.array([a.cell.array for a in images], dtype=np.float64).reshape(-1, 3, 3),
        pbc=np.array([a.pbc for a in images], dtype=bool).reshape(-1, 3),
    )


def environments(atoms: Atoms | Sequence[Atoms], cutoff: float) -> Environments:
    """
    Environments of all atoms of structures in memory, one structure after the other.

    Parameters
    ----------
    atoms : ase.Atoms or sequence of ase.Atoms
        Not modified.
    cutoff : float
        Neighbours are strictly closer, in Å.

    Raises
    ------
    StructureError
        If a structure cannot be used: positions that are not finite, atoms on top of each
        other, a cell without volume; by its position among `atoms`.
    """
    batch = structures_of(atoms)
    problems = find_problems(batch, Limits(), tuple(range(1, 119)), cutoff)
    if problems:
        raise StructureError(problems)
    return build_environments(batch, 0, len(batch.numbers), cutoff)
