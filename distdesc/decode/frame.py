"""Moments in the frame that resolves atoms best: principal axes, each stretched to one width."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import comb, pi

import numpy as np
from numpy.typing import NDArray

from distdesc.decode._basis_kernels import functions_and_slopes
from distdesc.decode._placing_kernels import fit_places
from distdesc.decode.moment_problem import ball_rule
from distdesc.descriptors.density import harmonic_recurrence, n_moments, zernike_functions
from distdesc.descriptors.zernike import zernike_coefficients

SPREAD = 0.2
"""Variance along each axis, that of a filled unit ball."""

FLAT = (1e-9, 1e-5)
"""Variances, relative to the largest, below which atoms may be taken to lie in a plane."""

THIN = 0.02
"""Variance, relative to the largest, down to which an axis is stretched."""

FARTHEST = 2.5
"""Distance from the middle, in these units, that atoms do not go beyond."""


@dataclass(frozen=True)
class Frame:
    """
    Moments of a density in a frame of its own.

    Polynomials up to a degree stay such under any affine map, so that moments are known in any
    frame once they are in one. Where the density is as wide along each axis as the ball, they
    resolve the atoms best, however elongated the molecule and however large its ball.

    Parameters
    ----------
    target : ndarray, shape (n_moments(order),), float64
        Moments in the frame, without the factor ``3 / (4 pi)``.
    order : int
        Largest n.
    axes : int
        Dimensions that the density extends in; the first coordinates.
    centre : ndarray, shape (3,), float64
        Origin of the frame.
    stretch : ndarray, shape (3, 3), float64
        A place u of the frame is ``centre + stretch @ u`` in the ball.
    widths : ndarray, shape (3,), float64
        Standard deviation of the density along each axis, in units of the frame.
    """

    target: NDArray[np.float64]
    order: int
    axes: int
    centre: NDArray[np.float64]
    stretch: NDArray[np.float64]
    widths: NDArray[np.float64]

    @property
    def equations(self) -> int:
        """Number of moments that places along the axes have."""
        return comb(self.order + self.axes, self.axes)

    def least_order(self, unknowns: int) -> int:
        """
        Order from which on, up to its own, there are more moments than unknowns.

        Parameters
        ----------
        unknowns : int
            Coordinates, for instance.
        """
        orders = range(1, self.order)
        return next((k for k in orders if comb(k + self.axes, k) > unknowns), self.order)

    @cached_property
    def square(self) -> float:
        """Sum of the squares of the moments."""
        return float(self.target @ self.target)

    def in_ball(self, places: NDArray[np.float64]) -> NDArray[np.float64]:
        """
        Points of the ball, in units of its radius.

        Parameters
        ----------
        places : ndarray, shape (n, 3), float64
            In the frame.
        """
        return self.centre + places @ self.stretch.T

    def fit(
        self,
        places: NDArray[np.float64],
        weights: NDArray[np.float64],
        pull: float,
        settled: float = 1e-4,
        most_steps: int = 100,
        order: int = 0,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
        """
        Move places along the axes, and change their weights, towards the moments.

        Parameters
        ----------
        places : ndarray, shape (n, 3), float64
            In the frame.
        weights : ndarray, shape (n,), float64
            Weight of each.
        pull : float
            Strength that draws weights to what they are; negative to keep them.
        settled : float
            Relative gain of a step that is the last.
        most_steps : int
            Steps at most.
        order : int
            Largest n of the moments to fit; 0 for all.

        Returns
        -------
        places : ndarray, shape (n, 3), float64
            Where they went.
        weights : ndarray, shape (n,), float64
            What they became.
        misfit : float
            Fraction of the squares of the moments that is left.
        """
        moved, changed = places.copy(), weights.copy()
        basis = _basis(order or self.order)
        cost = fit_places(
            self.target[: n_moments(order or self.order)], moved, changed, self.axes, weights,
            pull, basis, most_steps, 1e-26 * self.square, settled, FARTHEST,
        )  # fmt: skip
        return moved, changed, cost / self.square

    def functions(
        self, places: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """
        Moments of places of weight one, (n, n_moments), and slopes, (n, axes, n_moments).

        Parameters
        ----------
        places : ndarray, shape (n, 3), float64
            In the frame.
        """
        functions = np.empty((len(places), len(self.target)))
        slopes = np.empty((len(places), 3, len(self.target)))
        functions_and_slopes(places, *_basis(self.order), functions, slopes)
        return functions, slopes[:, : self.axes]


def frames_of(moments: NDArray[np.float64], order: int) -> list[Frame]:
    """
    Frames of a density, that with most dimensions first; none if positive weights have no such.

    A density that is nearly flat has two: one in which it extends in all dimensions, and one in
    which it is held for flat, where fewer moments tell more.

    Parameters
    ----------
    moments : ndarray, shape (n_moments(order),), float64
        Known ones, in the order of `distdesc.descriptors.density.tensors`.
    order : int
        Largest n.
    """
    nodes, parts = ball_rule(2 * order)
    density = 4 * pi / 3 * parts * (zernike_functions(nodes, order) @ moments)
    total = float(np.sum(density))
    if not total > 0:
        return []
    centre = density @ nodes / total
    spread = (density[:, None] * (nodes - centre)).T @ (nodes - centre) / total
    values, vectors = np.linalg.eigh(spread)
    values, vectors = values[::-1], vectors[:, ::-1]
    if not values[0] > 1e-12:
        return []
    frames: dict[int, Frame] = {}
    for flat in FLAT:
        wide = values > flat * values[0]
        lengths = np.sqrt(np.where(wide, np.maximum(values, THIN * values[0]), values[0]) / SPREAD)
        target = density @ zernike_functions((nodes - centre) @ (vectors / lengths), order)
        if not np.all(wide):
            target = _flattened(target, (nodes / np.max(nodes)) * wide, order)
        widths = np.sqrt(np.maximum(values, 0.0)) / lengths
        axes = int(np.sum(wide))
        frames.setdefault(axes, Frame(target, order, axes, centre, vectors * lengths, widths))
    return list(frames.values())


def _flattened(
    target: NDArray[np.float64], places: NDArray[np.float64], order: int
) -> NDArray[np.float64]:
    """Part of moments that flat places can have; the rest tells how far they are from flat."""
    functions = zernike_functions(places, order)
    values, vectors = np.linalg.eigh(functions.T @ functions)
    span = vectors[:, values > 1e-12 * values[-1]]
    flat: NDArray[np.float64] = span @ (span.T @ target)
    return flat


@lru_cache(maxsize=8)
def _basis(order: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What the kernels need of the functions, writeable as they are compiled for."""
    return np.array(harmonic_recurrence(order)), np.array(zernike_coefficients(order))
