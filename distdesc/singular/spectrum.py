"""Singular values of the Jacobian of environments and structures, trivial motions set aside."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from distdesc.descriptors.descriptor import Descriptor
from distdesc.singular.maps import FeatureMap, Stacked, Summed
from distdesc.singular.motions import structure_motions
from distdesc.singular.screen import screened, singular_values
from distdesc.singular.zeros import NULL
from distdesc.structures.environment import Environments
from distdesc.structures.source import Structures

STRUCTURE_MAPS: dict[str, Callable[[Descriptor, Structures], FeatureMap]] = {
    "sum": Summed,
    "stack": Stacked,
}
"""Features of a structure: summed over the centres of each element, or those of all centres."""


@dataclass(frozen=True)
class Summary:
    """
    What the singular values of each row say in short; one entry a row.

    Parameters
    ----------
    s_min, s_max : ndarray, shape (n,), float64
        Smallest and largest, in features per Å; NaN where there are no motions but trivial ones.
    ratio : ndarray, shape (n,), float64
        `s_min` to `s_max`; NaN where nothing is seen at all.
    gap : ndarray, shape (n,), float64
        Largest ratio of one singular value to the next, those below the rounding error of the
        largest counted as equal to it; NaN where there are fewer than two.
    gap_position : ndarray, shape (n,), int32
        Singular values above the gap; 0 where there is none.
    n_nulls : ndarray, shape (n,), int32
        Those that are zero.
    """

    s_min: NDArray[np.float64]
    s_max: NDArray[np.float64]
    ratio: NDArray[np.float64]
    gap: NDArray[np.float64]
    gap_position: NDArray[np.int32]
    n_nulls: NDArray[np.int32]


@dataclass(frozen=True)
class Spectra:
    """
    Singular values of the Jacobians of a batch of rows.

    Parameters
    ----------
    offsets : ndarray, shape (n + 1,), int64
        Row k has the values ``offsets[k]:offsets[k + 1]``.
    values : ndarray, shape (n_values,), float64
        In features per Å, from the largest; one for each motion that is not trivial. NaN
        throughout a row whose Jacobian is not finite.
    n_motions : ndarray, shape (n,), int32
        Trivial motions set aside.
    """

    offsets: NDArray[np.int64]
    values: NDArray[np.float64]
    n_motions: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.n_motions)

    def row(self, k: int) -> NDArray[np.float64]:
        """
        Singular values of one row.

        Parameters
        ----------
        k : int
            Which one.
        """
        return self.values[self.offsets[k] : self.offsets[k + 1]]

    def broken(self) -> NDArray[np.int64]:
        """Rows whose Jacobian is not finite, so that nothing can be said of them."""
        starts, ends = self.offsets[:-1], self.offsets[1:]
        with_values = np.flatnonzero(ends > starts)
        return with_values[np.isnan(self.values[starts[with_values]])]

    def replaced(self, rows: Sequence[int], others: Spectra) -> Spectra:
        """
        Return the same with some rows from elsewhere.

        Parameters
        ----------
        rows : sequence of int
            Which.
        others : Spectra
            A row for each of them.
        """
        values, counts = [self.row(k) for k in range(len(self))], self.n_motions.copy()
        for place, k in enumerate(rows):
            values[k], counts[k] = others.row(place), others.n_motions[place]
        offsets = np.cumsum([0, *map(len, values)], dtype=np.int64)
        return Spectra(offsets, np.concatenate([np.empty(0), *values]), counts)

    def summary(self, tolerance: float = NULL) -> Summary:
        """
        Smallest, largest, gap and number of nulls of every row.

        Parameters
        ----------
        tolerance : float
            Values up to this, relative to the largest of the row, are zero; all are where even
            the largest is.
        """
        found = [_summary(self.row(k), tolerance) for k in range(len(self))]
        *sizes, places, nulls = np.array(found, dtype=np.float64).reshape(len(self), 6).T
        s_min, s_max, ratio, gap = sizes
        return Summary(s_min, s_max, ratio, gap, places.astype(np.int32), nulls.astype(np.int32))


def environment_spectra(descriptor: Descriptor, environments: Environments) -> Spectra:
    """
    Singular values of the Jacobian of every environment, rotations about its centre set aside.

    Parameters
    ----------
    descriptor : Descriptor
        The map.
    environments : Environments
        Their cutoff is that of the descriptor; not modified.

    Returns
    -------
    Spectra
        Of ``3 n - 3`` values for n neighbours, ``3 n - 2`` if these and the centre are on a line,
        none without neighbours. A row does not depend on the others, bit for bit.
    """
    return _collected(screened(descriptor, environments))


def structure_spectra(descriptor: Descriptor, batch: Structures, features: str) -> Spectra:
    """
    Singular values of the Jacobian of every structure, its motions as a rigid body set aside.

    Parameters
    ----------
    descriptor : Descriptor
        The map of environments.
    batch : Structures
        Structures that passed validation.
    features : str
        ``"sum"``: features are summed over the centres of each element. ``"stack"``: those of
        every centre are kept, with its label.

    Returns
    -------
    Spectra
        Of ``3 n - 6`` values for a molecule of n atoms, ``3 n - 5`` if it is linear and
        ``3 n - 3`` for a crystal; see `structure_motions`.
    """
    return _collected(_of_structures(descriptor, batch, STRUCTURE_MAPS[features]))


def _of_structures(
    descriptor: Descriptor, batch: Structures, kind: Callable[[Descriptor, Structures], FeatureMap]
) -> Iterator[tuple[NDArray[np.float64], int]]:
    for k in range(len(batch)):
        one = batch.take(np.array([k]))
        motions = structure_motions(one.positions, one.cells[0], one.pbc[0])
        seen = kind(descriptor, one)
        values = singular_values(seen.gram(), motions, seen.responses, scale=seen.scale())
        yield values, motions.shape[1]


def _collected(rows: Iterable[tuple[NDArray[np.float64], int]]) -> Spectra:
    found = list(rows)
    offsets = np.cumsum([0, *(len(values) for values, _ in found)], dtype=np.int64)
    values = np.concatenate([np.empty(0), *(values for values, _ in found)])
    return Spectra(offsets, values, np.array([n for _, n in found], dtype=np.int32))


def _summary(values: NDArray[np.float64], tolerance: float) -> tuple[float, ...]:
    nan = float("nan")
    if len(values) == 0 or np.isnan(values[0]):
        return nan, nan, nan, nan, 0, 0
    smallest, largest = float(values[-1]), float(values[0])
    if largest == 0:
        return 0.0, 0.0, nan, nan, 0, len(values)
    n_nulls = int(np.sum(values <= tolerance * largest))
    if len(values) == 1:
        return smallest, largest, 1.0, nan, 0, n_nulls
    floored = np.maximum(values, np.finfo(float).eps * largest)
    steps = floored[:-1] / floored[1:]
    place = int(np.argmax(steps))
    return smallest, largest, smallest / largest, float(steps[place]), place + 1, n_nulls
