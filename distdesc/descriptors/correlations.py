"""Tables of correlations: which products of three or four tensors are independent scalars."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from distdesc.descriptors.couplings import coupling_tensor
from distdesc.descriptors.symmetric_products import (
    Pattern,
    Scalars,
    classified,
    momenta,
    n_scalars,
    patterns,
    scalars,
)


class CorrelationTable(NamedTuple):
    """
    Scalars as arrays, for compiled loops.

    A *tensor* is the 2 l + 1 coefficients of one q, a density and a radial function, and one l.
    The *state* is a vector: the tensors, l by l, then the *blocks*, couplings of two tensors to
    angular momentum L, of 2 L + 1 entries each. A *fan* is a row of blocks that share the first
    tensor and the *kind*, which is l of both and L; half of the coupling is done once for it:
    its *cells* are sums of terms, factor times entry of the first tensor, and an entry of a
    block is a sum of products of cells and entries of the second tensor. A feature is a sum of
    scaled dot products of two ranges of the state. Fans and features come in *groups*, and the
    features of a group need no blocks but its own and those of groups before it that have other
    places in the state.

    Parameters
    ----------
    order : ndarray, shape (n_coefficients,), uint32
        Place of each state entry among the coefficients: density, l and m, n.
    group_feature, group_fan : ndarray, shape (n_groups + 1,), uint32
        Features and fans of each group.
    fan_first, fan_kind : ndarray, shape (n_fans,), uint32
        First state entry of the first tensor; kind.
    fan_row : ndarray, shape (n_fans,), uint32
        First state entry of the first block; the other blocks follow.
    fan_start : ndarray, shape (n_fans + 1,), uint32
        Blocks of each fan.
    block_second : ndarray, shape (n_blocks,), uint32
        First state entry of the second tensor.
    kind_row : ndarray, shape (n_kinds + 1,), uint32
        Rows, which are the entries of a block, of each kind.
    row_cell : ndarray, shape (n_rows + 1,), uint32
        Cells of each row.
    cell_second : ndarray, shape (n_cells,), uint32
        Entry of the second tensor that a cell is multiplied with.
    cell_term : ndarray, shape (n_cells + 1,), uint32
        Terms of each cell.
    term_first : ndarray, shape (n_terms,), uint32
        Entry of the first tensor.
    term_factor : ndarray, shape (n_terms,), float64
        Element of the coupling tensor.
    feature_start : ndarray, shape (n_features + 1,), uint32
        Dot products of each feature.
    dot_left, dot_right, dot_length : ndarray, shape (n_dots,), uint32
        First state entries, and number of entries.
    dot_factor : ndarray, shape (n_dots,), float64
        Scale.
    """

    order: NDArray[np.uint32]
    group_feature: NDArray[np.uint32]
    group_fan: NDArray[np.uint32]
    fan_first: NDArray[np.uint32]
    fan_kind: NDArray[np.uint32]
    fan_row: NDArray[np.uint32]
    fan_start: NDArray[np.uint32]
    block_second: NDArray[np.uint32]
    kind_row: NDArray[np.uint32]
    row_cell: NDArray[np.uint32]
    cell_second: NDArray[np.uint32]
    cell_term: NDArray[np.uint32]
    term_first: NDArray[np.uint32]
    term_factor: NDArray[np.float64]
    feature_start: NDArray[np.uint32]
    dot_left: NDArray[np.uint32]
    dot_right: NDArray[np.uint32]
    dot_length: NDArray[np.uint32]
    dot_factor: NDArray[np.float64]

    @property
    def sizes(self) -> tuple[int, int]:
        """Entries of the state, and most cells of a kind."""
        kinds = self.kind_row.astype(np.int64)
        blocks = np.diff(kinds)[self.fan_kind] * np.diff(self.fan_start.astype(np.int64))
        return int(np.max(self.fan_row + blocks)), int(np.max(np.diff(self.row_cell[kinds])))


@lru_cache(maxsize=64)
def n_correlations(degree: int, n_q: int, l_max: int, odd: bool, limit: int) -> int:
    """
    Count the features of given degree; stops counting above a limit.

    Parameters
    ----------
    degree : int
        Tensors of a product, 3 or 4.
    n_q : int
        Tensors of each angular momentum: densities times radial functions.
    l_max : int
        Largest angular momentum.
    odd : bool
        Also pseudoscalars.
    limit : int
        Any number above it stands for too many.
    """
    total = 0
    for ls in momenta(degree, l_max, odd):
        for pattern in patterns(ls):
            total += pattern.n_products(ls, n_q) * n_scalars(ls, pattern)
        if total > limit:
            break
    return total


def feature_labels(
    degree: int, n_q: int, l_max: int, odd: bool
) -> Iterator[tuple[tuple[int, ...], tuple[int, ...], int]]:
    """
    What each feature is made of.

    Parameters
    ----------
    degree, n_q, l_max, odd
        See `n_correlations`.

    Yields
    ------
    tuple of int
        Angular momentum of each tensor.
    tuple of int
        Number q of each tensor.
    int
        Momentum through which they are coupled, see `Scalars`.
    """
    for ls in momenta(degree, l_max, odd):
        products, kinds, which = classified(ls, n_q)
        leading = [scalars(ls, pattern).leading for pattern in kinds]
        for q, kind in zip(products.tolist(), which.tolist(), strict=True):
            for middle in leading[kind]:
                yield ls, tuple(q), middle


class _Builder:
    """State and couplings of a table in the making."""

    def __init__(self, n_channels: int, n_max: int, l_max: int) -> None:
        self.n_q = n_channels * n_max
        self.unit = self.n_state = self.n_q * (l_max + 1) ** 2
        self.groups = [(0, 0)]  # features and fans before each
        size = (l_max + 1) ** 2 * n_max
        channel, n = np.divmod(np.arange(self.n_q), n_max)
        self.order = np.concatenate([
            (channel * size + n)[:, None] + (l * l + np.arange(2 * l + 1)) * n_max
            for l in range(l_max + 1)
        ], axis=None)  # fmt: skip
        self.fans: list[tuple[int, int, int, int]] = []  # first tensor, kind, row, blocks
        self.second: list[int] = []
        self.places: dict[tuple[int, int, int], NDArray[np.int64]] = {}
        self.rows: list[int] = []  # in each kind, cells in each row, terms in each cell
        self.cells: list[int] = []
        self.terms: list[int] = []
        self.cell_second: list[int] = []
        self.term_first: list[int] = []
        self.term_factor: list[float] = []

    def tensor(self, l: int, q: Any) -> Any:
        """First state entry of tensors."""
        return self.n_q * l * l + q * (2 * l + 1)

    def blocks(self, l1: int, l2: int, l3: int) -> NDArray[np.int64]:
        """First state entry of the couplings to l3, by q1 and q2; added if they are new."""
        key = (l1, l2, l3)
        if key not in self.places:
            self._add_kind(coupling_tensor(*key))
            table = np.full((self.n_q, self.n_q), -1)
            for q in range(self.n_q):
                # the coupling of a tensor to itself is symmetric, or it vanishes
                first = 0 if l1 != l2 else q + (l3 % 2)
                others, kind = np.arange(first, self.n_q), len(self.rows) - 1
                table[q, first:] = self.n_state + (2 * l3 + 1) * np.arange(len(others))
                self.fans.append((self.tensor(l1, q), kind, self.n_state, len(others)))
                self.second += self.tensor(l2, others).tolist()
                self.n_state += (2 * l3 + 1) * len(others)
            self.places[key] = table
        return self.places[key]

    def _add_kind(self, tensor: NDArray[np.float64]) -> None:
        row, second, first = np.nonzero(tensor.T)
        starts = np.flatnonzero(np.diff(row, prepend=-1) | np.diff(second, prepend=-1))
        self.rows.append(tensor.shape[2])
        self.cells += np.bincount(row[starts], minlength=tensor.shape[2]).tolist()
        self.cell_second += second[starts].tolist()
        self.terms += np.diff(starts, append=len(row)).tolist()
        self.term_first += first.tolist()
        self.term_factor += tensor.T[row, second, first].tolist()

    def end_group(self, n_features: int, forget: bool) -> None:
        """End a group after so many features in all; its blocks may be overwritten."""
        self.groups.append((n_features, len(self.fans)))
        if forget:  # a small state stays in the cache
            self.places.clear()
            self.n_state = self.unit

    def table(self, dots: list[NDArray[np.float64]]) -> CorrelationTable:
        """The table for given dot products: feature, left, right, length, factor in rows."""
        feature, left, right, length, factor = np.concatenate(dots, axis=1)
        sequence = np.argsort(feature, kind="stable")
        first, kind, row, n_blocks = zip(*self.fans, strict=True)
        columns: list[Any] = [
            self.order, *zip(*self.groups, strict=True), first, kind, row, _starts(n_blocks),
            self.second, _starts(self.rows), _starts(self.cells), self.cell_second,
            _starts(self.terms), self.term_first, self.term_factor,
            _starts(np.bincount(feature.astype(np.int64))),
            left[sequence], right[sequence], length[sequence], factor[sequence],
        ]  # fmt: skip
        arrays = [
            np.asarray(column, dtype=np.float64 if name.endswith("factor") else np.uint32)
            for name, column in zip(CorrelationTable._fields, columns, strict=True)
        ]
        return CorrelationTable._make(arrays)


def _starts(lengths: Sequence[int] | NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])


@lru_cache(maxsize=8)
def correlation_table(
    degree: int, n_channels: int, n_max: int, l_max: int, odd: bool
) -> CorrelationTable:
    """
    Table of all features of given degree, in the order of `feature_labels`.

    Scalar products of fingerprints are those of all products in all sequences: a product that
    occurs in several is kept once, times the square root of their number.

    Parameters
    ----------
    degree : int
        Tensors of a product, 3 or 4.
    n_channels, n_max, l_max : int
        Densities, radial functions and largest angular momentum.
    odd : bool
        Also pseudoscalars.
    """
    build = _Builder(n_channels, n_max, l_max)
    dots: list[NDArray[np.float64]] = []
    n_features = 0
    for ls in momenta(degree, l_max, odd):
        products, kinds, which = classified(ls, build.n_q)
        found = [scalars(ls, pattern) for pattern in kinds]
        counts = np.array([len(f.leading) for f in found])[which]
        features = n_features + np.cumsum(counts) - counts
        n_features += int(np.sum(counts))
        for kind, pattern in enumerate(kinds):
            own = which == kind
            dots += _dots(build, ls, pattern, found[kind], products[own], features[own])
        build.end_group(n_features, forget=degree == 3)  # with four, blocks are shared by many
    return build.table(dots)


def _dots(
    build: _Builder,
    ls: tuple[int, ...],
    pattern: Pattern,
    found: Scalars,
    products: NDArray[np.int64],
    features: NDArray[np.int64],
) -> Iterator[NDArray[np.float64]]:
    """Dot products of the scalars of products with one pattern, see `_Builder.table`."""
    a, b, c, *d = pattern.pairing[: len(ls)]
    for k, factors in enumerate(found.factors):
        for l, factor in zip(found.couplings, factors, strict=True):
            if factor == 0.0:
                continue
            left = build.blocks(ls[a], ls[b], l)[products[:, a], products[:, b]]
            if d:
                right = build.blocks(ls[c], ls[d[0]], l)[products[:, c], products[:, d[0]]]
            else:
                right = build.tensor(l, products[:, c])
            scale = factor * np.sqrt(pattern.multiplicity)
            length = np.full(len(features), 2 * l + 1)
            yield np.stack([features + k, left, right, length, np.full(len(features), scale)])
