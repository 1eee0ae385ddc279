"""Batches of structures made of ase.Atoms, without a source."""

from __future__ import annotations

import numpy as np

from distdesc.structures.source import Structures


def batch_of(atoms):
    """Structures as a source would give them."""
    return Structures(
        indices=np.arange(len(atoms), dtype=np.int64),
        offsets=np.cumsum([0, *(len(a) for a in atoms)], dtype=np.int64),
        numbers=np.concatenate([a.numbers for a in atoms]).astype(np.int32),
        positions=np.concatenate([a.positions for a in atoms]),
        cells=np.array([a.cell.array for a in atoms]),
        pbc=np.array([a.pbc for a in atoms]),
    )
