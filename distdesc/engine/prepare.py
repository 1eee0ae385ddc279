"""Begin a store, or take up one that was begun: index, plan, arrays; nothing is computed yet."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from distdesc.campaign import Campaign, described, digest
from distdesc.engine.events import Listener
from distdesc.engine.frame import lay_out, restore_frame
from distdesc.engine.plan import StagePlan, plan_stage
from distdesc.engine.resume import check_same_campaign, check_same_input, check_same_versions
from distdesc.engine.sample import check_fit, plan_fit
from distdesc.engine.scan import count_offsets, scan, unpacked
from distdesc.engine.versions import machine, versions
from distdesc.errors import CampaignError, StoreError
from distdesc.place import Place
from distdesc.stages.stage import Stage
from distdesc.store import storage
from distdesc.store.fits import TABLE
from distdesc.store.local import PARTIAL
from distdesc.store.lock import is_lock
from distdesc.store.rows import digest_rows
from distdesc.store.written import (
    WrittenPlan,
    plan_path,
    read_plan,
    write_plan,
)
from distdesc.structures.index import INDEX, SourceIndex

BEGUN = "run/begun"

OWN = ("offsets", "run", "reduction")
"""Names in a store that are no stage's arrays."""


def plan_stages(
    campaign: Campaign, index: SourceIndex, offsets: NDArray[np.int64]
) -> tuple[tuple[Stage, ...], tuple[StagePlan, ...]]:
    """
    Resolved stages of a campaign and their plans.

    Parameters
    ----------
    campaign : Campaign
        The campaign.
    index : SourceIndex
        Of its source.
    offsets : ndarray, shape (n_structures + 1,), int64
        Atoms before each structure.

    Raises
    ------
    CampaignError
        If there are too few environments for the campaign's reduction, or two stages would write
        the same array.
    """
    check_fit(campaign, int(offsets[-1]))
    stages = tuple(s.resolve(campaign.source, index) for s in campaign.stages)
    plans = tuple(
        plan_stage(name, stage, campaign, offsets)
        for name, stage in zip(campaign.stage_names, stages, strict=True)
    )
    _check_names(plans)
    return stages, plans


def _check_names(plans: Sequence[StagePlan]) -> None:
    """Refuse stages that would write the same array, or one that is the store's own."""
    owners = dict.fromkeys(OWN, "the store itself")
    for plan in plans:
        mine = f"stage {plan.layout.stage}"
        for spec in plan.specs:
            other = owners.setdefault(spec.name, mine)
            if other != mine:
                raise CampaignError(
                    f"[[stage]] names of arrays must differ, but {other} and {mine} both have "
                    f"{spec.name}; run them as two jobs, each with a [store] of its own"
                )


def prepare(campaign: Campaign, listener: Listener, accept_versions: bool) -> WrittenPlan:
    """
    Written plan of the campaign's store, which is created if it is not there.

    Parameters
    ----------
    campaign : Campaign
        The campaign.
    listener : callable
        Told what goes on.
    accept_versions : bool
        Go on although versions of packages differ from those the store was begun with.

    Raises
    ------
    StoreError
        If the store belongs to another campaign, other input or other versions, or is not ours.
    SourceError
        If the source cannot be read.
    """
    path = campaign.path
    if storage.exists(plan_path(path)):
        plan = read_plan(path)
        check_same_campaign(campaign, plan)
        check_same_versions(path, plan, accept_versions)
        check_same_input(campaign, plan, listener)
        restore_frame(path, plan, SourceIndex.load(path / INDEX))
        return plan
    _clear_unfinished(path)
    return _create(campaign, listener)


def _create(campaign: Campaign, listener: Listener) -> WrittenPlan:
    path = campaign.path
    storage.replace(path / BEGUN, b"")
    scan(campaign, unpacked(path), listener).save(path / INDEX)
    index = SourceIndex.load(path / INDEX)
    offsets = count_offsets(index)
    stages, plans = plan_stages(campaign, index, offsets)
    fit = plan_fit(campaign, offsets)
    tables = {p.layout.stage: p.table for p in plans}
    tables |= {} if fit is None else {TABLE: fit.table}
    named = zip(campaign.stage_names, stages, strict=True)
    identity = {**campaign.identity(), "stage": [described(name, stage) for name, stage in named]}
    written = WrittenPlan(
        campaign=campaign.to_dict(),
        identity=identity,
        digest=digest([identity, index.digest, [p.layout.shard_rows for p in plans]]),
        source_digest=index.digest,
        n_structures=len(index),
        n_atoms=int(offsets[-1]),
        layouts=tuple(p.layout for p in plans),
        versions=versions(),
        made={"time": time.time(), **machine()},
        fit=None if fit is None else fit.layout,
        tables={name: digest_rows(table) for name, table in tables.items()},
    )
    storage.delete(path / "zarr.json")
    lay_out(path, written, index)
    write_plan(path, written)
    storage.delete(path / BEGUN)
    return written


def check_place(path: Place) -> None:
    """
    Refuse a place that is neither free nor a store of ours; nothing is changed.

    Parameters
    ----------
    path : Place
        The store.

    Raises
    ------
    StoreError
        If something else is there.
    """
    if isinstance(path, Path) and path.exists():
        if not path.is_dir():
            raise StoreError(f"{path} is a file; choose another [store] path")
        if not os.access(path, os.W_OK):
            raise StoreError(
                f"{path} cannot be written: it is mounted read-only, or belongs to another user"
            )
    found = storage.names(path)
    if not found or storage.exists(plan_path(path)) or storage.exists(path / BEGUN):
        return
    if found != {"run"} or _leftovers(path):
        raise StoreError(
            f"{path} exists and is not a distdesc store; choose another [store] path or move it"
        )


def _leftovers(path: Place) -> list[Place]:
    """What is in a store besides locks and the mark of an unfinished creation."""
    found = [path / k for k in storage.names(path) if k != "run"]
    found += [path / "run" / k for k in storage.names(path / "run") if not is_lock(k)]
    return [f for f in found if f != path / BEGUN and not f.name.endswith(PARTIAL)]


def _clear_unfinished(path: Place) -> None:
    """Remove what an interrupted creation left; the caller holds the lock."""
    check_place(path)
    for leftover in _leftovers(path):
        storage.delete_folder(leftover)
