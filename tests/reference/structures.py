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


def random_atoms(n, seed, radius=4.0, apart=0.9):
    """Places in a ball, none near another, in Å, and atomic numbers."""
    rng = np.random.default_rng(seed)
    places = []
    while len(places) < n:
        place = rng.uniform(-radius, radius, 3)
        if np.linalg.norm(place) < radius and all(
            np.linalg.norm(place - other) > apart for other in places
        ):
            places.append(place)
    return np.array(places), rng.choice([1, 6, 7, 8], n)
