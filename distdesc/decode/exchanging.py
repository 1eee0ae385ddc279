"""Elements of atoms whose places fit only if these are right: exchanged until they do."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from distdesc.decode.frame import Frame

MOVES = 6
"""Most promising exchanges, that are tried from a set of atoms."""

EXCHANGES = 60
"""Exchanges that are tried, at most."""

FITTED = 1e-24
"""Misfit that leaves nothing to exchange."""


def exchanged(
    frame: Frame,
    places: NDArray[np.float64],
    weights: NDArray[np.float64],
    levels: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """
    Exchange weights of pairs of atoms while the places then fit the moments better.

    What an exchange will bring is told by linear algebra beforehand: places make good for what
    lies in the span of their derivatives, and the rest is left. Only the most promising
    exchanges are fitted.

    Parameters
    ----------
    frame : Frame
        Holds the moments.
    places : ndarray, shape (n, 3), float64
        Fitted with these weights.
    weights : ndarray, shape (n,), float64
        Each one of the levels.
    levels : ndarray, shape (m,), float64
        Weights that elements have.

    Returns
    -------
    places, weights : ndarray
        The best found.
    misfit : float
        Theirs.
    """
    _, _, misfit = best = frame.fit(places, weights, -1.0)
    tried = 0
    while misfit > FITTED and tried < EXCHANGES:
        places, weights, misfit = best
        for trial in _promising(frame, places, weights, levels):
            tried += 1
            found = frame.fit(places, trial, -1.0, 1e-3, 30)
            if found[2] < 0.99 * misfit:
                best = found
                break
        else:
            break
    return best


def _promising(
    frame: Frame,
    places: NDArray[np.float64],
    weights: NDArray[np.float64],
    levels: NDArray[np.float64],
) -> list[NDArray[np.float64]]:
    """Weights after the exchanges that may lower the misfit most, the best first."""
    functions, slopes = frame.functions(places)
    span = np.linalg.qr((slopes * weights[:, None, None]).reshape(-1, len(frame.target)).T)[0]
    off = weights @ functions - frame.target
    off = off - span @ (span.T @ off)
    own = functions - (functions @ span) @ span.T
    products, along = own @ own.T, own @ off
    first, second, one, two = _exchanges(weights, levels)
    gain = (
        2 * one * along[first] + 2 * two * along[second] + 2 * one * two * products[first, second]
        + one**2 * products[first, first] + two**2 * products[second, second]
    )  # fmt: skip
    trials = []
    for k in np.argsort(gain, kind="stable")[:MOVES]:
        trial = weights.copy()
        trial[first[k]] += one[k]
        trial[second[k]] += two[k]
        trials.append(trial)
    return trials


def _exchanges(
    weights: NDArray[np.float64], levels: NDArray[np.float64]
) -> tuple[
    NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]
]:  # fmt: skip
    """Pairs of atoms, and changes of their weights from level to level that keep the sum."""
    atoms = np.arange(len(weights))
    first, second, level = map(np.ravel, np.meshgrid(atoms, atoms, levels, indexing="ij"))
    change = level - weights[first]
    other = weights[second] - change
    fits = np.min(np.abs(other[:, None] - levels), axis=1) < 1e-6 * levels[-1]
    kept = (first != second) & (np.abs(change) > 1e-6 * levels[-1]) & fits
    return first[kept], second[kept], change[kept], -change[kept]
