"""The operations that map a lattice onto itself."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def complete_cell(cell: NDArray[np.float64], pbc: NDArray[np.bool_]) -> NDArray[np.float64]:
    """
    Lattice vectors, with unit vectors normal to all others where there is no periodicity.

    Parameters
    ----------
    cell : ndarray, shape (3, 3), float64
        Lattice vectors as rows, in Å.
    pbc : ndarray, shape (3,), bool
        Periodic directions.
    """
    completed = np.array(cell, dtype=np.float64)
    normals = np.linalg.svd(completed[pbc].reshape(-1, 3))[2][int(np.sum(pbc)) :]
    completed[~pbc] = normals
    return completed


def lattice_operations(
    cell: NDArray[np.float64], pbc: NDArray[np.bool_], tolerance: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """
    Point operations of a lattice, as they act on scaled coordinates.

    Each lattice vector may go to any other of its length; those choices count that keep all
    angles. Those of a lattice that is only nearly symmetric need not form a group.

    Parameters
    ----------
    cell : ndarray, shape (3, 3), float64
        From `complete_cell`, in Å.
    pbc : ndarray, shape (3,), bool
        Periodic directions, two or three.
    tolerance : float
        Half of how far a lattice vector may be from its image, in Å.

    Returns
    -------
    operations : ndarray, shape (k, 3, 3), float64
        Positions in units of the lattice vectors, as columns, from the left; the identity first.
    errors : ndarray, shape (k,), float64
        By about how much lattice vectors miss their images, in Å.
    """
    images = [_of_length(cell, pbc, k, tolerance) for k in range(3)]
    gram = cell @ cell.T
    lengths = np.sqrt(np.diag(gram))
    slack = 2 * tolerance * (lengths[:, None] + lengths)
    found = images[0][:, None]
    for k in (1, 2):
        pairs = np.concatenate(
            [
                np.repeat(found, len(images[k]), axis=0),
                np.tile(images[k], (len(found), 1))[:, None],
            ],
            axis=1,
        )
        dots = np.einsum("gix,xy,gy->gi", pairs[:, :k], gram, pairs[:, k])
        found = pairs[np.all(np.abs(dots - gram[k, :k]) <= slack[k, :k], axis=1)]
    operations = found.transpose(0, 2, 1)
    operations = operations[np.abs(np.abs(np.linalg.det(operations)) - 1) < 0.5]
    changes = np.einsum("gki,kl,glj->gij", operations, gram, operations) - gram
    errors = 2 * tolerance * np.max(np.abs(changes / slack), axis=(1, 2))
    first = np.argmax(np.all(operations == np.eye(3), axis=(1, 2)))
    order = np.concatenate([[first], np.delete(np.arange(len(operations)), first)])
    return operations[order], errors[order]


def lattice_products(operations: NDArray[np.float64]) -> NDArray[np.int32]:
    """
    Multiplication table of matrices of integers.

    Parameters
    ----------
    operations : ndarray, shape (k, 3, 3), float64
        From `lattice_operations`.

    Returns
    -------
    ndarray, shape (k, k), int32
        Index of each product, -1 where it is not among them.
    """
    flat = operations.reshape(-1, 9).astype(np.int64)
    products = (operations[:, None] @ operations).reshape(-1, 9).astype(np.int64)
    # wraps around for large entries, so that what is found is compared in full
    hashes = 1_000_003 ** np.arange(9)
    order = np.argsort(flat @ hashes)
    places = np.searchsorted(flat @ hashes, products @ hashes, sorter=order)
    found = order[np.minimum(places, len(order) - 1)]
    same = np.all(flat[found] == products, axis=1)
    return np.where(same, found, -1).reshape(len(flat), -1).astype(np.int32)


def cartesian_operations(
    operations: NDArray[np.float64], cell: NDArray[np.float64]
) -> NDArray[np.float64]:
    """
    Exactly orthogonal matrices of operations on scaled coordinates.

    The metric is averaged over the operations, so that each of them keeps it, and the cell of
    that metric nearest to the true one makes them Cartesian.

    Parameters
    ----------
    operations : ndarray, shape (k, 3, 3), float64
        Of a group, any element as often as any other.
    cell : ndarray, shape (3, 3), float64
        In Å.
    """
    gram = cell @ cell.T
    mean = np.mean(operations.transpose(0, 2, 1) @ gram @ operations, axis=0)
    u, _, vt = np.linalg.svd(np.linalg.cholesky(mean).T @ cell)
    symmetric = np.linalg.cholesky(mean) @ u @ vt
    result: NDArray[np.float64] = symmetric.T @ operations @ np.linalg.inv(symmetric.T)
    return result


def _of_length(
    cell: NDArray[np.float64], pbc: NDArray[np.bool_], k: int, tolerance: float
) -> NDArray[np.float64]:
    """Lattice vectors, in units of the cell, as long as one of it; for a normal both directions."""
    if not pbc[k]:
        normals: NDArray[np.float64] = np.array([[1.0], [-1.0]]) * np.eye(3)[k]
        return normals
    length = np.linalg.norm(cell[k]) + 2 * tolerance
    heights = 1 / np.linalg.norm(np.linalg.inv(cell), axis=0)
    most = np.where(pbc, np.floor(length / heights), 0).astype(int)
    grid = np.stack(np.meshgrid(*[np.arange(-m, m + 1) for m in most], indexing="ij"), axis=-1)
    vectors = grid.reshape(-1, 3).astype(np.float64)
    off = np.linalg.norm(vectors @ cell, axis=1) - np.linalg.norm(cell[k])
    alike: NDArray[np.float64] = vectors[np.abs(off) <= 2 * tolerance]
    return alike
