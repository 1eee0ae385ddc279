"""Radial bases of density expansions, and what a Gaussian density makes of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from math import ceil, gamma, log, pi, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.special import eval_jacobi, ive, spherical_jn

from distdesc.errors import CampaignError

Basis = Callable[[NDArray[np.float64]], NDArray[np.float64]]

Made = tuple[Basis, float, float]
"""Functions, where the last of them has ended, and how far each is smooth at least; in Å."""

REACH = 9.5
"""Half width of a Gaussian in units of sigma: beyond, it is below rounding."""

NODES = 14
"""Of the quadrature over one sigma of a Gaussian, or less; 12 already agree to rounding."""

TOGETHER = 128
"""Distances at a time: their table of overlaps stays in the cache."""

STEADY = 0.5
"""Bessel functions of arguments above this, times (l + 1) (l + 2), come from the recurrence up."""

WEIGHT_AT_RADIUS = 1e-3
"""Of a Gaussian-type function of dscribe's convention at its own radius."""


@dataclass(frozen=True)
class RadialBasis:
    """
    Radial functions ``R_nl`` of an expansion of delta or Gaussian densities.

    Parameters
    ----------
    kind : str
        ``"gto"``: Gaussian-type orbitals ``r**n exp(-r**2 / 2 s_n**2)``, the same for all l, as
        featomic has them. ``"gto_dscribe"``: ``r**l exp(-a_nl r**2)``, as dscribe has them. Both
        are orthonormalised symmetrically. ``"laplacian"``: eigenstates of the Laplacian in the
        ball, spherical Bessel functions that vanish at its surface. ``"zernike"``: the radial
        polynomials of the ball.
    n_max : int
        Functions of each l.
    l_max : int
        Largest l.
    radius : float
        Of the ball, or of the widest orbital, in Å.
    sigma : float
        Width of the Gaussian at each neighbour, in Å; 0 for delta densities. The Gaussian's
        square integrates to one, but with ``"gto_dscribe"`` its height is one.
    """

    kind: str
    n_max: int
    l_max: int
    radius: float
    sigma: float

    def __call__(self, distances: NDArray[np.float64]) -> NDArray[np.float64]:
        """
        Coefficient of one neighbour for each n and l, without its harmonic.

        Parameters
        ----------
        distances : ndarray, shape (n,), float64
            From the centre, in Å.

        Returns
        -------
        ndarray, shape (n, l_max + 1, n_max), float64
            Values of the basis if `sigma` is zero, in 1/Å^(3/2); else its overlaps with a
            Gaussian.
        """
        basis, end, smooth = BASES[self.kind](self.n_max, self.l_max, self.radius)
        if self.sigma == 0:
            return basis(distances)
        height = 1.0 if self.kind == "gto_dscribe" else (pi * self.sigma**2) ** -0.75
        farthest = float(np.max(distances, initial=0.0)) + REACH * self.sigma
        x, weight = _quadrature(end, farthest, min(self.sigma, smooth))
        functions = basis(x) * (4 * pi * height * weight * x * x)[:, None, None]
        values = np.empty((len(distances), self.l_max + 1, self.n_max))
        for first in range(0, len(distances), TOGETHER):
            part = distances[first : first + TOGETHER, None]
            reach = np.array([np.min(part), np.max(part)]) + np.array([-1, 1]) * REACH * self.sigma
            near = slice(*np.searchsorted(x, reach))  # nodes that any of their Gaussians reaches
            bell = np.exp(-0.5 * ((x[near] - part) / self.sigma) ** 2)
            bessel = _scaled_bessel(self.l_max, x[near] * part / self.sigma**2)
            for l in range(self.l_max + 1):
                values[first : first + TOGETHER, l] = (bell * bessel[l]) @ functions[near, l]
        return values


