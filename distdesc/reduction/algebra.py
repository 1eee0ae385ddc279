"""Products and decompositions of matrices, the same bits on any machine with any BLAS."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from distdesc.reduction import _algebra_kernels as kernels

DEPENDENT = 1e-14
"""Part of a vector's length below which what is left of it is rounding."""

Matrix = NDArray[np.float64]


def multiply(left: Matrix, right: Matrix) -> Matrix:
    """
    Product of two matrices; row i of it depends on row i of the first alone, bit for bit.

    The product of a BLAS depends, in its last digits, on the number of rows, on the number of
    threads and on the processor.

    Parameters
    ----------
    left : ndarray, shape (n, m), float64
        First factor.
    right : ndarray, shape (m, k), float64
        Second factor.

    Returns
    -------
    ndarray, shape (n, k), float64
        Their product.
    """
    out = np.zeros((len(left), right.shape[1]))
    kernels.accumulate_product(_plain(left), _plain(right), out)
    return out


def orthonormalise(columns: Matrix) -> tuple[Matrix, Matrix]:
    """
    Orthonormal basis of the space of some columns, and the columns in that basis.

    Parameters
    ----------
    columns : ndarray, shape (n, m), float64
        Any columns.

    Returns
    -------
    basis : ndarray, shape (n, r), float64
        Orthonormal columns; ``r`` is the rank.
    triangle : ndarray, shape (r, m), float64
        ``basis @ triangle`` is `columns`, to rounding.
    """
    rows = np.array(columns.T, order="C")
    triangle = np.zeros((len(rows), len(rows)))
    kernels.orthonormalise_rows(rows, triangle, DEPENDENT)
    found = np.diagonal(triangle) > 0
    return np.ascontiguousarray(rows[found].T), np.ascontiguousarray(triangle[:, found].T)


def decompose(matrix: Matrix) -> tuple[Matrix, Matrix]:
    """
    Left singular vectors of a small matrix, and its singular values.

    Parameters
    ----------
    matrix : ndarray, shape (n, m), float64
        Any matrix; of a symmetric one without negative eigenvalues, these are its eigenvectors
        and eigenvalues.

    Returns
    -------
    vectors : ndarray, shape (n, m), float64
        In columns, by falling singular value; zero where that is zero.
    values : ndarray, shape (m,), float64
        Falling.
    """
    rows = np.array(matrix.T, order="C")
    kernels.orthogonalise_rows(rows)
    values = np.sqrt(np.square(rows).sum(axis=1))
    order = np.argsort(-values, kind="stable")
    rows, values = rows[order], values[order]
    rows[values > 0] /= values[values > 0, None]
    return np.ascontiguousarray(rows.T), values


def warm_up() -> None:
    """Compile the kernels, so that processes started later find them cached."""
    matrix = np.eye(3)
    multiply(matrix, matrix)
    orthonormalise(matrix)
    decompose(matrix)


def _plain(array: Matrix) -> Matrix:
    # Kernels are compiled for one kind of array; a read-only or strided one is copied.
    return np.require(array, np.float64, ["C", "W"])
