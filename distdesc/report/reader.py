"""A run read back: its arrays, its rows by structure and atom, its provenance."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from distdesc.errors import StoreError
from distdesc.place import Place, place
from distdesc.report.blocks import StoredBlocks, stored_in_blocks
from distdesc.report.lazy import dask_array, dataset
from distdesc.report.origin import Origin
from distdesc.report.rows import existing_rows
from distdesc.schema import Status
from distdesc.store.receipts import done_shards, is_complete, iter_receipts
from distdesc.store.rows import RowReader
from distdesc.store.written import WrittenPlan, read_plan

if TYPE_CHECKING:
    import dask.array
    import scipy.sparse
    import xarray
    import zarr


def open_run(path: Place | str) -> Run:
    """
    Open a store for reading, finished or still being written by other processes.

    Parameters
    ----------
    path : Place or str
        The store: a folder, or ``s3://bucket/name.zarr``.

    Returns
    -------
    Run
        Nothing is read yet but the plan.

    Raises
    ------
    StoreError
        If it is not a distdesc store.
    """
    path = place(path)
    return Run(path, read_plan(path))


@dataclass(frozen=True)
class Run:
    """
    A store of a campaign, read-only.

    Parameters
    ----------
    path : Place
        The store.
    plan : WrittenPlan
        What it is for.
    """

    path: Place
    plan: WrittenPlan

    @cached_property
    def reader(self) -> RowReader:
        """Reader of ranges of rows."""
        return RowReader(self.path)

    @cached_property
    def source(self) -> Origin:
        """Where the structures come from: ``source.atoms(17)``, ``source.place(17)``."""
        return Origin(self.path, self.plan)

    @property
    def stages(self) -> tuple[str, ...]:
        """Names of the stages."""
        return tuple(x.stage for x in self.plan.layouts)

    @property
    def complete(self) -> bool:
        """Whether every shard of every stage has its receipt."""
        return is_complete(self.path, self.plan)

    @property
    def n_structures(self) -> int:
        """Structures of the source."""
        return self.plan.n_structures

    @property
    def n_environments(self) -> int:
        """Atoms of the source, each the centre of an environment."""
        return self.plan.n_atoms

    def names(self) -> tuple[str, ...]:
        """Names of the arrays."""
        return self.reader.names()

    @property
    def sparse(self) -> bool:
        """Whether only those blocks of fingerprints are stored whose species occur."""
        return stored_in_blocks(self.reader)

    def array(self, name: str = "fingerprint") -> zarr.Array[Any]:
        """
        One array as Zarr gives it; rows that are not computed yet have the fill value.

        Parameters
        ----------
        name : str
            Name of the array.

        Raises
        ------
        StoreError
            If there is no such array.
        """
        return self.reader.array(name)

    def fingerprints(self, rows: ArrayLike | range | slice) -> NDArray[Any]:
        """
        Whole fingerprints of some rows, however they are stored, shape (n, n_features).

        Parameters
        ----------
        rows : array_like of int, range or slice
            Rows, in any order; those that are not computed or were set aside are NaN.

        Raises
        ------
        StoreError
            If a row is no number or does not exist, or an object is damaged.
        """
        chosen = self._chosen(rows)
        if not self.sparse:
            return self.reader.take("fingerprint", chosen)
        values = StoredBlocks.read(self.reader, chosen).dense()
        status = self.reader.take(self.plan.layout("fingerprint").status_name, chosen)
        values[status != Status.OK] = np.nan
        return values

    def sparse_fingerprints(self, rows: ArrayLike | range | slice) -> scipy.sparse.csr_array:
        """
        Fingerprints of some rows of a sparse store, as rows of a compressed matrix.

        Parameters
        ----------
        rows : array_like of int, range or slice
            Rows, in any order; those that are not computed are empty, see `status`.

        Raises
        ------
        StoreError
            If the store is not sparse, a row does not exist, or an object is damaged.
        """
        if not self.sparse:
            raise StoreError(f"{self.path} has dense fingerprints; use fingerprints()")
        return StoredBlocks.read(self.reader, self._chosen(rows)).sparse()

    def _chosen(self, rows: ArrayLike | range | slice) -> NDArray[np.int64]:
        """Rows as numbers, each of which exists."""
        n = self.plan.layout("fingerprint").n_rows
        if isinstance(rows, slice):
            rows = range(n)[rows]
        return existing_rows(rows, n).reshape(-1)

    def to_dask(self, name: str = "fingerprint") -> dask.array.Array:
        """
        One array as a Dask array, a block for each Zarr shard.

        Fingerprints of a sparse store become dense in blocks of some rows.

        Parameters
        ----------
        name : str
            Name of the array.

        Raises
        ------
        StoreError
            If there is no such array.
        """
        return dask_array(self, name)

    def to_xarray(self) -> xarray.Dataset:
        """
        Dataset of all arrays, lazily: a Dask array each; blocks as dense fingerprints.

        Environments have the coordinates ``structure`` and ``atom``.

        Raises
        ------
        StoreError
            If xarray is not installed.
        """
        return dataset(self)

    def rows_of(self, structure: int) -> range:
        """
        Rows of the environments of a structure, in the order of its atoms.

        Parameters
        ----------
        structure : int
            Position in the source.

        Raises
        ------
        StoreError
            If there is no such structure.
        """
        if not 0 <= structure < self.n_structures:
            raise StoreError(f"structure must be in [0, {self.n_structures}), got {structure}")
        return range(int(self._offsets[structure]), int(self._offsets[structure + 1]))

    def row_of(self, structure: int, atom: int) -> int:
        """
        Row of one environment.

        Parameters
        ----------
        structure : int
            Position in the source.
        atom : int
            Position in the structure.

        Raises
        ------
        StoreError
            If there is no such structure or atom.
        """
        rows = self.rows_of(structure)
        if not 0 <= atom < len(rows):
            raise StoreError(
                f"atom of structure {structure} must be in [0, {len(rows)}), got {atom}"
            )
        return rows[atom]

    def locate(self, rows: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """
        Structure and atom of environment rows.

        Parameters
        ----------
        rows : array_like of int, shape (n,)
            Rows.

        Returns
        -------
        structure, atom : ndarray, shape (n,), int64
            Position in the source, and in the structure.

        Raises
        ------
        StoreError
            If a row is no number, or does not exist.
        """
        rows = existing_rows(rows, self.n_environments)
        structure = np.searchsorted(self._offsets, rows, side="right") - 1
        return structure, rows - self._offsets[structure]

    def done_rows(self, stage: str) -> list[tuple[int, int]]:
        """
        Ranges of rows that are computed, so that a run can be read while it goes on.

        Parameters
        ----------
        stage : str
            Name of the stage.

        Returns
        -------
        list of tuple of int
            Half-open, sorted, as long as possible.

        Raises
        ------
        StoreError
            If there is no such stage.
        """
        layout = self.plan.layout(stage)
        ranges: list[tuple[int, int]] = []
        for shard in sorted(done_shards(self.path, stage)):
            start, stop = layout.rows(shard)
            if ranges and ranges[-1][1] == start:
                start = ranges.pop()[0]
            ranges.append((start, stop))
        return ranges

    def quarantined(self) -> dict[int, str]:
        """Reasons of the structures that were set aside so far, by structure."""
        return {
            structure: reason
            for stage in self.stages
            for receipt in iter_receipts(self.path, stage)
            for structure, reason in receipt.quarantined
        }

    def status(self, stage: str, start: int = 0, stop: int | None = None) -> NDArray[np.int8]:
        """
        Status codes of rows, see `Status`.

        Parameters
        ----------
        stage : str
            Name of the stage.
        start, stop : int
            Half-open range of rows; to the end if None.
        """
        name = self.plan.layout(stage).status_name
        return self.reader.read(name, start, self.reader.length(name) if stop is None else stop)

    def provenance(self) -> dict[str, Any]:
        """Campaign, digests, versions, time and machine, JSON-compatible."""
        return {
            "campaign": self.plan.campaign,
            "digest": self.plan.digest,
            "source_digest": self.plan.source_digest,
            "versions": self.plan.versions,
            "made": self.plan.made,
            "status_codes": {s.name.lower(): int(s) for s in Status},
        }

    @cached_property
    def _offsets(self) -> NDArray[np.int64]:
        return self.reader.read("offsets", 0, self.n_structures + 1)