def _quadrature(
    end: float, farthest: float, panel: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """
    Places and weights of a rule from 0 to `end` for what is smooth over the length `panel`.

    Panels beyond `farthest` are left out. The others do not depend on it: how a basis is rounded
    at their nodes is then the same for all distances, and does not make overlaps rough.
    """
    place, weight = np.polynomial.legendre.leggauss(NODES)
    n_panels = max(1, ceil(end / panel))
    half = 0.5 * end / n_panels
    used = min(n_panels, ceil(farthest / (2 * half)))
    middles = half * (2 * np.arange(used) + 1)
    x = (middles[:, None] + half * place).ravel()
    return x, np.tile(half * weight, used)


def _scaled_bessel(l_max: int, z: NDArray[np.float64]) -> NDArray[np.float64]:
    """
    Modified spherical Bessel functions of the first kind times ``exp(-z)``; l is first.

    The recurrence is stable from the largest l down. Upwards an error grows by about
    ``exp(l (l + 1) / z)``, which is little for large arguments, and begins with two elementary
    functions instead of two that take a hundred times as long.
    """
    values = np.empty((l_max + 1, *z.shape))
    large = z > max(1.0, STEADY * (l_max + 1) * (l_max + 2))
    values[:, large] = _upwards(l_max, z[large])
    values[:, ~large] = _downwards(l_max, z[~large])
    return values


def _upwards(l_max: int, z: NDArray[np.float64]) -> NDArray[np.float64]:
    values = np.empty((l_max + 1, *z.shape))
    fall = np.exp(-2 * z)
    values[0] = (1 - fall) / (2 * z)
    if l_max:
        values[1] = (1 + fall) / (2 * z) - values[0] / z
    for l in range(1, l_max):
        values[l + 1] = values[l - 1] - (2 * l + 1) / z * values[l]
    return values


def _downwards(l_max: int, z: NDArray[np.float64]) -> NDArray[np.float64]:
    small = z < 1e-8
    safe = np.where(small, 1.0, z)
    values = np.empty((l_max + 2, *z.shape))
    front = sqrt(pi / 2) / np.sqrt(safe)
    for l in (l_max, l_max + 1):
        values[l] = front * ive(l + 0.5, safe)
    for l in range(l_max, 0, -1):
        values[l - 1] = values[l + 1] + (2 * l + 1) / safe * values[l]
    first = 1.0  # (2 l + 1)!!
    for l in range(l_max + 1):
        first *= 2 * l + 1
        values[l][small] = z[small] ** l / first * np.exp(-z[small])
    return values[: l_max + 1]


@cache
def _gto(n_max: int, l_max: int, radius: float) -> Made:
    powers = np.arange(n_max)
    widths = radius * np.sqrt(np.maximum(powers, 1)) / n_max
    exponents = 0.5 / widths**2
    # int r**(2 + p + q) exp(-(a + b) r**2) dr over all r
    order = 0.5 * (3 + powers[:, None] + powers)
    overlap = 0.5 * np.vectorize(gamma)(order) * (exponents[:, None] + exponents) ** -order
    norm = np.diag(overlap) ** -0.5
    mix = norm[:, None] * _inverse_root(overlap * norm[:, None] * norm)

    def basis(r: NDArray[np.float64]) -> NDArray[np.float64]:
        values = r[:, None] ** powers * np.exp(-exponents * r[:, None] ** 2) @ mix
        return np.repeat(values[:, None], l_max + 1, axis=1)

    return basis, _end(widths, powers), float(np.min(widths))


@cache
def _gto_dscribe(n_max: int, l_max: int, radius: float) -> Made:
    if radius <= 1:
        raise CampaignError(
            f'basis_radius must be above 1 Å for radial "gto_dscribe", got {radius}'
        )
    radii = np.linspace(1.0, radius, n_max)
    exponents, mixes, ends, finest = [], [], [], np.inf
    for l in range(l_max + 1):
        alpha = -np.log(WEIGHT_AT_RADIUS / radii**l) / radii**2
        overlap = 0.5 * gamma(l + 1.5) * (alpha[:, None] + alpha) ** -(l + 1.5)
        exponents.append(alpha)
        mixes.append(_inverse_root(overlap))
        widths = (2 * alpha) ** -0.5
        ends.append(_end(widths, np.full(n_max, l)))
        finest = min(finest, float(np.min(widths)))

    def basis(r: NDArray[np.float64]) -> NDArray[np.float64]:
        parts = [
            r[:, None] ** l * np.exp(-exponents[l] * r[:, None] ** 2) @ mixes[l]
            for l in range(l_max + 1)
        ]
        return np.stack(parts, axis=1)

    return basis, max(ends), finest


def _end(widths: NDArray[np.float64], powers: NDArray[np.int64]) -> float:
    """Where ``r**(p + 2) exp(-r**2 / 2 s**2)`` is below rounding, for all widths s and powers p."""
    return float(np.max(widths * (np.sqrt(powers + 2) + REACH)))


def _inverse_root(overlap: NDArray[np.float64]) -> NDArray[np.float64]:
    """Matrix that orthonormalises symmetrically, ``S**(-1/2)``."""
    try:
        inverse = np.linalg.inv(np.linalg.cholesky(overlap))
    except np.linalg.LinAlgError:
        inverse = np.full((1, 1), np.inf)
    if not np.linalg.norm(inverse) ** 2 * np.linalg.norm(overlap) < 1e14:
        raise CampaignError(
            f"n_max must be smaller for this basis, whose functions are not independent in double "
            f"precision, got {len(overlap)}"
        )
    # more accurate than by eigenvalues: singular values of the root are found to all digits
    _, scale, rotation = np.linalg.svd(inverse)
    root: NDArray[np.float64] = (rotation.T * scale) @ rotation
    return root


@cache
def _laplacian(n_max: int, l_max: int, radius: float) -> Made:
    zeros = _bessel_zeros(l_max, n_max)
    norms = np.stack(
        [sqrt(2 / radius**3) / np.abs(spherical_jn(l + 1, zeros[l])) for l in range(l_max + 1)]
    )

    def basis(r: NDArray[np.float64]) -> NDArray[np.float64]:
        parts = [
            norms[l] * spherical_jn(l, zeros[l] * r[:, None] / radius) for l in range(l_max + 1)
        ]
        return np.stack(parts, axis=1)

    return basis, radius, radius / (n_max + 0.5 * l_max)


def _bessel_zeros(l_max: int, n_zeros: int) -> NDArray[np.float64]:
    """Zeros of the spherical Bessel functions; those of l lie between those of l - 1."""
    brackets = np.arange(1, n_zeros + l_max + 1) * pi
    rows = [brackets[:n_zeros]]
    for l in range(1, l_max + 1):
        low, high = brackets[:-1].copy(), brackets[1:].copy()
        sign = np.sign(spherical_jn(l, low))
        for _ in range(60):
            middle = 0.5 * (low + high)
            left = np.sign(spherical_jn(l, middle)) == sign
            low, high = np.where(left, middle, low), np.where(left, high, middle)
        brackets = 0.5 * (low + high)
        rows.append(brackets[:n_zeros])
    return np.stack(rows)


@cache
def _zernike(n_max: int, l_max: int, radius: float) -> Made:
    k = np.arange(n_max)

    def basis(r: NDArray[np.float64]) -> NDArray[np.float64]:
        x = r[:, None] / radius
        parts = [
            np.sqrt((4 * k + 2 * l + 3) / radius**3)
            * x**l
            * eval_jacobi(k, 0, l + 0.5, 2 * x * x - 1)
            for l in range(l_max + 1)
        ]
        return np.stack(parts, axis=1)

    return basis, radius, radius / (n_max + 0.5 * l_max)


BASES: dict[str, Callable[[int, int, float], Made]] = {
    "gto": _gto,
    "gto_dscribe": _gto_dscribe,
    "laplacian": _laplacian,
    "zernike": _zernike,
}


def dscribe_padding(sigma: float) -> float:
    """
    How far beyond its radius dscribe takes neighbours, in Å.

    Parameters
    ----------
    sigma : float
        Width of the Gaussian of a neighbour, in Å.
    """
    return sigma * sqrt(-2 * log(WEIGHT_AT_RADIUS))
