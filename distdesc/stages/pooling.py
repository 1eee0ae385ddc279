"""Rows of a fingerprint stage that are kept as they are, or pooled by structure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from distdesc.elements import symbol_of
from distdesc.errors import StructureError
from distdesc.schema import ArraySpec
from distdesc.stages import _pool_kernels
from distdesc.structures.environment import Environments
from distdesc.structures.source import Structures

Compute = Callable[[Environments], NDArray[np.float64]]
"""Fingerprints of some environments, shape (n, n_columns)."""


class Rows(Protocol):
    """Rows of a shard, which come slice by slice in the order of their centres."""

    def add(self, environments: Environments) -> NDArray[np.bool_]:
        """
        Take up the next slice.

        Parameters
        ----------
        environments : Environments
            The slice.

        Returns
        -------
        ndarray, shape (n,), bool
            Whether the fingerprint of each environment is finite, as it is stored.
        """
        ...

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Outputs of the shard, once all slices are taken up."""
        ...


class EnvironmentRows:
    """
    One row for each environment.

    Parameters
    ----------
    compute : callable
        See `Compute`.
    shape : tuple of int
        Environments, and columns of each.
    dtype : str
        Of what is stored.
    """

    def __init__(self, compute: Compute, shape: tuple[int, int], dtype: str) -> None:
        self.compute = compute
        self.values = np.empty(shape, dtype=dtype)
        self.done = 0

    def add(self, environments: Environments) -> NDArray[np.bool_]:
        """See Rows.add."""
        here = self.values[self.done : self.done + len(environments)]
        here[:] = self.compute(environments)
        self.done += len(here)
        return np.asarray(np.isfinite(here).all(axis=1))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """See Rows.arrays."""
        return {"fingerprint": self.values}


class PooledRows:
    """
    One row for each structure: the sum over its environments, or over those of each element.

    Environments are added one after the other in the order of the atoms, so that a row does not
    depend on the slices, bit for bit.

    Parameters
    ----------
    compute : callable
        See `Compute`.
    batch : Structures
        Of which all structures `first` to `last` are pooled.
    first, last : int
        Half-open range of structures.
    n_columns : int
        Columns of an environment.
    mean : bool
        Divide by the number of environments.
    elements : tuple of int
        Atomic numbers that have a sum each, one after the other; if empty, there is one sum.
    dtype : str
        Of what is stored.
    """

    def __init__(
        self,
        compute: Compute,
        batch: Structures,
        first: int,
        last: int,
        n_columns: int,
        mean: bool,
        elements: tuple[int, ...],
        dtype: str,
    ) -> None:
        self.compute, self.mean, self.elements, self.dtype = compute, mean, elements, dtype
        offsets, n_sums = batch.offsets[first : last + 1], max(1, len(elements))
        self.begin = int(offsets[0])
        self.targets = np.repeat(np.arange(last - first), np.diff(offsets)) * n_sums
        if elements:
            place = np.zeros(max(elements) + 1, dtype=np.int64)
            place[list(elements)] = np.arange(len(elements))
            self.targets += place[batch.numbers[offsets[0] : offsets[-1]]]
        self.sums = np.zeros(((last - first) * n_sums, n_columns))
        counts = np.bincount(self.targets, minlength=len(self.sums))
        self.counts = counts.astype(np.int32).reshape(last - first, n_sums)

    def add(self, environments: Environments) -> NDArray[np.bool_]:
        """See Rows.add."""
        values = self.compute(environments)
        targets = self.targets[environments.centres - self.begin]
        _pool_kernels.add_rows(values, targets, self.sums)
        return np.asarray(np.isfinite(values).all(axis=1))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """See Rows.arrays."""
        n_centres = self.counts.sum(axis=1, dtype=np.int32)
        rows = self.sums.reshape(len(n_centres), self.counts.shape[1] * self.sums.shape[1])
        if self.mean:
            rows /= n_centres[:, None]
        with np.errstate(over="ignore"):
            found = {"fingerprint": rows.astype(self.dtype, copy=False), "n_centres": n_centres}
        return {**found, "composition": self.counts} if self.elements else found


def pooled_specs(elements: tuple[int, ...]) -> tuple[ArraySpec, ...]:
    """
    Arrays beside the fingerprints of `PooledRows`.

    Parameters
    ----------
    elements : tuple of int
        Atomic numbers that have a sum each, if any.
    """
    count = ArraySpec("n_centres", "<i4", description="Environments pooled in each structure.")
    if not elements:
        return (count,)
    composition = ArraySpec(
        "composition", "<i4", (len(elements),), ("element",),
        description="Environments pooled in each sum: centres of each element.",
        attributes={"elements": [symbol_of(z) for z in elements]},
    )  # fmt: skip
    return count, composition


def refuse_centres(centres: NDArray[np.int64], batch: Structures) -> None:
    """
    Refuse structures with a fingerprint that is not finite.

    Parameters
    ----------
    centres : ndarray, shape (n,), int64
        Atoms of the batch whose fingerprint is not finite.
    batch : Structures
        The batch.

    Raises
    ------
    StructureError
        If there are any.
    """
    owners = np.searchsorted(batch.offsets, centres, side="right") - 1
    reasons: dict[int, str] = {}
    for k, atom in zip(owners.tolist(), centres.tolist(), strict=True):
        reasons.setdefault(k, f"fingerprint of atom {atom - batch.offsets[k]} is not finite")
    if reasons:
        raise StructureError(reasons)


def refuse_rows(rows: NDArray[Any], first: int) -> None:
    """
    Refuse structures whose row is not finite, even if their environments are.

    Parameters
    ----------
    rows : ndarray, shape (n, n_features)
        Fingerprints of structures.
    first : int
        Position in the batch of the first.

    Raises
    ------
    StructureError
        If there are any.
    """
    bad = np.flatnonzero(~np.isfinite(rows).all(axis=1)) + first
    if len(bad):
        raise StructureError({k: "fingerprint is not finite" for k in bad.tolist()})


def warm_up() -> None:
    """Compile the kernel, so that processes started later find it cached."""
    _pool_kernels.add_rows(np.zeros((1, 1)), np.zeros(1, dtype=np.int64), np.zeros((1, 1)))
