"""Finds the symmetry of environments about their centres, and of molecules."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from distdesc.errors import CampaignError
from distdesc.structures.environment import Environments
from distdesc.symmetry import _finder_kernels as kernels
from distdesc.symmetry._group_kernels import make_exact
from distdesc.symmetry.closure import choose_group, group_table
from distdesc.symmetry.group import Symmetry
from distdesc.symmetry.names import point_group_name

TOLERANCE = 1e-3
"""How far, in Å, an atom may be from where it would be in a set that is exactly symmetric."""

_SIGNS = np.array([[0, 1], [1, 0]], dtype=np.int32)  # a product is proper if both are, or neither
_MANY = 128  # operations that there is room for at first: of the solids there are 120 at most


def find_symmetry(
    points: NDArray[np.float64], numbers: NDArray[np.int32], tolerance: float = TOLERANCE
) -> Symmetry:
    """
    Symmetry of a set of atoms about the origin.

    An operation is taken if it is one of a set in which no atom is more than the tolerance away.
    Candidates bring, when placed best, every atom within twice the tolerance of a like one. Those
    of a set that is only nearly symmetric need not form a group, or shift some atom too far. Then
    a group is grown by the most exact one first, and what would bring in a product that is not
    among them, or shift an atom too far, is left out. So the result is always a group, and
    `Symmetry.symmetrised` moves no atom by more than the tolerance.

    Two atoms with the images of both fix an operation, so that at most as many have to be tried
    as there are pairs alike.

    Parameters
    ----------
    points : ndarray, shape (n, 3), float64
        Neighbours about their centre, or a molecule about its centroid, in Å.
    numbers : ndarray, shape (n,), integers
        Atomic numbers; only like atoms exchange. That of a centre which is not among the points
        does not matter.
    tolerance : float
        In Å; like atoms closer than twice as much count as coincident.

    Returns
    -------
    Symmetry
        About the origin.

    Raises
    ------
    CampaignError
        If the tolerance is not positive.
    """
    check_tolerance(tolerance)
    points = np.ascontiguousarray(points, dtype=np.float64).reshape(-1, 3)
    kinds = np.ascontiguousarray(numbers, dtype=np.int64)
    n = len(points)
    sites = np.empty(n, dtype=np.int64)
    places, members = sites, None
    if kernels.merge_coincident(points, kinds, 2 * tolerance, sites):
        places, members, counts = np.unique(sites, return_inverse=True, return_counts=True)
        means = np.zeros((len(places), 3))
        np.add.at(means, members, points / counts[members][:, None])
        points, kinds = means, kinds[places] * (n + 1) + counts
    axis = np.array([0.0, 0.0, 1.0])
    sort = kernels.shape(points, tolerance, axis)
    name = ""
    if sort != kernels.GENERAL:
        name, operations, permutations = _infinite(sort, axis, points, kinds, tolerance)
    else:
        operations, permutations = _finite(points, kinds, tolerance)
    if members is not None:
        permutations = _of_atoms(permutations, members)
    return Symmetry(operations, permutations, sites, name or point_group_name(operations))


def check_tolerance(tolerance: float) -> None:
    """
    Refuse a tolerance that is not positive.

    Parameters
    ----------
    tolerance : float
        In Å.

    Raises
    ------
    CampaignError
        If it is not.
    """
    if not 0 < tolerance < np.inf:
        raise CampaignError(f"tolerance must be positive, in Å, got {tolerance}")


def find_symmetries(environments: Environments, tolerance: float = TOLERANCE) -> list[Symmetry]:
    """
    Symmetry of each of a batch of environments.

    Parameters
    ----------
    environments : Environments
        Neighbours of their centres.
    tolerance : float
        As of `find_symmetry`, in Å.

    Returns
    -------
    list of Symmetry
        One for each environment.
    """
    bounds = zip(environments.offsets[:-1], environments.offsets[1:], strict=True)
    return [
        find_symmetry(environments.vectors[i:j], environments.numbers[i:j], tolerance)
        for i, j in bounds
    ]


def warm_up() -> None:
    """Compile the kernels, so that processes started later find them cached."""
    find_symmetry(np.eye(3), np.ones(3, dtype=np.int32))


def _finite(
    points: NDArray[np.float64], kinds: NDArray[np.int64], tolerance: float
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Operations that form a group, made exact, and their permutations, of points off a line."""
    operations, permutations, signs, errors, pair = find_maps(
        points, kinds, points, kinds, 2 * tolerance
    )
    if len(operations) == 1:
        return np.eye(3)[None], permutations
    images = permutations[:, pair]
    identity = int(np.argmax((signs > 0) & (images[:, 0] == pair[0]) & (images[:, 1] == pair[1])))
    operations[identity] = np.eye(3)
    for array in (operations, permutations, signs, errors):
        array[[0, identity]] = array[[identity, 0]]
    labels = (signs < 0).astype(np.int64)
    table = group_table(permutations, labels, _SIGNS, pair, whole=True)
    inside = choose_group(points[permutations] @ operations - points, errors, table, tolerance)
    if not np.all(inside):
        operations, permutations = operations[inside], permutations[inside]
        table = (np.cumsum(inside, dtype=np.int32) - 1)[table[np.ix_(inside, inside)]]
    make_exact(operations, table)
    return operations, permutations


