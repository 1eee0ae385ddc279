"""The symmetry of a set of atoms about a point: operations, permutations, symmetric motions."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from distdesc.symmetry.names import point_group_name
from distdesc.symmetry.nulls import expected_nulls

_PROPER_NAMES = {"C*v": "C*", "D*h": "D*", "Kh": "K"}
_INFINITE = {*_PROPER_NAMES, *_PROPER_NAMES.values()}


@dataclass(frozen=True)
class Symmetry:
    """
    A group of operations about the origin that map atoms onto like atoms.

    A fingerprint that is invariant under rotations, reflections and exchange of like atoms does
    not change to first order along a motion that has no totally symmetric part: its Jacobian is
    J = J P, with P = |G|⁻¹ Σ D(g) the projection onto totally symmetric displacements [1]_.

    For the infinite groups of linear sets (``"C*v"``, ``"D*h"``) and of no atom off the origin
    (``"Kh"``) the operations are those of a finite subgroup, C2v or D2h, that leaves the same
    displacements unchanged.

    Parameters
    ----------
    operations : ndarray, shape (n_operations, 3, 3), float64
        Orthogonal matrices, the identity first; a group to rounding.
    permutations : ndarray, shape (n_operations, n), int64
        Operation g brings atom k to where atom ``permutations[g, k]`` is.
    sites : ndarray, shape (n,), int64
        First of the like atoms that are at the place of an atom; they are exchanged at will,
        which the operations do not list.
    name : str
        Schoenflies; ``"C*v"``, ``"D*h"`` and ``"Kh"`` for the infinite groups, and ``"C*"``,
        ``"D*"`` and ``"K"`` for their rotations.
    periodic : bool
        Whether the atoms are those of the cell of a crystal. An operation then stands for itself
        followed by any shift that completes it, and the lattice's shifts bring atoms to images.
    axis : ndarray, shape (3,), float64, optional
        Of a chain, which is periodic in one direction: that direction, of length one.

    References
    ----------
    .. [1] Pozdnyakov et al., Open Res. Europe 1, 126 (2021), on singular points by symmetry.
    """

    operations: NDArray[np.float64]
    permutations: NDArray[np.int64]
    sites: NDArray[np.int64]
    name: str
    periodic: bool = False
    axis: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.sites)

    @property
    def order(self) -> float:
        """Number of operations; infinite for linear sets and for none off the origin."""
        return np.inf if self.name in _INFINITE else float(len(self.operations))

    @property
    def linear(self) -> bool:
        """Whether all atoms lie on one line through the origin, and not all at the origin."""
        return self.name in ("C*v", "D*h", "C*", "D*")

    @property
    def n_rotations(self) -> int:
        """Independent rotations: three, two of a linear set, one of a chain, none of a crystal."""
        if self.axis is not None:
            return 0 if self.linear else 1
        if self.linear:
            return 2
        return 0 if self.periodic or self.name in ("Kh", "K") else 3

    def proper(self) -> Symmetry:
        """The rotations alone, for fingerprints that tell mirror images apart."""
        rotations = np.linalg.det(self.operations) > 0
        if self.name in _INFINITE:
            name = _PROPER_NAMES.get(self.name, self.name)
            return replace(self._subgroup(rotations), name=name)
        return self._subgroup(rotations)

    def stabiliser(self, atom: int) -> Symmetry:
        """
        The operations that leave one atom where it is.

        Parameters
        ----------
        atom : int
            Its index.
        """
        return self._subgroup(self.permutations[:, atom] == atom)

    def symmetrised(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """
        The nearest positions with exactly this symmetry.

        Parameters
        ----------
        points : ndarray, shape (n, 3), float64
            Positions about the origin, in Å; any displacements do as well.

        Returns
        -------
        ndarray, shape (n, 3), float64
            Mean over the operations of each atom's image, turned back.
        """
        members = np.bincount(self.sites, minlength=len(self))[self.sites][:, None]
        means = np.zeros_like(points)
        np.add.at(means, self.sites, points / members)
        images = means[self.sites][self.permutations]
        turned = np.einsum("gyx,gky->kx", self.operations, images) / len(self.operations)
        symmetric: NDArray[np.float64] = turned[self.sites]
        return symmetric

    def motions(self) -> NDArray[np.float64]:
        """
        Orthonormal totally symmetric displacements.

        One atom of each orbit moves along directions that its own stabiliser keeps, and the
        others of the orbit as its images do.

        Returns
        -------
        ndarray, shape (3 n, n_symmetric), float64
            As columns; atoms outside, axes inside.
        """
        n = len(self)
        if len(self.operations) == 1 and np.array_equal(self.sites, np.arange(n)):
            return np.eye(3 * n)
        members = np.bincount(self.sites, minlength=n)
        done = np.zeros(n, dtype=bool)
        columns = [np.empty((n, 3, 0))]
        for k in np.flatnonzero(members):
            if done[k]:
                continue
            images, ways = np.unique(self.permutations[:, k], return_index=True)
            done[images] = True
            kept = np.mean(self.operations[self.permutations[:, k] == k], axis=0)
            values, vectors = np.linalg.eigh((kept + kept.T) / 2)
            directions = vectors[:, values > 0.5]
            block = np.zeros((n, 3, directions.shape[1]))
            block[images] = self.operations[ways] @ directions
            columns.append(block[self.sites] / np.sqrt(len(images) * members[k]))
        together = np.concatenate(columns, axis=2)
        return together.reshape(3 * n, together.shape[2])

    def projector(self) -> NDArray[np.float64]:
        """
        The orthogonal projection P onto totally symmetric displacements.

        Returns
        -------
        ndarray, shape (3 n, 3 n), float64
            ``jacobian @ P`` is the Jacobian itself, features as rows.
        """
        motions = self.motions()
        projection: NDArray[np.float64] = motions @ motions.T
        return projection

    def expected_nulls(self, map: str = "env") -> int:
        """
        Null motions that this symmetry demands, trivial ones set aside; see `nulls.expected_nulls`.

        Parameters
        ----------
        map : str
            ``"env"``, ``"sum"`` or ``"stack"``.
        """
        return expected_nulls(self, map)

    def _subgroup(self, chosen: NDArray[np.bool_]) -> Symmetry:
        operations = self.operations[chosen]
        name = self.name
        if not np.all(chosen):
            # those of a crystal come once for each shift that goes with them
            once = np.unique(np.rint(operations * 1e6), axis=0, return_index=True)[1]
            name = point_group_name(operations[once])
        return replace(
            self, operations=operations, permutations=self.permutations[chosen], name=name
        )
