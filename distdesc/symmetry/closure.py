"""The largest group among operations that were found one by one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from distdesc.symmetry._group_kernels import fill_table, largest_group


def group_table(
    permutations: NDArray[np.int64],
    labels: NDArray[np.int64],
    products: NDArray[np.int32],
    points: tuple[int, int],
    whole: bool,
) -> NDArray[np.int32]:
    """
    Which operation each product is, -1 where it is not among them.

    Parameters
    ----------
    permutations : ndarray, shape (k, n), int64
        Of the operations.
    labels : ndarray, shape (k,), int64
        Operations of one label differ in the images of the two points.
    products : ndarray, shape (n_labels, n_labels), int32
        Label of a product, -1 for none.
    points : tuple of int
        Two points, or one twice.
    whole : bool
        Whether permutations are to agree to the last point.

    Returns
    -------
    ndarray, shape (k, k), int32
        Index of the product, the left factor first.
    """
    k, n = permutations.shape
    a, b = points
    keys = (labels * n + permutations[:, a]) * n + permutations[:, b]
    table = np.empty((k, k), dtype=np.int32)
    fill_table(permutations, labels, products, a, b, keys, np.argsort(keys), whole, table)
    return table


def choose_group(
    shifts: NDArray[np.float64],
    errors: NDArray[np.float64],
    table: NDArray[np.int32],
    tolerance: float,
) -> NDArray[np.bool_]:
    """
    Operations that form a group, and shift no point beyond the tolerance to symmetrise all.

    Parameters
    ----------
    shifts : ndarray, shape (k, n, 3), float64
        From each point to the image that is there, turned back, in Å.
    errors : ndarray, shape (k,), float64
        What counts as exact: operations of small errors are preferred where not all fit together.
    table : ndarray, shape (k, k), int32
        From `group_table`; the identity is the first.
    tolerance : float
        In Å.

    Returns
    -------
    ndarray, shape (k,), bool
        All true if all of them are a group within the tolerance.
    """
    chosen: NDArray[np.bool_] = largest_group(
        np.ascontiguousarray(shifts), np.argsort(errors, kind="stable"), table, tolerance
    )
    return chosen