def find_maps(
    points: NDArray[np.float64],
    kinds: NDArray[np.int64],
    goal: NDArray[np.float64],
    goal_kinds: NDArray[np.int64],
    limit: float,
    improper: bool = True,
    most: int | None = None,
) -> tuple[
    NDArray[np.float64], NDArray[np.int64], NDArray[np.float64], NDArray[np.float64],
    tuple[int, int],
]:  # fmt: skip
    """
    Operations that bring points off a line near to those of another set, one to one.

    Parameters
    ----------
    points : ndarray, shape (n, 3), float64
        In Å, about the origin.
    kinds : ndarray, shape (n,), int64
        Points go to goals of their kind.
    goal : ndarray, shape (n, 3), float64
        In Å, about the origin.
    goal_kinds : ndarray, shape (n,), int64
        Kinds of the goals.
    limit : float
        How far from a goal an image may be, in Å.
    improper : bool
        Whether to look for reflections too.
    most : int, optional
        How many to look for; all by default.

    Returns
    -------
    operations : ndarray, shape (k, 3, 3), float64
        Fitted to all points.
    permutations : ndarray, shape (k, n), int64
        Which goal each point comes to.
    signs, errors : ndarray, shape (k,), float64
        Determinants; the largest distance of an image from its goal, in Å.
    pair : tuple of int
        Two points whose images tell operations of one determinant apart.
    """
    room, n = most or _MANY, len(points)
    while True:
        operations, permutations = np.empty((room, 3, 3)), np.empty((room, n), dtype=np.int64)
        signs, errors = np.empty(room), np.empty(room)
        k, a, b = kernels.find_maps(
            points, kinds, goal, goal_kinds, limit, improper,
            operations, permutations, signs, errors,
        )  # fmt: skip
        if k < room or most is not None:
            return operations[:k], permutations[:k], signs[:k], errors[:k], (a, b)
        room *= 4


def _of_atoms(permutations: NDArray[np.int64], members: NDArray[np.int64]) -> NDArray[np.int64]:
    """Permutations of atoms from those of sites: the m-th atom of one goes to that of another."""
    order = np.argsort(members, kind="stable")
    starts = np.searchsorted(members[order], np.arange(permutations.shape[1]))
    ranks = np.empty(len(members), dtype=np.int64)
    ranks[order] = np.arange(len(members)) - starts[members[order]]
    images: NDArray[np.int64] = order[starts[permutations[:, members]] + ranks]
    return images


def _infinite(
    sort: int,
    axis: NDArray[np.float64],
    points: NDArray[np.float64],
    kinds: NDArray[np.int64],
    tolerance: float,
) -> tuple[str, NDArray[np.float64], NDArray[np.int64]]:
    """Name, and operations of a finite subgroup, of atoms on one line or on one point."""
    n = len(points)
    across = np.linalg.svd(axis[None])[2][1:]
    frame = np.vstack([axis, across])
    # mirrors that hold the axis, and the half turn about it
    flips = np.array([[1, 1, 1], [1, -1, -1], [1, 1, -1], [1, -1, 1]], dtype=np.float64)
    images = np.arange(n)
    mirrored = True
    if sort == kernels.LINEAR:
        along = points @ axis
        off = np.where(kinds[:, None] == kinds, np.abs(along[:, None] + along), np.inf)
        images = np.argmin(off, axis=1)
        mirrored = bool(np.max(np.min(off, axis=1)) <= 2 * tolerance)
        mirrored &= np.array_equal(images[images], np.arange(n))
    name = {kernels.NONE: "Kh", kernels.LINEAR: "D*h" if mirrored else "C*v"}[sort]
    permutations = np.tile(np.arange(n), (4, 1))
    if mirrored:
        flips = np.concatenate([flips, -flips])
        permutations = np.concatenate([permutations, np.tile(images, (4, 1))])
    operations = np.einsum("ax,ga,ay->gxy", frame, flips, frame)
    operations[0] = np.eye(3)
    return name, operations, permutations
