"""How many motions a fingerprint cannot see to first order, because of symmetry alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from distdesc.errors import CampaignError

if TYPE_CHECKING:
    from distdesc.symmetry.group import Symmetry

MAPS = ("env", "sum", "stack")


def expected_nulls(symmetry: Symmetry, map: str = "env") -> int:
    """
    Null motions that symmetry demands of any smooth fingerprint, trivial motions set aside.

    Whatever is not totally symmetric is not seen, so that ``env`` and ``sum`` have
    d - (n_A1 - t_A1) nulls: d motions in all without the trivial ones, and n_A1 totally symmetric
    ones of which t_A1 are trivial. A ``stack`` sees what is totally symmetric under the
    stabiliser of any of its atoms: those irreducible motions that the permutations of the atoms
    hold as well.

    For fingerprints that tell mirror images apart, take those of `Symmetry.proper`. A fingerprint
    may have more nulls than these: it may be incomplete, or see less than the whole structure.

    Parameters
    ----------
    symmetry : Symmetry
        Of an environment about its centre for ``env``; of a whole molecule about its centroid, or
        of a crystal, for ``sum`` and ``stack``.
    map : str
        ``"env"``: the fingerprint of one centre, which stays at the origin; trivial motions are
        rotations. ``"sum"``: fingerprints summed over the atoms of each element; ``"stack"``: the
        fingerprints of all atoms, kept apart. Trivial of these are shifts, and of a molecule
        rotations.

    Returns
    -------
    int
        Of ``3 n`` motions less the trivial ones.

    Raises
    ------
    CampaignError
        If the map is unknown, or ``env`` is asked of a crystal.
    """
    if map not in MAPS or (map == "env" and symmetry.periodic):
        accepted = ", ".join(MAPS[1:] if symmetry.periodic else MAPS)
        raise CampaignError(f"map must be one of {accepted}, got {map!r}")
    if len(symmetry) == 0:
        return 0
    polar = np.trace(symmetry.operations, axis1=1, axis2=2)
    n_motions = 3 * len(symmetry) - symmetry.n_rotations
    if map == "stack":
        return n_motions - 3 - _seen_by_stack(symmetry)
    axial = np.linalg.det(symmetry.operations) * polar
    # the axis of a linear set turns into itself, and is no motion
    symmetric_turns = _whole(np.mean(axial)) if symmetry.n_rotations == 3 else 0
    if symmetry.n_rotations == 1:
        symmetric_turns = _whole(np.mean(_about_axis(symmetry)))
    seen = _n_symmetric(symmetry) - symmetric_turns
    if map == "env":
        return n_motions - seen
    return n_motions - 3 - (seen - _whole(np.mean(polar)))


def _n_symmetric(symmetry: Symmetry) -> int:
    """Totally symmetric displacements: by the trace of the projection onto them."""
    places = np.unique(symmetry.sites)
    unmoved = np.sum(symmetry.permutations[:, places] == places, axis=1)
    traces = np.trace(symmetry.operations, axis1=1, axis2=2)
    return _whole(np.mean(traces * unmoved))


def _seen_by_stack(symmetry: Symmetry) -> int:
    """
    Motions that some atom's stabiliser leaves unchanged, but for rigid ones.

    They are those irreducible motions μ of which the permutations of atoms hold n_μ > 0 copies.
    With the character χ of the permutations, the number of atoms that stay, |G|⁻¹ Σ χ(g) D(g)
    multiplies them by n_μ over their dimension, and all others by zero.
    """
    n = len(symmetry)
    if np.any(symmetry.sites != np.arange(n)):
        k = int(np.argmax(symmetry.sites != np.arange(n)))
        raise CampaignError(
            f"a stack needs atoms apart, but {symmetry.sites[k]} and {k} are like and coincide"
        )
    unmoved = np.sum(symmetry.permutations == np.arange(n), axis=1)
    weights = unmoved / len(symmetry.operations)
    total = np.zeros((n, 3, n, 3))
    for g in np.flatnonzero(weights):
        total[symmetry.permutations[g], :, np.arange(n)] += weights[g] * symmetry.operations[g]
    shifts = np.einsum("g,gxy->xy", weights, symmetry.operations)
    seen = _rank(total.reshape(3 * n, 3 * n)) - _rank(shifts)
    if symmetry.n_rotations == 3:
        signed = weights * np.linalg.det(symmetry.operations)
        seen -= _rank(np.einsum("g,gxy->xy", signed, symmetry.operations))
    if symmetry.n_rotations == 1:
        seen -= int(weights @ _about_axis(symmetry) > 0.1)
    return seen


def _about_axis(symmetry: Symmetry) -> NDArray[np.float64]:
    """What the operations of a chain do to the rotation about its axis: 1 or -1."""
    axis: Any = symmetry.axis
    ends: NDArray[np.float64] = axis @ symmetry.operations @ axis
    signs: NDArray[np.float64] = np.linalg.det(symmetry.operations)
    return signs * ends


def _rank(total: NDArray[np.float64]) -> int:
    # no irreducible motion has more than five dimensions
    return int(np.sum(np.linalg.eigvalsh(total) > 0.1))


def _whole(count: Any) -> int:
    return int(np.rint(count))
