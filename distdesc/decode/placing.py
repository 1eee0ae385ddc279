"""Atoms from moments that are too few to hold them by linear algebra: a search."""

from __future__ import annotations

from math import comb, pi

import numpy as np
from numpy.typing import NDArray

from distdesc.decode.atoms import NOTHING, Candidate, Chemistry
from distdesc.decode.exchanging import FITTED
from distdesc.decode.fingerprints import Fit
from distdesc.decode.frame import Frame, frames_of
from distdesc.decode.moment_problem import MomentMatrix
from distdesc.decode.starts import NEAR, Starts

STARTS = 60
"""Random starts, at most."""

POLISHES = 4
"""Of fits that leave doubt, the first few and the best few are fitted to the fingerprint."""

DOUBTLESS = 1e-12
"""Misfit of free weights that leaves none."""


def place(
    moments: NDArray[np.float64],
    order: int,
    chemistry: Chemistry,
    fingerprint: NDArray[np.float64],
    rng: np.random.Generator,
    tolerance: float = 1e-8,
    starts: int = STARTS,
) -> Candidate:
    """
    Fit atoms to moments that are nearly known, from random starts.

    Numbers of atoms are those that elements can have the total weight with. Where more numbers
    than places are asked for than there are moments, only that weights are those of elements can
    make the answer unique; whether it does, the candidate says.

    Parameters
    ----------
    moments : ndarray, shape (n_moments(order),), float64
        Known ones.
    order : int
        Their largest n.
    chemistry : Chemistry
        Of the descriptor.
    fingerprint : ndarray, shape (n_features,), float64
        What the atoms must have.
    rng : numpy.random.Generator
        Of the starts.
    tolerance : float
        Residual that is good enough.
    starts : int
        Random starts, at most.
    """
    best = NOTHING
    if not np.all(np.isfinite(moments)):
        return best
    frames = frames_of(moments, order)
    searches = [
        Starts(frame, chemistry, fingerprint, _rank(frame), len(frames) == 1) for frame in frames
    ]
    tasks = [(search, n) for search in searches for n in search.sizes]
    doubtful = list[tuple[float, int, Starts, Fit]]()
    k, effort, doubts = 0, 0, 0
    while effort < starts and tasks:
        search, n = tasks[k % len(tasks)]
        fit = search.start(n, rng)
        free = search.free(n)
        doubts += free and DOUBTLESS < fit.residual < NEAR
        if fit.residual < (FITTED if not free else DOUBTLESS if doubts > POLISHES else NEAR):
            best = min(best, search.atoms(fit, tolerance, rng), key=lambda c: c.residual)
        else:
            doubtful.append((fit.residual, k, search, fit))
        if best.residual <= tolerance and best.sure:
            return best
        k, effort = k + 1, effort + search.effort(n)
    for _, _, search, fit in sorted(doubtful)[:POLISHES]:
        best = min(best, search.atoms(fit, tolerance, rng), key=lambda c: c.residual)
    return best


def crowded(moments: NDArray[np.float64], order: int) -> bool:
    """
    Whether there may be more atoms, in the space that they span, than linear algebra can hold.

    Parameters
    ----------
    moments : ndarray, shape (n_moments(order),), float64
        Known ones.
    order : int
        Their largest n.
    """
    if not np.all(np.isfinite(moments)):
        return False
    degree = (order - 1) // 2
    return any(_rank(f) >= comb(degree + f.axes, degree) for f in frames_of(moments, order))


def _rank(frame: Frame) -> int:
    """Number of atoms that there are at least."""
    return MomentMatrix(3 / (4 * pi) * frame.target, frame.order).sure_rank()
