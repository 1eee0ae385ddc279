"""Ways to solve for one tensor of moments, when those before it are known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from distdesc.decode.independent_symmetry import NO_SYMMETRY
from distdesc.descriptors import _jacobian_kernels, _moment_kernels
from distdesc.descriptors.invariants import ContractionTable, Tensor

NEGATIVE = 0.03
"""Relative amount by which a square may come out below zero, where errors have grown."""

Factors = tuple[tuple[tuple[int, int], ...], ...]
"""For each of some features, ranges of the moments of the tensors in it."""


@dataclass(frozen=True)
class Step:
    """
    What determines a tensor, once those before it are known.

    Parameters
    ----------
    tensor : Tensor
        Which one.
    columns : slice
        Its moments.
    features : ndarray of int
        Features that it is the last tensor of: first those linear in it, then its square.
    n_linear : int
        Of the linear ones.
    table : ContractionTable
        Of these features.
    partners : tuple of tuple of (int, int)
        For each of them, the ranges of the moments of its other tensors.
    known : Known
        All that is known with this tensor.
    """

    tensor: Tensor
    columns: slice
    features: NDArray[np.int64]
    n_linear: int
    table: ContractionTable
    partners: Factors
    known: Known


class Known(NamedTuple):
    """
    All that is known after a step of the march.

    Parameters
    ----------
    features : ndarray of int
        Features of this tensor and of those before.
    table : ContractionTable
        Of these.
    factors : tuple of tuple of (int, int)
        Tensors of each of them, as ranges of their moments.
    columns : ndarray of int
        Moments of this tensor and of those before.
    ls : tuple of int
        The l of each tensor.
    """

    features: NDArray[np.int64]
    table: ContractionTable
    factors: Factors
    columns: NDArray[np.int64]
    ls: tuple[int, ...]


class Problem(NamedTuple):
    """
    What to solve, and how.

    Parameters
    ----------
    fingerprint : ndarray, shape (n_features,), float64
        The goal.
    group : str
        Point group that the density is supposed to have.
    goal : float
        Relative residual that counts as none.
    cut : float
        Relative singular value that counts as zero.
    """

    fingerprint: NDArray[np.float64]
    group: str
    goal: float
    cut: float


def frame(
    at: Step,
    moments: NDArray[np.float64],
    problem: Problem,
    basis: NDArray[np.float64],
) -> list[NDArray[np.float64]]:
    """
    Quadrupoles, diagonal in the frame, with given square and cube.

    Parameters
    ----------
    at : Step
        Of the quadrupole.
    moments : ndarray, shape (n_moments,), float64
        Those known so far; zero beyond.
    problem : Problem
        What to solve, and how.
    basis : ndarray, shape (2 * l + 1, n), float64
        Components that the group leaves.
    """
    square, cube = problem.fingerprint[at.features]
    radius = np.sqrt(max(0.0, square * np.sqrt(5.0)))
    axial, across = np.eye(5)[2], np.eye(5)[4]  # along z, and along x less along y
    allowed = [np.allclose(basis @ (basis.T @ e), e, atol=1e-9) for e in (axial, across)]
    if not allowed[0]:  # a cubic group has none
        return [np.zeros(5)] if radius**2 <= problem.goal * moments[0] ** 2 else []
    trial = moments.copy()
    trial[at.columns] = radius * axial
    largest = values(trial, at.table)[1]
    # the cube of a traceless matrix goes with the cosine of three times an angle
    angle = np.arccos(np.clip(cube / largest, -1.0, 1.0)) if largest else 0.0
    if not allowed[1]:
        return [radius * axial * (1 if angle < np.pi / 2 else -1)]
    turns = (
        [angle] if problem.group == NO_SYMMETRY else [angle, 2 * np.pi - angle, 2 * np.pi + angle]
    )
    return [radius * (np.cos(t / 3) * axial + np.sin(t / 3) * across) for t in turns]


def first_vector(
    at: Step,
    moments: NDArray[np.float64],
    problem: Problem,
    basis: NDArray[np.float64],
) -> list[NDArray[np.float64]]:
    """
    First vector, by the squares of its components along the axes; signs are the frame's.

    Parameters
    ----------
    at : Step
        Of the first vector.
    moments : ndarray, shape (n_moments,), float64
        Those known so far; zero beyond.
    problem : Problem
        What to solve, and how.
    basis : ndarray, shape (2 * l + 1, n), float64
        Components that the group leaves.
    """
    target = problem.fingerprint[at.features]
    if basis.shape[1] == 0:
        small = np.sqrt(3) * np.max(np.abs(target[0])) <= problem.goal * moments[0] ** 2
        return [np.zeros(3)] if small else []
    trial, columns = moments.copy(), []
    for axis in basis.T:
        trial[at.columns] = axis
        columns.append(values(trial, at.table))
    scale = scales(moments, at.partners, problem.cut * moments[0])
    equations = np.stack(columns, axis=1) * scale[:, None]
    squares = np.linalg.lstsq(equations, target * scale, rcond=problem.cut)[0]
    length = np.sum(np.abs(squares))
    if np.min(squares) < -NEGATIVE * length:
        return []
    return [basis @ np.sqrt(np.maximum(squares, 0.0))]


def components(
    at: Step,
    moments: NDArray[np.float64],
    problem: Problem,
    basis: NDArray[np.float64],
) -> list[NDArray[np.float64]]:
    """
    Tensors with given products with known ones, and with a given norm if that is known.

    Parameters
    ----------
    at : Step
        Of any other tensor.
    moments : ndarray, shape (n_moments,), float64
        Those known so far; zero beyond.
    problem : Problem
        What to solve, and how.
    basis : ndarray, shape (2 * l + 1, n), float64
        Components that the group leaves.
    """
    target, exact = problem.fingerprint[at.features], problem.group == NO_SYMMETRY
    solved, free = np.zeros(basis.shape[1]), np.eye(basis.shape[1])
    if at.n_linear and basis.shape[1]:
        floor = (problem.cut if exact else np.sqrt(problem.goal)) * moments[0]
        scale = scales(moments, at.partners, floor)[: at.n_linear]
        equations = slopes(moments, at.table)[: at.n_linear, at.columns] @ basis
        solved, free = _shortest(
            equations * scale[:, None], target[: at.n_linear] * scale, problem.cut
        )
    if at.n_linear == len(at.features):
        return [basis @ solved]
    square = max(0.0, float(target[at.n_linear]) * np.sqrt(2 * at.tensor.l + 1))
    left = square - float(solved @ solved)
    size = max(square, (1e-3 * float(moments[0])) ** 2)
    if free.shape[1] == 0 or abs(left) <= problem.goal * size:
        fits = abs(left) <= (problem.goal if exact else 0.3) * size
        return [basis @ solved] if fits else []
    if exact and free.shape[1] > 1:
        return []
    if left < 0:
        return [basis @ solved] if left > -NEGATIVE * size else []
    # a second free direction is a turn of the frame about the axis of a group
    step = np.sqrt(left) * free[:, 0]
    return [basis @ (solved + step), basis @ (solved - step)]


def _shortest(
    equations: NDArray[np.float64], target: NDArray[np.float64], cut: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Shortest solution of linear equations, and the directions that they leave free."""
    left, singular, right = np.linalg.svd(equations)
    rank = int(np.sum(singular > cut))
    solution = right[:rank].T @ ((left[:, :rank].T @ target) / singular[:rank])
    return solution, right[rank:].T


