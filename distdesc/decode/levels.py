"""The invariants of a full set, sorted by their largest angular momentum."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from distdesc.decode._levels_kernels import derived_rows
from distdesc.descriptors import _jacobian_kernels, _moment_kernels
from distdesc.descriptors.density import tensors
from distdesc.descriptors.invariants import ContractionTable, Invariant, Tensor, contraction_table

LEAST_LENGTH = 1e-7
"""Of a tensor, relative to the total weight, that counts."""


@dataclass(frozen=True)
class Level:
    """
    What determines the moments of one l, once those of all lower l are known.

    Parameters
    ----------
    l : int
        Angular momentum.
    features : ndarray of int
        Features whose largest l this is.
    moments : ndarray of int
        Moments of this l, tensor by tensor.
    table : ContractionTable
        Of the features.
    factors : ndarray of int, shape (n_features, 3)
        Tensors multiplied in each feature; the number of all tensors stands for none.
    grams : ndarray of int, shape (n_tensors, n_tensors)
        Features that are dot products of two tensors of this l.
    couplings : ContractionTable
        Of pairs of tensors of lower l, coupled to this one, in its derived rows.
    linear : ndarray of int, shape (n_pairs, n_tensors)
        Features that are the dot product of each of these pairs with each tensor of this l.
    """

    l: int
    features: NDArray[np.int64]
    moments: NDArray[np.int64]
    table: ContractionTable
    factors: NDArray[np.int64]
    grams: NDArray[np.int64]
    couplings: ContractionTable
    linear: NDArray[np.int64]

    @property
    def width(self) -> int:
        """Components of a tensor."""
        return 2 * self.l + 1

    def values(self, moments: NDArray[np.float64]) -> NDArray[np.float64]:
        """
        Features of given moments.

        Parameters
        ----------
        moments : ndarray, shape (n_moments,), float64
            Of all levels.
        """
        out = np.empty((1, len(self.features)))
        _moment_kernels.contractions(moments[None], self.table, out)
        values: NDArray[np.float64] = out[0]
        return values

    def slopes(self, moments: NDArray[np.float64]) -> NDArray[np.float64]:
        """
        Derivatives of the features by all moments, shape (n_features, n_moments).

        Parameters
        ----------
        moments : ndarray, shape (n_moments,), float64
            Of all levels.
        """
        out = np.empty((1, len(self.features), len(moments)))
        _jacobian_kernels.contraction_jacobians(moments[None], self.table, out)
        slopes: NDArray[np.float64] = out[0]
        return slopes

    def coupled(self, moments: NDArray[np.float64]) -> NDArray[np.float64]:
        """
        Pairs of lower tensors coupled to this l, shape (n_pairs, 2 l + 1).

        Parameters
        ----------
        moments : ndarray, shape (n_moments,), float64
            Of which those of the lower levels are known.
        """
        rows = np.empty(self.linear.shape[0] * self.width)
        if len(rows):
            derived_rows(moments, *self.couplings[:4], rows)
        return rows.reshape(-1, self.width)


class Levels:
    """
    All levels of a full set of one density.

    Parameters
    ----------
    invariants : tuple of Invariant
        A full set, of any order.
    order : int
        Largest n; invariants of larger ones are left alone, and so are pseudoscalars.
    """

    def __init__(self, invariants: tuple[Invariant, ...], order: int) -> None:
        largest = np.array(
            [
                -1
                if v.is_odd or max(t.n for t in v.tensors) > order
                else max(t.l for t in v.tensors)
                for v in invariants
            ]
        )
        self.order = order
        self.members = tuple(
            _level(invariants, np.flatnonzero(largest == l), l, order) for l in range(order + 1)
        )
        self._squares = np.array([level.features[g] for level in self.members for g in
                                  np.diag(level.grams)])  # fmt: skip
        self._owners = np.array([level.l for level in self.members for _ in level.grams])
        self._roots = np.sqrt(2 * self._owners + 1)

    def __getitem__(self, l: int) -> Level:
        return self.members[l]

    def lengths(self, fingerprint: NDArray[np.float64]) -> NDArray[np.float64]:
        """
        Length of every tensor, level by level.

        Parameters
        ----------
        fingerprint : ndarray, shape (n_features,), float64
            It tells their squares.
        """
        squares = fingerprint[self._squares] * self._roots
        squares[: len(self[0].moments)] = fingerprint[self[0].features] ** 2
        return np.asarray(np.sqrt(np.maximum(squares, 0.0)))

    def least(self, fingerprint: NDArray[np.float64], small: float) -> NDArray[np.float64]:
        """
        Length of a tensor of each level below which it does not count.

        Parameters
        ----------
        fingerprint : ndarray, shape (n_features,), float64
            It tells the length of every tensor.
        small : float
            What is small, compared with the tensors of any higher level.
        """
        lengths = self.lengths(fingerprint)
        largest = np.zeros(self.order + 1)
        np.maximum.at(largest, self._owners, lengths)
        higher = np.append(np.maximum.accumulate(largest[:0:-1])[::-1], 0.0)
        return np.asarray(np.maximum(small * higher, LEAST_LENGTH * abs(fingerprint[0])))

    def scales(
        self, fingerprint: NDArray[np.float64], least: NDArray[np.float64]
    ) -> list[NDArray[np.float64]]:
        """
        For each level, what its features are to be multiplied with to be of order one.

        Parameters
        ----------
        fingerprint : ndarray, shape (n_features,), float64
            It tells the length of every tensor.
        least : ndarray, shape (order + 1,), float64
            See `least`.
        """
        lengths = np.maximum(self.lengths(fingerprint), least[self._owners])
        inverse = np.append(1 / lengths, 1.0)
        return [np.prod(inverse[level.factors], axis=1) for level in self.members]


def _level(
    invariants: tuple[Invariant, ...], features: NDArray[np.int64], l: int, order: int
) -> Level:
    layout = tuple(tensors(order))
    by_level = sorted((Tensor(0, n, k) for n, k, _ in layout), key=lambda t: (t.l, t.n))
    place = {tensor: k for k, tensor in enumerate(by_level)}
    own = [t for t in by_level if t.l == l]
    chosen = [invariants[f] for f in features]
    factors = np.full((len(chosen), 3), len(by_level))
    grams = np.zeros((len(own), len(own)), dtype=np.int64)
    pairs: dict[tuple[Tensor, ...], tuple[Invariant, list[int]]] = {}
    for row, invariant in enumerate(chosen):
        members = invariant.tensors
        factors[row, : len(members)] = [place[t] for t in members]
        if len(members) < 3:
            ends = own.index(members[0]), own.index(members[-1])
            grams[ends], grams[ends[::-1]] = row, row
        elif members[1].l < l:
            pairs.setdefault(members[:2], (invariant, []))[1].append(row)
    offsets = {n: offset for n, m, offset in layout if m == l}
    return Level(
        l,
        features,
        np.concatenate([offsets[t.n] + np.arange(2 * l + 1) for t in own]),
        contraction_table(chosen, layout, 1),
        factors,
        grams,
        contraction_table([first for first, _ in pairs.values()] or chosen[:1], layout, 1),
        np.array([rows for _, rows in pairs.values()], dtype=np.int64).reshape(-1, len(own)),
    )
