"""What the symmetry of all its environments hides of a structure's motions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from distdesc.errors import CampaignError
from distdesc.structures.environment import Environments
from distdesc.symmetry.congruence import find_map
from distdesc.symmetry.finder import TOLERANCE, find_symmetries
from distdesc.symmetry.group import Symmetry

BLIND = 1e-6
"""Singular values of what is seen are one and more; those below this are zero."""


def expected_structure_nulls(
    environments: Environments,
    n_trivial: int,
    map: str,
    proper: bool = False,
    symmetries: Sequence[Symmetry] | None = None,
    tolerance: float = TOLERANCE,
) -> int:
    """
    Null motions that the symmetry of its environments demands of a whole structure.

    They are what is left without trivial motions and those that it lets features see; see
    `visible_motions`, also for the other parameters. With a cutoff that spans a molecule this is
    what `expected_nulls` finds from the group of the molecule, and with a long enough one what it
    finds for a primitive cell. It holds for short cutoffs, chains, and cells that are not
    primitive as well, where there is more symmetry in the environments than in the whole.

    Parameters
    ----------
    environments : Environments
        Of all atoms of one structure, in their order.
    n_trivial : int
        Motions that are set aside: translations, and rotations of what is not periodic.
    map : str
        ``"sum"`` or ``"stack"``.
    proper : bool
        Whether the fingerprint tells mirror images apart.
    symmetries : sequence of Symmetry, optional
        Of the environments, with all operations, if they have been found already.
    tolerance : float
        As of `find_symmetry`, in Å.

    Raises
    ------
    CampaignError
        If the map is neither.
    """
    visible = visible_motions(environments, map, proper, symmetries, tolerance)
    return max(0, int(visible.shape[0] - visible.shape[1]) - n_trivial)


def visible_motions(
    environments: Environments,
    map: str,
    proper: bool = False,
    symmetries: Sequence[Symmetry] | None = None,
    tolerance: float = TOLERANCE,
    trivial: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """
    Motions of the atoms of a structure that the symmetry of its environments lets features see.

    An environment sees the totally symmetric part of how its neighbours move beside the centre,
    but for rotations. A stack of fingerprints sees what any environment does. In a sum, all
    environments that an operation brings onto each other count as one, with its neighbours'
    motions added up.

    Parameters
    ----------
    environments : Environments
        Of all atoms of one structure, in their order.
    map : str
        ``"sum"``: fingerprints added up over the centres of each element; ``"stack"``: those of
        all centres, kept apart.
    proper : bool
        Whether the fingerprint tells mirror images apart.
    symmetries : sequence of Symmetry, optional
        Of the environments, with all operations, if they have been found already.
    tolerance : float
        As of `find_symmetry`, in Å.
    trivial : ndarray, shape (3 n, k), float64, optional
        Orthonormal motions that are set aside. Without them, these are seen as little as
        environments are exactly as symmetric as they nearly are.

    Returns
    -------
    ndarray, shape (3 n, n_visible), float64
        Orthonormal columns, orthogonal to trivial motions.

    Raises
    ------
    CampaignError
        If the map is neither.
    """
    if map not in ("sum", "stack"):
        raise CampaignError(f"map must be sum or stack, got {map!r}")
    found = find_symmetries(environments, tolerance) if symmetries is None else symmetries
    groups = [symmetry.proper() if proper else symmetry for symmetry in found]
    n = len(environments)
    alone = [(k, [(k, np.eye(3), np.arange(len(groups[k])))]) for k in range(n)]
    classes = alone if map == "stack" else _classes(environments, proper, tolerance)
    rows = [np.empty((0, n, 3))]
    for first, members in classes:
        seen = _seen(_vectors(environments, first), groups[first])
        rows.append(_moved(environments, seen, members))
    motions = np.concatenate(rows).reshape(-1, 3 * n)
    if trivial is not None:
        motions -= (motions @ trivial) @ trivial.T
    # what is seen is known as well as environments, and maps between them, are exact
    error = tolerance if map == "sum" else _misfit(environments, groups)
    return _spanned(motions, max(BLIND, 10 * error))


def _misfit(environments: Environments, groups: Sequence[Symmetry]) -> float:
    """How far a neighbour is from where it would be in an exactly symmetric environment, in Å."""
    off = [
        np.max(np.abs(group.symmetrised(_vectors(environments, k)) - _vectors(environments, k)))
        for k, group in enumerate(groups)
        if len(group) and len(group.operations) > 1
    ]
    return max(off, default=0.0)


Members = list[tuple[int, NDArray[np.float64], NDArray[np.int64]]]


def _classes(
    environments: Environments, proper: bool, tolerance: float
) -> list[tuple[int, Members]]:
    """Environments that are equal: one of each sort, and all with the way to bring them to it."""
    # by formula, in order of appearance; most are told apart by their distances already
    classes: dict[bytes, list[tuple[int, Members, NDArray[np.float64]]]] = {}
    for k, centre in enumerate(environments.centre_numbers):
        vectors, numbers = _vectors(environments, k), _numbers(environments, k)
        radii = np.linalg.norm(vectors, axis=1)
        order = np.lexsort((radii, numbers))
        formula = np.append(numbers[order], centre).tobytes()
        alike = classes.setdefault(formula, [])
        for first, members, distances in alike:
            if np.max(np.abs(radii[order] - distances), initial=0.0) > 2 * tolerance:
                continue
            goal = (_vectors(environments, first), _numbers(environments, first))
            found = find_map(vectors, numbers, *goal, tolerance, improper=not proper)
            if found is not None:
                members.append((k, *found))
                break
        else:
            alike.append((k, [(k, np.eye(3), np.arange(len(numbers)))], radii[order]))
    return [(first, members) for alike in classes.values() for first, members, _ in alike]


def _numbers(environments: Environments, k: int) -> NDArray[np.int64]:
    pairs = slice(environments.offsets[k], environments.offsets[k + 1])
    return environments.numbers[pairs].astype(np.int64)


def _vectors(environments: Environments, k: int) -> NDArray[np.float64]:
    return environments.vectors[environments.offsets[k] : environments.offsets[k + 1]]


def _seen(vectors: NDArray[np.float64], symmetry: Symmetry) -> NDArray[np.float64]:
    """Motions of neighbours, (k, n, 3), that an environment can see; orthonormal."""
    n = len(vectors)
    motions = symmetry.motions()
    turns = np.cross(np.eye(3)[:, None], symmetry.symmetrised(vectors)).reshape(3, 3 * n)
    inside = turns @ motions
    _, sizes, axes = np.linalg.svd(inside)
    count = int(np.sum(sizes > 1e-6 * max(1.0, float(np.linalg.norm(turns)))))
    seen: NDArray[np.float64] = (axes[count:] @ motions.T).reshape(len(axes) - count, n, 3)
    return seen


def _moved(
    environments: Environments, seen: NDArray[np.float64], members: Members
) -> NDArray[np.float64]:
    """What the first of some equal environments sees of the atoms' motions, (k, n_atoms, 3)."""
    rows = np.zeros((len(environments), len(seen), 3))
    start = environments.centres[0]
    for k, operation, images in members:
        pairs = slice(environments.offsets[k], environments.offsets[k + 1])
        parts = (seen[:, images] @ operation).transpose(1, 0, 2)
        np.add.at(rows, environments.neighbours[pairs] - start, parts)
        rows[environments.centres[k] - start] -= np.sum(parts, axis=0)
    return rows.transpose(1, 0, 2)


def _spanned(motions: NDArray[np.float64], blind: float) -> NDArray[np.float64]:
    """Orthonormal columns that span some rows."""
    small = np.linalg.qr(motions, mode="r") if len(motions) > motions.shape[1] else motions
    _, sizes, right = np.linalg.svd(small, full_matrices=False)
    spanned: NDArray[np.float64] = right[: int(np.sum(sizes > blind))].T
    return spanned
