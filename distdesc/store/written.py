"""The written plan of a store: what is being computed, in which shards, from what."""

from __future__ import annotations

import io
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distdesc.errors import StoreError
from distdesc.place import ObjectPath, Place
from distdesc.store.containment import check_links, inside
from distdesc.store.layout import StageLayout
from distdesc.store.npy import read_npy
from distdesc.store.objects import sealed, unsealed
from distdesc.store.storage import create, names, read, replace, stamp

FORMAT = 1
"""Of plan, receipts and layout; a store of another format is refused."""


@dataclass(frozen=True)
class FitLayout:
    """
    How the reduction of a campaign is fitted, before its stages run.

    Parameters
    ----------
    reduction : str
        Name of the reduction.
    n_features, n_components : int
        Length of a fingerprint, before and after.
    environments : int
        Environments of the sample, usable or not; 0 if nothing is fitted.
    passes : int
        Passes over the sample.
    parts : int
        Tasks of a pass.
    runs : int
        Runs of rows that the sample consists of.
    """

    reduction: str
    n_features: int
    n_components: int
    environments: int
    passes: int
    parts: int
    runs: int


@dataclass(frozen=True)
class WrittenPlan:
    """
    What a store was begun for; written once, never changed.

    Parameters
    ----------
    campaign : dict
        The campaign's serialised form, as the user gave it.
    identity : dict
        The part of it that decides the stored bytes, with resolved stages.
    digest : str
        Digest of `identity` and of the source's content.
    source_digest : str
        Of the source's content.
    n_structures : int
        Structures of the source.
    n_atoms : int
        Atoms of the source.
    layouts : tuple of StageLayout
        One a stage.
    versions : dict of str to str
        Of Python and of the packages that decide the stored bytes.
    made : dict
        When the store was begun, and by which process of which machine.
    fit : FitLayout, optional
        How the reduction is fitted, if the campaign has one.
    tables : dict of str to str
        XXH3-128 of the shard table of each stage, and of that of the fit.
    """

    campaign: dict[str, Any] = field(repr=False)
    identity: dict[str, Any] = field(repr=False)
    digest: str
    source_digest: str
    n_structures: int
    n_atoms: int
    layouts: tuple[StageLayout, ...]
    versions: dict[str, str] = field(repr=False)
    made: dict[str, Any] = field(repr=False)
    fit: FitLayout | None = None
    tables: dict[str, str] = field(default_factory=dict, repr=False)

    def layout(self, stage: str) -> StageLayout:
        """
        Layout of a stage.

        Parameters
        ----------
        stage : str
            Its name.

        Raises
        ------
        StoreError
            If the store has no such stage.
        """
        for layout in self.layouts:
            if layout.stage == stage:
                return layout
        have = ", ".join(x.stage for x in self.layouts)
        raise StoreError(f"this store has no stage {stage}; it has: {have}")


def plan_path(path: Place) -> Place:
    """
    File of the written plan.

    Parameters
    ----------
    path : Place
        The store.
    """
    return inside(path, path / "run" / "plan.json")


def write_plan(path: Place, plan: WrittenPlan) -> None:
    """
    Write the plan, as the last act of creating a store.

    Parameters
    ----------
    path : Place
        The store.
    plan : WrittenPlan
        What it is for.

    Raises
    ------
    StoreError
        If there is one already.
    """
    if not create(plan_path(path), sealed({"format": FORMAT, **asdict(plan)}, indent=1)):
        raise StoreError(f"{path} was begun by another process at the same time")


def read_plan(path: Place) -> WrittenPlan:
    """
    Plan of a store.

    Parameters
    ----------
    path : Place
        The store.

    Raises
    ------
    StoreError
        If there is no readable plan, or it is of another format.
    """
    file = plan_path(path)
    try:
        version = stamp(file).version  # first: what is no store is told to be none
        check_links(path)
        return _read_plan(file, version)
    except (FileNotFoundError, NotADirectoryError) as error:
        if isinstance(path, ObjectPath):  # of a bucket that is not there, only a listing says so
            names(path)
        raise StoreError(f"{path} is not a distdesc store: it has no run/plan.json") from error
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise StoreError(f"{file} is damaged: {error}") from error


@lru_cache(maxsize=8)
def _read_plan(file: Place, version: int) -> WrittenPlan:
    data = unsealed(read(file))
    found = data.pop("format")
    if found != FORMAT:
        raise StoreError(f"{file} has format {found}; this distdesc reads format {FORMAT}")
    try:
        data["layouts"] = tuple(StageLayout(**x) for x in data["layouts"])
    except StoreError as error:
        raise ValueError(str(error)) from error
    if data.get("fit") is not None:
        data["fit"] = FitLayout(**data["fit"])
    return WrittenPlan(**data)


def shard_table_path(path: Place, stage: str) -> Place:
    """
    File of the shard table of a stage.

    Parameters
    ----------
    path : Place
        The store.
    stage : str
        Name of the stage.
    """
    return inside(path, path / "run" / "shards" / f"{stage}.npy")


def read_shard_table(path: Place, stage: str) -> NDArray[np.int64]:
    """
    Shard table of a stage: mapped, not read, if it is a file.

    Parameters
    ----------
    path : Place
        The store.
    stage : str
        Name of the stage.

    Returns
    -------
    ndarray, shape (n_shards, 4), int64
        Structures start and stop, row of the first atom of the first structure, atoms to read.

    Raises
    ------
    StoreError
        If it cannot be read.
    """
    file = shard_table_path(path, stage)
    try:
        return read_npy(file if isinstance(file, Path) else read(file), "<i8", 2)
    except (OSError, ValueError) as error:
        raise StoreError(f"{file} cannot be read: {error}") from error


def write_shard_table(path: Place, stage: str, table: NDArray[np.int64]) -> None:
    """
    Write the shard table of a stage.

    Parameters
    ----------
    path : Place
        The store.
    stage : str
        Name of the stage.
    table : ndarray, shape (n_shards, 4), int64
        See `read_shard_table`.
    """
    file = shard_table_path(path, stage)
    data = io.BytesIO()
    np.save(data, table)
    replace(file, data.getvalue())
