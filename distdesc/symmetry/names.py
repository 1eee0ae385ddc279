"""Schoenflies names of finite groups of rotations and reflections."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_CUBIC = {(12, 3): "T", (24, 4): "O", (60, 5): "I"}


def point_group_name(operations: NDArray[np.float64]) -> str:
    """
    Schoenflies name of a group, such as ``"C1"``, ``"Cs"``, ``"D3h"``, ``"S8"`` or ``"Ih"``.

    The rotations alone are cyclic, dihedral or those of a regular solid, which the order of the
    group and of its elements tell apart. With improper operations there are two families: groups
    that hold the inversion, and others, where each improper operation, times the inversion,
    completes the rotations to a larger group of the same list.

    Parameters
    ----------
    operations : ndarray, shape (k, 3, 3), float64
        Every element of a finite group once, to rounding.
    """
    if len(operations) == 1:
        return "C1"
    is_proper = np.linalg.det(operations) > 0
    proper, improper = operations[is_proper], operations[~is_proper]
    order = len(proper)
    n = max(_rotation_orders(proper))
    family = _CUBIC.get((order, n), "C" if order == n else "D")
    if len(improper) == 0:
        return family if family in "TOI" else f"{family}{n}"
    traces = np.trace(improper, axis1=1, axis2=2)
    if np.min(traces) < -3 + 1e-9:
        return _with_inversion(family, n)
    if family == "T":
        return "Td"
    doubled = max(_rotation_orders(-improper)) == 2 * n
    if family == "D":
        return f"D{n}h" if n % 2 else f"D{n}d"
    if not doubled:
        return f"C{n}v"
    if n == 1:
        return "Cs"
    return f"C{n}h" if n % 2 else f"S{2 * n}"


def _with_inversion(family: str, n: int) -> str:
    if family in "TOI":
        return f"{family}h"
    if family == "D":
        return f"D{n}d" if n % 2 else f"D{n}h"
    if n == 1:
        return "Ci"
    return f"S{2 * n}" if n % 2 else f"C{n}h"


def _rotation_orders(rotations: NDArray[np.float64]) -> list[int]:
    """How often each rotation has to be repeated; powers of it may be in the group as well."""
    cosines = np.clip((np.trace(rotations, axis1=1, axis2=2) - 1) / 2, -1.0, 1.0)
    turns = np.arccos(cosines) / (2 * np.pi)
    # a group of k rotations has turns that are multiples of 1/k at the finest: the smallest turn
    # other than none decides the largest order
    moving = turns[turns > 1e-6]
    return [1, *np.rint(1 / moving).astype(int).tolist()]
