"""Which source a path or URL is meant for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from distdesc.structures.files import SERVERS, UNPACKERS

SUFFIXES = {
    ".db": "ase_db",
    ".json": "ase_db",
    ".aselmdb": "aselmdb",
    ".xyz": "extxyz",
    ".extxyz": "extxyz",
    ".zarr": "structure_store",
}


def guess_source(path: str) -> dict[str, Any]:
    """
    Section ``[source]`` for a path, glob or URL.

    Parameters
    ----------
    path : str
        As a user types it.

    Returns
    -------
    dict
        ``{"name": …, "path": …}``.
    """
    if path.startswith(SERVERS):
        return {"name": "ase_db", "path": path}
    place = Path(path)
    if place.is_dir():
        return {"name": _of_folder(place), "path": path}
    suffixes = [s.lower().rstrip("*") for s in place.suffixes]
    if suffixes and suffixes[-1] in UNPACKERS:
        suffixes.pop()
    suffix = suffixes[-1] if suffixes else ""
    if not suffix and place.name.endswith("*"):
        return {"name": "files", "path": path}
    return {"name": SUFFIXES.get(suffix, "ase_any"), "path": path}


def _of_folder(folder: Path) -> str:
    if (folder / "zarr.json").exists() or folder.suffix == ".zarr":
        return "structure_store"
    if any(folder.glob("*.aselmdb")):
        return "aselmdb"
    return "files"
