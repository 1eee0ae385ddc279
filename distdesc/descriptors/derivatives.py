"""Derivatives of fingerprints by atom positions and by strain, of every descriptor."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from distdesc.descriptors.descriptor import Descriptor
from distdesc.structures.environment import Environments
from distdesc.structures.neighbours import iterate_environments
from distdesc.structures.source import Structures

MAX_NUMBERS = 2**22
"""Of the Jacobian by neighbours that is in memory at once, unless a single centre has more."""


@dataclass(frozen=True)
class AtomJacobians:
    """
    Derivatives of fingerprints by atom positions, where they need not be zero.

    Blocks go by centre, and for each centre by atom, ascending. A centre has a block for each
    atom of its environment and one for itself; none if nothing but its own images is near.

    Parameters
    ----------
    offsets : ndarray, shape (n_centres + 1,), int64
        Centre k has the blocks ``offsets[k]:offsets[k + 1]``.
    centres : ndarray, shape (n_centres,), int64
        Which atom of the batch a centre is.
    atoms : ndarray, shape (n_blocks,), int64
        Atom of the batch whose motion a block is about.
    values : ndarray, shape (n_blocks, 3, n_features), float64
        In features per Å.
    """

    offsets: NDArray[np.int64]
    centres: NDArray[np.int64]
    atoms: NDArray[np.int64]
    values: NDArray[np.float64]

    def dense(self, first: int, last: int) -> NDArray[np.float64]:
        """
        Derivatives by the atoms ``first`` to ``last`` of the batch, zeros included.

        Parameters
        ----------
        first, last : int
            Half-open range of atoms, such as those of one structure.

        Returns
        -------
        ndarray, shape (n_centres, last - first, 3, n_features), float64
            In features per Å.
        """
        out = np.zeros((len(self.centres), last - first, *self.values.shape[1:]))
        rows = np.repeat(np.arange(len(self.centres)), np.diff(self.offsets))
        wanted = (self.atoms >= first) & (self.atoms < last)
        out[rows[wanted], self.atoms[wanted] - first] = self.values[wanted]
        return out


def by_atom(descriptor: Descriptor, environments: Environments) -> AtomJacobians:
    """
    Derivatives of every fingerprint by the positions of the atoms of its structure.

    With ``r_j = x_a(j) + t_j - x_i``, image j of atom a seen from centre i, the chain rule gives
    ``d xi_i / d x_a = sum_{j: a(j) = a} J_j - delta_ai sum_j J_j``, where J is
    `Descriptor.jacobian`: images are folded onto their atom, the centre moves against all of its
    neighbours, and its own images, which move along with it, cancel.

    Parameters
    ----------
    descriptor : Descriptor
        The map.
    environments : Environments
        Of any atoms of a batch; their cutoff is that of the descriptor.

    Returns
    -------
    AtomJacobians
        Of all these centres.
    """
    n = len(environments)
    owners, pairs = _moving(environments)
    atoms = np.concatenate([environments.neighbours[pairs], environments.centres[owners]])
    span = int(np.max(atoms, initial=0)) + 1
    keys = np.unique(np.tile(owners, 2) * span + atoms)
    offsets = np.searchsorted(keys, np.arange(n + 1) * span)
    values = np.empty((len(keys), 3, descriptor.n_features))
    for begin, end in _slices(environments.offsets, descriptor.n_features):
        part = environments.part(begin, end)
        owners, pairs = _moving(part)
        targets = np.concatenate([part.neighbours[pairs], part.centres[owners]])
        targets += np.tile(owners, 2) * span
        weights = np.repeat([1.0, -1.0], len(pairs))
        _, sums = _gathered(descriptor.jacobian(part), np.tile(pairs, 2), targets, weights)
        values[offsets[begin] : offsets[end]] = sums
    return AtomJacobians(offsets, environments.centres, keys % span, values)


def by_strain(descriptor: Descriptor, environments: Environments) -> NDArray[np.float64]:
    """
    Derivatives of every fingerprint by a homogeneous strain of its structure.

    Positions and cell become ``(1 + eps) x``, so that ``d xi / d eps_ab`` is
    ``sum_j (J_j)_a (r_j)_b``, where J is `Descriptor.jacobian`. Rotations change nothing: the
    result is symmetric in a and b.

    Parameters
    ----------
    descriptor : Descriptor
        The map.
    environments : Environments
        Their cutoff is that of the descriptor.

    Returns
    -------
    ndarray, shape (n_environments, 3, 3, n_features), float64
        In features per unit strain; the axes are those of a and b.
    """
    out = np.zeros((len(environments), 3, 3, descriptor.n_features))
    for begin, end in _slices(environments.offsets, descriptor.n_features):
        part = environments.part(begin, end)
        jacobian = descriptor.jacobian(part)
        owners, pairs = _pairs(part)
        for b in range(3):
            rows, sums = _gathered(jacobian, pairs, owners, part.vectors[:, b])
            out[begin + rows, :, b] = sums
    return out


def pooled_by_atom(
    descriptor: Descriptor, batch: Structures, mean: bool = False, elements: tuple[int, ...] = ()
) -> NDArray[np.float64]:
    """
    Derivatives of the pooled fingerprint of every structure by the positions of its atoms.

    Fingerprints are pooled over the centres of a structure, so that an atom of the batch changes
    one pooled fingerprint only: that of its own structure. It is what `by_atom` gives, summed over
    centres, without having all of it in memory.

    Parameters
    ----------
    descriptor : Descriptor
        The map.
    batch : Structures
        Structures that passed validation.
    mean : bool
        Divide by the number of atoms of the structure.
    elements : tuple of int
        Atomic numbers whose centres have a sum each, one after the other; if empty, there is one
        sum over all centres. Centres of other elements are left out.

    Returns
    -------
    ndarray, shape (n_atoms, 3, n_sums * n_features), float64
        In features per Å.
    """
    n_sums = max(1, len(elements))
    n_features = descriptor.n_features
    out = np.zeros((len(batch.numbers), 3, n_sums, n_features))
    for part in _parts(descriptor, batch):
        owners, pairs = _moving(part)
        sums, shares = _pools(batch, part, mean, elements)
        targets = np.concatenate([part.neighbours[pairs], part.centres[owners]])
        targets = targets * n_sums + np.tile(sums[owners], 2)
        weights = np.concatenate([shares[owners], -shares[owners]])
        rows, values = _gathered(descriptor.jacobian(part), np.tile(pairs, 2), targets, weights)
        out[rows // n_sums, :, rows % n_sums] += values
    return out.reshape(len(batch.numbers), 3, n_sums * n_features)


def pooled_by_strain(
    descriptor: Descriptor, batch: Structures, mean: bool = False, elements: tuple[int, ...] = ()
) -> NDArray[np.float64]:
    """
    Derivatives of the pooled fingerprint of every structure by a homogeneous strain.

    See `by_strain` for the strain and `pooled_by_atom` for the other parameters.

    Parameters
    ----------
    descriptor : Descriptor
        The map.
    batch : Structures
        Structures that passed validation.
    mean : bool
        Divide by the number of atoms of the structure.
    elements : tuple of int
        Atomic numbers whose centres have a sum each.

    Returns
    -------
    ndarray, shape (n_structures, 3, 3, n_sums * n_features), float64
        In features per unit strain.
    """
    n_sums = max(1, len(elements))
    n_features = descriptor.n_features
    out = np.zeros((len(batch), 3, 3, n_sums, n_features))
    for part in _parts(descriptor, batch):
        owners, pairs = _pairs(part)
        sums, shares = _pools(batch, part, mean, elements)
        structures = np.searchsorted(batch.offsets, part.centres, side="right") - 1
        targets = (structures * n_sums + sums)[owners]
        jacobian = descriptor.jacobian(part)
        for b in range(3):
            weights = shares[owners] * part.vectors[:, b]
            rows, values = _gathered(jacobian, pairs, targets, weights)
            out[rows // n_sums, :, b, rows % n_sums] += values
    return out.reshape(len(batch), 3, 3, n_sums * n_features)


def _gathered(
    jacobian: NDArray[np.float64],
    pairs: NDArray[np.int64],
    targets: NDArray[np.int64],
    weights: NDArray[np.float64],
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """
    Weighted sums of derivatives by neighbour, ``sum weights * jacobian[pairs]`` of each target.

    All derivatives are such sums: a sparse matrix times the Jacobian. Returns the targets,
    ascending, and their sums, shape (n, 3, n_features).
    """
    n_pairs, n_features = len(jacobian), jacobian.shape[2]
    found, rows = np.unique(targets, return_inverse=True)
    matrix = csr_array((weights, (rows, pairs)), shape=(len(found), n_pairs))
    sums = matrix @ jacobian.reshape(n_pairs, 3 * n_features)
    return found, sums.reshape(len(found), 3, n_features)


def _pairs(environments: Environments) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Environment and number of each pair."""
    owners = np.repeat(np.arange(len(environments)), np.diff(environments.offsets))
    return owners, np.arange(len(owners))


