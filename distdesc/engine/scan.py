"""Index the source of a campaign: how many atoms, where."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from distdesc.campaign import Campaign
from distdesc.engine.events import Announced, Listener, ScanProgressed
from distdesc.errors import SourceError
from distdesc.place import Place
from distdesc.store.cache import cache_folder
from distdesc.structures.index import SourceIndex
from distdesc.structures.places import REFUSED

UNPACKED = "run/unpacked"
"""Folder of unpacked copies, in a store that is a folder, while they are needed."""


def unpacked(path: Place) -> Path:
    """
    Folder for copies of what is packed, for as long as they are needed.

    That of a store in a bucket is on this machine: workers elsewhere do not see it.

    Parameters
    ----------
    path : Place
        The store.
    """
    return path / UNPACKED if isinstance(path, Path) else cache_folder(path / UNPACKED)


def scan(campaign: Campaign, scratch: Path | None, listener: Listener) -> SourceIndex:
    """
    Index of the campaign's source.

    Parameters
    ----------
    campaign : Campaign
        For its source.
    scratch : pathlib.Path or None
        Folder for unpacked copies.
    listener : callable
        Told how far the scan is.

    Raises
    ------
    SourceError
        If the source cannot be read or has no structures.
    """
    listener(Announced("indexing the source"))

    def progress(done: int, total: int) -> None:
        listener(ScanProgressed(done, total))

    index = campaign.source.scan(progress, scratch)
    if not len(index):
        raise SourceError(f"{_source_path(campaign)} has no structures")
    refused = [why for why in index.problems.values() if why.startswith(REFUSED)]
    if refused:
        listener(Announced(f"{len(refused)} files cannot be read, the first: {refused[0]}"))
    return index


def count_offsets(index: SourceIndex) -> NDArray[np.int64]:
    """
    Atoms before each structure.

    Parameters
    ----------
    index : SourceIndex
        Of a source.

    Returns
    -------
    ndarray, shape (n_structures + 1,), int64
        The last entry is the number of atoms.
    """
    offsets = np.zeros(len(index) + 1, dtype=np.int64)
    np.cumsum(index.atom_counts, out=offsets[1:])
    return offsets


def _source_path(campaign: Campaign) -> str:
    path = campaign.sections["source"].get("path", campaign.sections["source"]["name"])
    return path if isinstance(path, str) else ", ".join(path)
