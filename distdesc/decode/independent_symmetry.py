"""Moments that a point group leaves unchanged, for densities that are supposed to have it."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import qr

from distdesc.descriptors.density import solid_harmonics
from distdesc.descriptors.sample_densities import turn

NO_SYMMETRY = "C1"

HIGHEST = 13
"""Fold of an axis beyond any order: that of a linear molecule."""


@lru_cache(maxsize=1)
def generators() -> dict[str, tuple[NDArray[np.float64], ...]]:
    """
    Generators of the point groups to suppose, their main axis along z, the likeliest first.

    Those with a vector along z come before those without any, and each before its subgroups.
    """
    y_mirror, z_mirror = np.diag([1.0, -1.0, 1.0]), np.diag([1.0, 1.0, -1.0])
    two_fold, cycle = np.diag([1.0, -1.0, -1.0]), np.roll(np.eye(3), 1, axis=0)
    folds = (HIGHEST, 6, 5, 4, 3, 2)
    return {
        NO_SYMMETRY: (),
        "Cs": (z_mirror,),
        **{f"C{k}v": (turn(k), y_mirror) for k in folds},
        **{f"C{k}": (turn(k),) for k in (3, 2)},
        "Oh": (cycle, turn(4), -np.eye(3)),
        "Td": (cycle, turn(2), turn(4) @ z_mirror),
        **{f"D{k}h": (turn(k), two_fold, z_mirror) for k in folds},
        **{f"D{k}d": (turn(2 * k) @ z_mirror, two_fold) for k in (6, 5, 4, 3, 2)},
        **{f"D{k}": (turn(k), two_fold) for k in (3, 2)},
        **{f"C{k}h": (turn(k), z_mirror) for k in (3, 2)},
        "S4": (turn(4) @ z_mirror,),
    }


@lru_cache(maxsize=64)
def fixed_moments(group: str, order: int) -> tuple[NDArray[np.float64], ...]:
    """
    Basis of the moments of each l that the operations of a group leave as they are.

    Parameters
    ----------
    group : str
        One of `generators`.
    order : int
        Largest l.

    Returns
    -------
    tuple of ndarray, each shape (2 * l + 1, n), float64
        Orthonormal columns; n may be zero.
    """
    directions = np.random.default_rng(0).normal(size=(20 * (order + 1), 3))
    directions /= np.linalg.norm(directions, axis=1)[:, None]
    before = solid_harmonics(directions, order)
    bases = []
    for l in range(order + 1):
        block = slice(l * l, (l + 1) ** 2)
        moved = np.zeros((2 * l + 1, 2 * l + 1))
        for operation in generators()[group]:
            after = solid_harmonics(directions @ operation.T, order)[:, block]
            change = np.linalg.lstsq(before[:, block], after, rcond=None)[0] - np.eye(2 * l + 1)
            moved += change @ change.T
        values, vectors = np.linalg.eigh(moved)
        kept = vectors[:, values < 1e-8]
        # columns of the projection itself, which are single components wherever they can be
        basis = qr(kept @ kept.T, pivoting=True)[0][:, : kept.shape[1]]
        bases.append(np.where(np.abs(basis) < 1e-12, 0.0, basis))
    return tuple(bases)
