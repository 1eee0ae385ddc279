"""Tables of contractions: which products of moments, summed how, make rotation invariants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from distdesc.descriptors.couplings import coupling_tensor

TOTAL = -1
"""Channel of the sum of all densities."""


class Tensor(NamedTuple):
    """Moments of one channel with the same n and l: they rotate among themselves."""

    channel: int
    n: int
    l: int


class Coupling(NamedTuple):
    """Part of the product of two tensors that rotates like a tensor of angular momentum l."""

    first: Tensor
    second: Tensor
    l: int


class Invariant(NamedTuple):
    """
    Dot product of two tensors or couplings with the same l; or, without `right`, a moment.

    The normalisation is that of Clebsch-Gordan and 3j coefficients: dot products of moments are
    divided by ``sqrt(2 l + 1)``, couplings are contracted with `coupling_tensor`.
    """

    left: Tensor | Coupling
    right: Tensor | Coupling | None = None

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """Tensors multiplied, from one to four."""
        sides = [self.left] if self.right is None else [self.left, self.right]
        return tuple(
            t for s in sides for t in (s[:2] if isinstance(s, Coupling) else (s,))
        )  # fmt: skip

    @property
    def is_odd(self) -> bool:
        """Whether the invariant changes sign under reflection."""
        return sum(t.l for t in self.tensors) % 2 == 1


class ContractionTable(NamedTuple):
    """
    Invariants as arrays, for compiled loops.

    The *state* is a vector: moments of all channels, the constant one, then the derived rows
    (sums over channels, couplings), each a sum of coefficient times product of two earlier
    entries. An invariant is a scaled dot product of two ranges of the state. Rows come in groups,
    and the dot products of a group need nothing that comes after it; the rows of the first group
    are the sums. Integers are unsigned because compiled code then need not ask whether an index
    counts from the end, which takes a quarter of the time.

    Parameters
    ----------
    term_start : ndarray, shape (n_rows + 1,), uint32
        Terms of each derived row.
    term_left, term_right : ndarray, shape (n_terms,), uint32
        State entries multiplied.
    term_factor : ndarray, shape (n_terms,), float64
        Coefficients.
    row_start, dot_start : ndarray, shape (n_groups + 1,), uint32
        Rows and dot products of each group.
    dot_left, dot_right, dot_length, dot_feature : ndarray, shape (n_features,), uint32
        First state entries, number of entries, and which feature is computed.
    dot_factor : ndarray, shape (n_features,), float64
        Scale.
    """

    term_start: NDArray[np.uint32]
    term_left: NDArray[np.uint32]
    term_right: NDArray[np.uint32]
    term_factor: NDArray[np.float64]
    row_start: NDArray[np.uint32]
    dot_start: NDArray[np.uint32]
    dot_left: NDArray[np.uint32]
    dot_right: NDArray[np.uint32]
    dot_length: NDArray[np.uint32]
    dot_feature: NDArray[np.uint32]
    dot_factor: NDArray[np.float64]

    @property
    def n_operations(self) -> int:
        """Multiplications and additions per environment, the expansion not counted."""
        return 3 * len(self.term_factor) + int(np.sum(2 * self.dot_length)) + len(self.dot_factor)


@dataclass
class _Builder:
    """Rows and dot products of a table in the making."""

    layout: Sequence[tuple[int, int, int]]
    n_channels: int

    def __post_init__(self) -> None:
        size = sum(2 * l + 1 for _, l, _ in self.layout)
        self.unit = self.n_channels * size
        self.offset: dict[Tensor | Coupling, int] = {}
        for channel in range(self.n_channels):
            for n, l, offset in self.layout:
                place = channel * size + offset
                self.offset[Tensor(channel, n, l)] = place
                if self.n_channels == 1:
                    self.offset[Tensor(TOTAL, n, l)] = place
        self.rows: list[list[tuple[int, int, float]]] = []

    def place(self, operand: Tensor | Coupling) -> int:
        """Offset of an operand in the state; its rows are added if it is new."""
        if operand not in self.offset:
            rows = (
                self._coupling_rows(operand)
                if isinstance(operand, Coupling)
                else self._sum_rows(operand)
            )
            self.offset[operand] = self.unit + 1 + len(self.rows)
            self.rows += rows
        return self.offset[operand]

    def _sum_rows(self, total: Tensor) -> list[list[tuple[int, int, float]]]:
        parts = [self.offset[total._replace(channel=c)] for c in range(self.n_channels)]
        return [[(p + m, self.unit, 1.0) for p in parts] for m in range(2 * total.l + 1)]

    def _coupling_rows(self, coupling: Coupling) -> list[list[tuple[int, int, float]]]:
        left, right = self.place(coupling.first), self.place(coupling.second)
        tensor = coupling_tensor(coupling.first.l, coupling.second.l, coupling.l)
        rows = []
        for m in range(2 * coupling.l + 1):
            terms: dict[tuple[int, int], float] = {}
            for i, j in np.argwhere(tensor[:, :, m]).tolist():
                pair = (min(left + i, right + j), max(left + i, right + j))
                terms[pair] = terms.get(pair, 0.0) + float(tensor[i, j, m])
            rows.append([(a, b, factor) for (a, b), factor in terms.items() if factor != 0.0])
        return rows


def contraction_table(
    invariants: Sequence[Invariant], layout: Sequence[tuple[int, int, int]], n_channels: int
) -> ContractionTable:
    """
    Table of some invariants; what they have in common is computed once.

    Parameters
    ----------
    invariants : sequence of Invariant
        Their order is that of the features, and loosely of the work: keep sharers together.
    layout : sequence of tuple of int
        Tensors of one density, each n, l and the offset of its moments, such as `tensors` gives.
    n_channels : int
        Densities of an environment.
    """
    build = _Builder(layout, n_channels)
    if n_channels > 1:
        for n, l, _ in layout:
            build.place(Tensor(TOTAL, n, l))
    groups: list[tuple[int, list[tuple[int, int, int, int, float]]]] = [(len(build.rows), [])]
    for feature, (left, right) in enumerate(invariants):
        a = build.place(left)
        b = build.unit if right is None else build.place(right)
        length = 1 if right is None else 2 * left.l + 1
        plain = isinstance(left, Tensor) and isinstance(right, Tensor)
        dot = (a, b, length, feature, 1 / sqrt(length) if plain else 1.0)
        if groups[-1][0] != len(build.rows):
            groups.append((len(build.rows), []))
        groups[-1][1].append(dot)
    return _table(build.rows, groups)


def _table(
    rows: list[list[tuple[int, int, float]]],
    groups: list[tuple[int, list[tuple[int, int, int, int, float]]]],
) -> ContractionTable:
    terms = [term for row in rows for term in row]
    dots = [dot for _, members in groups for dot in members]
    term_columns = list(zip(*terms, strict=True)) if terms else [(), (), ()]
    left, right, length, feature, factor = zip(*dots, strict=True)
    sizes = [len(members) for _, members in groups]
    integers = [
        np.cumsum([0, *map(len, rows)]),
        *term_columns[:2],
        [0, *(n_rows for n_rows, _ in groups)],
        np.cumsum([0, *sizes]),
        left, right, length, feature,
    ]  # fmt: skip
    arrays = [np.asarray(column, dtype=np.uint32) for column in integers]
    factors = [np.asarray(column, dtype=np.float64) for column in (term_columns[2], factor)]
    return ContractionTable._make([*arrays[:3], factors[0], *arrays[3:], factors[1]])


def feature_name(invariant: Invariant, order: int, channels: Sequence[str] = ("",)) -> str:
    """
    Readable name: ``20``, ``11·31``, ``[22,33]→55``, ``[11,22]1[11,22]``.

    Parameters
    ----------
    invariant : Invariant
        What is named.
    order : int
        Largest n of the descriptor; from 10 on, n and l are set apart by a colon.
    channels : sequence of str
        Prefix of each channel, such as an element; the sum of all has none.
    """

    def name(operand: Tensor | Coupling) -> str:
        if isinstance(operand, Coupling):
            return f"[{name(operand.first)},{name(operand.second)}]"
        prefix = "" if operand.channel == TOTAL else channels[operand.channel]
        return f"{prefix}{operand.n}{':' if order > 9 else ''}{operand.l}"

    left, right = invariant
    if right is None:
        return name(left)
    if isinstance(right, Coupling):
        return f"{name(left)}{right.l}{name(right)}"
    return f"{name(left)}{'→' if isinstance(left, Coupling) else '·'}{name(right)}"
