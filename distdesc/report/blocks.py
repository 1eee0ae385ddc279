"""Fingerprints of a store that holds only the blocks of the species that occur."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from distdesc.store.rows import RowReader

if TYPE_CHECKING:
    import scipy.sparse


def stored_in_blocks(reader: RowReader) -> bool:
    """
    Whether a store has fingerprints in blocks.

    Parameters
    ----------
    reader : RowReader
        Of the store.
    """
    return "blocks" in reader.names()


@dataclass(frozen=True)
class StoredBlocks:
    """
    Some rows, as they are stored.

    Parameters
    ----------
    owners : ndarray, shape (n_blocks,), int64
        Which of the rows each block belongs to, ascending.
    numbers : ndarray, shape (n_blocks,), int32
        Which block it is.
    values : ndarray, shape (n_blocks, block_width), float
        Its features; zero after the end of shorter blocks.
    starts : ndarray, shape (n + 1,), int64
        First feature of each block there can be, and the number of features.
    n_rows : int
        How many rows there are.
    """

    owners: NDArray[np.int64]
    numbers: NDArray[np.int32]
    values: NDArray[Any]
    starts: NDArray[np.int64]
    n_rows: int

    @classmethod
    def read(cls, reader: RowReader, rows: NDArray[np.int64]) -> StoredBlocks:
        """
        Read some rows.

        Parameters
        ----------
        reader : RowReader
            Of a store with blocks.
        rows : ndarray, shape (n,), int64
            Any rows, in any order.

        Raises
        ------
        StoreError
            If an object is damaged.
        """
        counts = reader.take("n_blocks", rows)
        first = reader.take("first_block", rows)
        ends = np.cumsum(counts, dtype=np.int64)
        within = np.arange(counts.sum()) - np.repeat(ends - counts, counts)
        entries = np.repeat(first, counts) + within
        return cls(
            np.repeat(np.arange(len(rows)), counts),
            reader.take("block_number", entries),
            reader.take("blocks", entries),
            np.array(reader.attributes("blocks")["block_starts"], dtype=np.int64),
            len(rows),
        )

    @property
    def n_features(self) -> int:
        """Length of a fingerprint."""
        return int(self.starts[-1])

    def by_block(self) -> Iterator[tuple[NDArray[np.int64], slice, NDArray[Any]]]:
        """Of each block that occurs: the rows that have it, its features, their values."""
        order = np.argsort(self.numbers, kind="stable")
        blocks, begins = np.unique(self.numbers[order], return_index=True)
        for block, chosen in zip(blocks, np.split(order, begins)[1:], strict=True):
            start, stop = self.starts[block : block + 2].tolist()
            yield self.owners[chosen], slice(start, stop), self.values[chosen, : stop - start]

    def dense(self) -> NDArray[Any]:
        """Whole fingerprints, shape (n_rows, n_features); zero where nothing is stored."""
        out = np.zeros((self.n_rows, self.n_features), dtype=self.values.dtype)
        for owners, columns, values in self.by_block():
            out[owners, columns] = values
        return out

    def sparse(self) -> scipy.sparse.csr_array:
        """Fingerprints as rows of a compressed matrix, shape (n_rows, n_features)."""
        import scipy.sparse

        place = np.arange(self.values.shape[1])
        starts, widths = self.starts[self.numbers], np.diff(self.starts)[self.numbers]
        inside = place < widths[:, None]
        columns = (starts[:, None] + place)[inside]
        lengths = np.bincount(self.owners, widths, self.n_rows).astype(np.int64)
        return scipy.sparse.csr_array(
            (self.values[inside], columns, np.concatenate([[0], np.cumsum(lengths)])),
            shape=(self.n_rows, self.n_features),
        )
