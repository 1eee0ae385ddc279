"""The structures of a run, with the fingerprints that it stored of them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from distdesc import registry
from distdesc.errors import SourceError, StoreError
from distdesc.place import place
from distdesc.store.receipts import content_digest, iter_receipts
from distdesc.store.rows import RowReader
from distdesc.store.storage import stamp
from distdesc.store.written import plan_path, read_plan
from distdesc.structures import SOURCES
from distdesc.structures.batches import check_range
from distdesc.structures.files import check_store_path
from distdesc.structures.index import INDEX, FileStamp, SourceIndex
from distdesc.structures.source import Progress, Source, Structure, Structures

STAGE = "fingerprint"


@dataclass(frozen=True)
class FingerprintStore:
    """
    Structures of a run, whose records are the fingerprints that it stored.

    Geometry comes from the run's own source. A record has the fingerprints of its environments as
    the array ``fingerprint``, or the one of the structure in its info, with the ``radius`` of the
    ball if there is one. Structures that the run set aside are so here.

    Parameters
    ----------
    path : str
        The store, complete: a folder, or ``s3://bucket/name.zarr``. Its fingerprints must be
        neither reduced nor sparse.
    """

    path: str

    def __post_init__(self) -> None:
        check_store_path(self.path)

    @property
    def seekable(self) -> bool:
        """See `Source.seekable`."""
        return True

    def scan(self, progress: Progress | None = None, scratch: Path | None = None) -> SourceIndex:
        """
        See `Source.scan`; reads the receipts and the run's own index.

        Parameters
        ----------
        progress : callable, optional
            Called once, with all structures done.
        scratch : pathlib.Path, optional
            Not needed.

        Raises
        ------
        SourceError
            If there is no store, it is not finished, or its own source has changed.
        """
        path = place(self.path)
        try:
            content = content_digest(path, STAGE)
            self.made_with()
            quarantined = {k: why for r in iter_receipts(path, STAGE) for k, why in r.quarantined}
        except StoreError as error:
            raise SourceError(f"fingerprint store {error}") from error
        index = SourceIndex.load(path / INDEX)
        damage = index.damage(path / INDEX)
        if damage is not None:
            raise SourceError(f"fingerprint store {path}: {damage}; see distdesc verify {path}")
        changed = index.changed_file()
        if changed is not None:
            raise SourceError(f"the source of {path} is not what it was: {changed}")
        if progress is not None:
            progress(len(index), len(index))
        digest = hashlib.sha256(f"{index.digest} {content}".encode()).hexdigest()[:12]
        files = (*index.files, FileStamp.of(plan_path(path)))
        # Copies, because the arrays of the run's index are mapped and may be written again.
        return SourceIndex(
            np.array(index.atom_counts), np.array(index.locators), digest, files,
            {**quarantined, **index.problems},
        )  # fmt: skip

    def made_with(self) -> dict[str, Any]:
        """
        Serialised descriptor (``descriptor``) and stage (``stage``) of the fingerprints.

        Raises
        ------
        SourceError
            If there is no store, or its fingerprints are reduced or sparse.
        """
        try:
            identity = read_plan(place(self.path)).identity
        except StoreError as error:
            raise SourceError(f"fingerprint store {error}") from error
        stage = next((s for s in identity["stage"] if s["name"] == STAGE), None)
        if stage is None or "reduction" in identity or stage["layout"] == "sparse":
            what = "has no" if stage is None else "has reduced or sparse"
            raise SourceError(f"fingerprint store {self.path} {what} fingerprints")
        return {"descriptor": identity["descriptor"], "stage": stage}

    def read(self, index: SourceIndex, start: int, stop: int, records: bool = False) -> Structures:
        """
        See `Source.read`.

        Parameters
        ----------
        index : SourceIndex
            Of this source.
        start, stop : int
            Half-open range of structures.
        records : bool
            Also the fingerprints, as ``Structures.records``.

        Raises
        ------
        SourceError
            If the range is not there, or the store or its own source is gone or damaged.
        """
        check_range(index, start, stop)
        made = stamp(plan_path(place(self.path))).version
        reader, source = _open(self.path, made)
        batch = source.read(index, start, stop)
        known = index.problems_within(start, stop)
        batch = replace(batch, problems={**known, **batch.problems})
        if not records:
            return batch
        try:
            return replace(batch, records=_records(reader, batch, start, stop))
        except StoreError as error:
            raise SourceError(f"fingerprint store {error}") from error


@lru_cache(maxsize=4)
def _open(path: str, made: int) -> tuple[RowReader, Source]:
    """Open a store and its own source once per process, and anew if another took its place."""
    fields = read_plan(place(path)).campaign["source"]
    return RowReader(path), registry.build(SOURCES, "source", fields)


def _records(reader: RowReader, batch: Structures, start: int, stop: int) -> list[Structure | None]:
    by_atom = "number" in reader.names()
    edges = reader.read("offsets", start, stop + 1) if by_atom else np.arange(start, stop + 1)
    first = int(edges[0]) if len(edges) else 0
    rows = reader.read("fingerprint", first, int(edges[-1]) if len(edges) else 0)
    radii = reader.read("radius", start, stop) if "radius" in reader.names() else None
    found: list[Structure | None] = []
    for k in range(len(batch)):
        if k in batch.problems:
            found.append(None)
            continue
        atoms = slice(int(batch.offsets[k]), int(batch.offsets[k + 1]))
        mine = rows[edges[k] - first : edges[k + 1] - first]
        info: dict[str, Any] = {} if by_atom else {"fingerprint": mine[0]}
        if radii is not None:
            info["radius"] = float(radii[k])
        found.append(
            Structure(
                batch.numbers[atoms].astype(np.int64), batch.positions[atoms], batch.cells[k],
                batch.pbc[k], info, {"fingerprint": mine} if by_atom else {},
            )
        )  # fmt: skip
    return found
