"""A run as a worker sees it: opened from its store alone, once per process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from distdesc import campaign as campaigns
from distdesc.campaign import Campaign
from distdesc.engine.versions import versions
from distdesc.errors import LastingError, SourceError
from distdesc.place import Place
from distdesc.reduction.projection import Projection
from distdesc.stages.fingerprint import Fingerprint
from distdesc.stages.stage import Stage
from distdesc.store.fits import projection_digest, read_fitted
from distdesc.store.layout import StageLayout, system_specs
from distdesc.store.projection import read_projection
from distdesc.store.storage import stamp
from distdesc.store.writing import RowWriter
from distdesc.store.written import WrittenPlan, read_plan
from distdesc.structures.index import INDEX, SourceIndex


@dataclass(frozen=True)
class StageWork:
    """
    One stage of a run, ready to compute and write.

    Parameters
    ----------
    stage : Stage
        The stage, resolved.
    layout : StageLayout
        Its rows and shards.
    writer : RowWriter
        Of its arrays.
    projection : str
        Digest of the projection that the stage applies; empty if it applies none.
    """

    stage: Stage
    layout: StageLayout
    writer: RowWriter
    projection: str = ""

    @property
    def measured(self) -> frozenset[str]:
        """Outputs whose values are measured, and differ from one attempt to the next."""
        return frozenset(spec.name for spec in self.stage.outputs() if spec.measured)


@dataclass(frozen=True)
class Workspace:
    """
    Everything a task needs, from the written plan.

    Parameters
    ----------
    path : Place
        The store.
    plan : WrittenPlan
        What the store is for.
    campaign : Campaign
        Built from the plan, stages resolved.
    index : SourceIndex
        Of the source.
    work : dict of str to StageWork
        The stages, by name.
    """

    path: Place
    plan: WrittenPlan
    campaign: Campaign
    index: SourceIndex
    work: dict[str, StageWork]


def open_workspace(
    path: Place, digest: str, ignoring: Path | None = None, reduced: bool = True
) -> Workspace:
    """
    Workspace of a store, cached per process.

    Parameters
    ----------
    path : Place
        The store.
    digest : str
        Of the campaign that the caller believes it works for.
    ignoring : pathlib.Path, optional
        Folder whose files may have changed or gone.
    reduced : bool
        With the projection, once the reduction is fitted; False to fit it.

    Raises
    ------
    LastingError
        If the store has become another campaign's.
    SourceError
        If the index cannot be read, or an input file has changed since it was indexed.
    StoreError
        If the projection is damaged.
    """
    fitted = read_fitted(path) if reduced and _is_reduced(path, digest) else None
    projection = () if fitted is None else tuple(sorted(fitted.digests.items()))
    indexed = stamp(path / INDEX / "index.json").version
    workspace = _open(path, digest, indexed, projection)
    changed = workspace.index.changed_file(ignoring)
    if changed is not None:
        # The next run of the same command looks at the content and says what to do.
        raise SourceError(f"{changed}; the run cannot go on with it")
    return workspace


@lru_cache(maxsize=4)
def _is_reduced(path: Place, digest: str) -> bool:
    """Whether there will be a fit; asked once per process and campaign, whose plan stays."""
    return read_plan(path).fit is not None


@lru_cache(maxsize=4)
def _open(
    path: Place, digest: str, indexed: int, projection: tuple[tuple[str, str], ...]
) -> Workspace:
    """Open a store once per process, and anew if its source was indexed again, or when fitted."""
    plan = read_plan(path)
    if plan.digest != digest:
        raise LastingError(f"{path} now belongs to campaign {plan.digest}, not to {digest}")
    index = SourceIndex.load(path / INDEX)
    campaign = rebuild(plan)
    stages = campaign.stages
    applied = projection_digest(dict(projection)) if projection else ""
    if projection:
        fitted = load_projection(campaign, path, dict(projection))
        stages = tuple(_reduced(stage, fitted) for stage in stages)
    work = {}
    for layout, stage in zip(plan.layouts, stages, strict=True):
        outputs = stage.outputs()
        specs = (*outputs, *system_specs(layout.stage, outputs))
        stage.warm_up()
        work[layout.stage] = StageWork(
            stage,
            layout,
            RowWriter(path, layout, specs, campaign.store.sync),
            applied if isinstance(stage, Fingerprint) else "",
        )
    return Workspace(path, plan, campaign, index, work)


def rebuild(plan: WrittenPlan) -> Campaign:
    """
    Campaign of a written plan, with its stages resolved.

    Parameters
    ----------
    plan : WrittenPlan
        Of a store.
    """
    data: dict[str, Any] = {**plan.campaign, "stage": plan.identity["stage"]}
    return campaigns.Campaign.from_dict(data, literal=True)


def load_projection(campaign: Campaign, path: Place, digests: Mapping[str, str]) -> Projection:
    """
    Projection that the campaign's reduction led to, from the store.

    Parameters
    ----------
    campaign : Campaign
        With a reduction.
    path : Place
        The store.
    digests : mapping of str to str
        Of its arrays, from the record of the fit.

    Raises
    ------
    StoreError
        If an array is missing or damaged.
    """
    arrays = read_projection(path, digests)
    names = () if campaign.reduction is None else campaign.reduction.names
    # In the order in memory that applying it needs, so that there is no second copy.
    components = np.ascontiguousarray(arrays["components"].T).T
    return Projection(arrays["mean"], components, names)


def _reduced(stage: Stage, projection: Projection) -> Stage:
    """Stage that applies the projection, if it takes a reduction."""
    return replace(stage, reduction=projection) if isinstance(stage, Fingerprint) else stage


def version_differences(plan: WrittenPlan) -> dict[str, tuple[str, str]]:
    """
    Packages whose version here is not the one the store was begun with.

    Parameters
    ----------
    plan : WrittenPlan
        Of a store.

    Returns
    -------
    dict of str to tuple of str
        (then, now) by package.
    """
    here = versions()
    return {
        name: (then, here.get(name, "missing"))
        for name, then in plan.versions.items()
        if here.get(name) != then
    }
