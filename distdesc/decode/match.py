"""How far a decoded structure is from a true one, whatever its frame and the order of its atoms."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from distdesc.symmetry.alignment import axes_along, rotation_onto

CANDIDATES = 96
"""Alignments to try, of each handedness."""


@dataclass(frozen=True)
class Match:
    """
    Errors of a decoded structure in the frame that suits it best.

    Parameters
    ----------
    max_error, rms_error : float
        Largest and root mean square distance of an atom from its true place, in Å; infinite if
        the numbers of atoms differ.
    species_ok : bool
        Whether every atom, so matched, is of the right element.
    """

    max_error: float
    rms_error: float
    species_ok: bool


def match(
    positions: NDArray[np.float64],
    numbers: NDArray[np.int32],
    true_positions: NDArray[np.float64],
    true_numbers: NDArray[np.int32],
    reflections: bool = True,
) -> Match:
    """
    Compare two structures about a common centre, up to rotation and order of atoms.

    Pairs of atoms that are as far from the centre and from each other as a chosen pair of the
    true structure give rotations to begin with; atoms are then assigned (Hungarian method) and
    the rotation fitted (Kabsch) in turn. Atoms are matched within their element, unless the
    formulas differ.

    Parameters
    ----------
    positions : ndarray, shape (n, 3), float64
        Decoded, relative to the centre, in Å.
    numbers : ndarray, shape (n,), int32
        Decoded atomic numbers.
    true_positions : ndarray, shape (m, 3), float64
        True, relative to the same centre, in Å.
    true_numbers : ndarray, shape (m,), int32
        True atomic numbers.
    reflections : bool
        Whether the mirror image is as good; it is unless the fingerprint has pseudoscalars.
    """
    if len(numbers) != len(true_numbers):
        return Match(np.inf, np.inf, False)
    if len(numbers) == 0:
        return Match(0.0, 0.0, True)
    formula_ok = np.array_equal(np.sort(numbers), np.sort(true_numbers))
    labels = (numbers, true_numbers) if formula_ok else (0 * numbers, 0 * true_numbers)
    forbidden = labels[0][:, None] != labels[1]
    best = Match(np.inf, np.inf, False)
    hands = [positions, -positions] if reflections else [positions]
    starts = [_rotations(hand, labels[0], true_positions, labels[1]) for hand in hands]
    for rotations in zip(*starts, strict=True):  # both hands in turn: one of them soon matches
        for hand, rotation in zip(hands, rotations, strict=True):
            moved, order = _settled(hand, rotation, true_positions, forbidden)
            errors = np.linalg.norm(moved - true_positions[order], axis=1)
            if np.max(errors) < best.max_error:
                species_ok = bool(np.all(numbers == true_numbers[order]))
                best = Match(float(np.max(errors)), float(np.sqrt(np.mean(errors**2))), species_ok)
            if best.max_error < 1e-6:
                return best
    return best


def _settled(
    positions: NDArray[np.float64],
    rotation: NDArray[np.float64],
    goal: NDArray[np.float64],
    forbidden: NDArray[np.bool_],
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Positions after the best rotation near a given one, and which atom of the goal each is."""
    order = np.arange(len(goal))
    for step in range(8):
        moved = positions @ rotation.T
        distances = np.sum((moved[:, None] - goal) ** 2, axis=2)
        assigned = linear_sum_assignment(np.where(forbidden, 1e6 + distances, distances))[1]
        if step > 0 and np.array_equal(assigned, order):
            break
        order = assigned
        rotation = rotation_onto(positions, goal[order])
    return positions @ rotation.T, order


def _rotations(
    positions: NDArray[np.float64],
    labels: NDArray[np.int32],
    goal: NDArray[np.float64],
    goal_labels: NDArray[np.int32],
) -> Iterator[NDArray[np.float64]]:
    """Rotations that bring a pair of atoms onto a pair of the goal, the most similar first."""
    radii, goal_radii = np.linalg.norm(positions, axis=1), np.linalg.norm(goal, axis=1)
    areas = np.linalg.norm(np.cross(goal[:, None], goal), axis=2)
    # few look-alikes of the first atom mean few alignments to try
    alike = np.sum(
        (np.abs(goal_radii[:, None] - goal_radii) < 0.05)
        & (goal_labels[:, None] == goal_labels), axis=1,
    )  # fmt: skip
    wide = np.where(areas > 0.3 * np.max(areas), (alike[:, None] * alike), len(goal) ** 3)
    i, j = np.unravel_index(int(np.argmin(wide)), wide.shape)
    off = np.abs(radii - goal_radii[i])[:, None] + np.abs(radii - goal_radii[j])
    span = np.linalg.norm(goal[i] - goal[j])
    off = off + np.abs(np.linalg.norm(positions[:, None] - positions, axis=2) - span)
    off += 100.0 * ((labels != goal_labels[i])[:, None] | (labels != goal_labels[j]))
    if len(goal) > 1:
        np.fill_diagonal(off, np.inf)
    frame = axes_along(goal[i], goal[j])
    chosen = np.argsort(off, axis=None, kind="stable")[:CANDIDATES]
    for a, b in zip(*np.unravel_index(chosen, off.shape), strict=True):
        yield frame.T @ axes_along(positions[a], positions[b])