def _moving(environments: Environments) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Environment and number of the pairs that change if the neighbour or the centre moves."""
    owners, pairs = _pairs(environments)
    moving = environments.neighbours != environments.centres[owners]
    return owners[moving], pairs[moving]


def _pools(
    batch: Structures, environments: Environments, mean: bool, elements: tuple[int, ...]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Sum that the fingerprint of each environment is added to, and with which weight."""
    shares = np.ones(len(environments))
    if mean:
        structures = np.searchsorted(batch.offsets, environments.centres, side="right") - 1
        shares /= np.diff(batch.offsets)[structures]
    sums = np.zeros(len(environments), dtype=np.int64)
    if elements:
        order = np.argsort(elements)
        numbers = environments.centre_numbers
        places = np.searchsorted(elements, numbers, sorter=order) % len(elements)
        sums = order[places]
        shares[np.asarray(elements)[sums] != numbers] = 0.0
    return sums, shares


def _most_pairs(n_features: int) -> int:
    return MAX_NUMBERS // (3 * n_features)


def _parts(descriptor: Descriptor, batch: Structures) -> Iterator[Environments]:
    """Environments of all atoms of a batch, in slices of bounded size."""
    most = _most_pairs(descriptor.n_features)
    return iterate_environments(batch, 0, len(batch.numbers), descriptor.cutoff, most)


def _slices(offsets: NDArray[np.int64], n_features: int) -> Iterator[tuple[int, int]]:
    """Ranges of environments with a Jacobian of bounded size, or of one."""
    begin, most = 0, _most_pairs(n_features)
    while begin < len(offsets) - 1:
        end = int(np.searchsorted(offsets, offsets[begin] + most, side="right")) - 1
        yield begin, max(end, begin + 1)
        begin = max(end, begin + 1)
