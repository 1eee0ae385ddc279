"""Smooth functions of the distance as piecewise polynomials: fast, and exact to rounding."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import cos, pi

import numpy as np
from numpy.typing import NDArray

from distdesc.errors import CampaignError

DEGREE = 7
"""Of the pieces: with less the table outgrows the cache, with more arithmetic dominates."""

ACCURACY = 3e-14
"""Error at which intervals are not halved again, relative to the largest value of a function."""

NOISE = 1e-9
"""Largest error that is accepted where halving does not help, because the function is rounded."""

MOST_PIECES = 2048

Functions = Callable[[NDArray[np.float64]], NDArray[np.float64]]


@dataclass(frozen=True)
class Piecewise:
    """
    Polynomials of the distance, one set on each interval.

    Parameters
    ----------
    coefficients : ndarray, shape (n_pieces, DEGREE + 1, *shape), float64
        Of the powers of the position in the interval, from -1 to 1.
    edge : float
        Where the width of the intervals changes, in Å.
    n_inner : int
        Intervals up to there.
    stop : float
        End of the last interval, in Å.
    """

    coefficients: NDArray[np.float64]
    edge: float
    n_inner: int
    stop: float

    @property
    def scales(self) -> NDArray[np.float64]:
        """Intervals per Å up to the edge, the edge, intervals up to it, intervals per Å after."""
        outer = len(self.coefficients) - self.n_inner
        inner = self.n_inner / self.edge if self.n_inner else 0.0
        after = outer / (self.stop - self.edge) if outer else 0.0
        return np.array([inner, self.edge, self.n_inner, after, len(self.coefficients)])


def piecewise(functions: Functions, edge: float, stop: float) -> Piecewise:
    """
    Piecewise polynomials through functions that are smooth up to an edge and again after it.

    Parameters
    ----------
    functions : callable
        Takes distances, shape (n,), in Å; returns values, shape (n, *shape).
    edge, stop : float
        Range of the pieces is 0 to `stop`; some derivative may jump at `edge`. In Å.

    Raises
    ------
    CampaignError
        If the functions vary too fast for `MOST_PIECES` intervals, or are rounded too much.
    """
    inner = _pieces(functions, 0.0, edge)
    outer = _pieces(functions, edge, stop)
    return Piecewise(np.concatenate([inner, outer]), edge, len(inner), stop)


def _pieces(functions: Functions, start: float, stop: float) -> NDArray[np.float64]:
    """Coefficients on as few equal intervals as the accuracy takes; a power of two."""
    if stop <= start:
        return np.empty((0, DEGREE + 1, *functions(np.zeros(1)).shape[1:]))
    n_nodes = DEGREE + 1
    nodes = np.array([cos(pi * (k + 0.5) / n_nodes) for k in range(n_nodes)])
    solve = np.linalg.inv(np.vander(nodes, increasing=True))
    probes = np.array([-1.0, -0.1, 0.9])
    n_pieces, scale, before = 16, np.zeros(()), np.inf
    while n_pieces <= MOST_PIECES:
        width = (stop - start) / n_pieces
        middles = start + width * (np.arange(n_pieces) + 0.5)

        def at(places: NDArray[np.float64]) -> NDArray[np.float64]:
            points = middles[:, None] + 0.5 * width * places  # noqa: B023  called at once
            points = np.clip(points, start, np.nextafter(stop, start))
            flat = functions(points.ravel())
            return flat.reshape(*points.shape, *flat.shape[1:])

        values = at(nodes)
        scale = np.maximum(scale, np.max(np.abs(values), axis=(0, 1)))
        coefficients: NDArray[np.float64] = np.einsum("dn,pn...->pd...", solve, values)
        powers = np.vander(probes, n_nodes, increasing=True)
        error = np.abs(np.einsum("qd,pd...->pq...", powers, coefficients) - at(probes))
        worst = float(np.max(np.max(error, axis=(0, 1)) / np.maximum(scale, 1e-200)))
        if worst <= ACCURACY or before / 4 < worst <= NOISE:
            return coefficients
        n_pieces, before = 2 * n_pieces, worst
    raise CampaignError(
        f"sigma is too small or too large, or n_max or l_max too large: the radial functions vary "
        f"too fast for {MOST_PIECES} pieces, or are lost in rounding"
    )