def scales(moments: NDArray[np.float64], factors: Factors, floor: float) -> NDArray[np.float64]:
    """
    Reciprocal products of norms of tensors, none below a floor.

    Parameters
    ----------
    moments : ndarray, shape (n_moments,), float64
        Of all tensors.
    factors : tuple of tuple of (int, int)
        Tensors of each product.
    floor : float
        Least norm.
    """
    norms = {
        (start, stop): max(float(np.linalg.norm(moments[start:stop])), floor)
        for places in factors
        for start, stop in places
    }
    return np.array([1 / np.prod([norms[p] for p in places]) for places in factors])


def values(moments: NDArray[np.float64], table: ContractionTable) -> NDArray[np.float64]:
    """
    Invariants of given moments.

    Parameters
    ----------
    moments : ndarray, shape (n_moments,), float64
        Of all tensors.
    table : ContractionTable
        Of the invariants.
    """
    out = np.empty((1, len(table.dot_left)))
    _moment_kernels.contractions(moments[None], table, out)
    of_moments: NDArray[np.float64] = out[0]
    return of_moments


def slopes(moments: NDArray[np.float64], table: ContractionTable) -> NDArray[np.float64]:
    """
    Derivatives of invariants by all moments.

    Parameters
    ----------
    moments : ndarray, shape (n_moments,), float64
        Of all tensors.
    table : ContractionTable
        Of the invariants.
    """
    out = np.empty((1, len(table.dot_left), len(moments)))
    _jacobian_kernels.contraction_jacobians(moments[None], table, out)
    by_moments: NDArray[np.float64] = out[0]
    return by_moments
