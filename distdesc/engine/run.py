"""Run a campaign: plan minus receipts, handed to an executor, until every shard is done."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import floor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from distdesc import registry
from distdesc.campaign import Campaign
from distdesc.engine.events import Announced, Listener, RunStarted
from distdesc.engine.executors import EXECUTORS
from distdesc.engine.executors.executor import Executor
from distdesc.engine.fit import Fitter, is_fitted, recorded_projection
from distdesc.engine.ledger import Ledger
from distdesc.engine.missing import missing_shards
from distdesc.engine.plan import StagePlan, assemble, check_memory
from distdesc.engine.prepare import check_place, prepare
from distdesc.engine.scan import unpacked
from distdesc.engine.session import Session
from distdesc.engine.share import ALL, Share
from distdesc.engine.tries import Tries
from distdesc.engine.workspace import rebuild
from distdesc.errors import CampaignError, RunError
from distdesc.monitor.opening import tally_of
from distdesc.place import ObjectPath, Place
from distdesc.store.lock import is_being_taken
from distdesc.store.receipts import is_complete
from distdesc.store.storage import delete_folder, remove_partials
from distdesc.store.written import WrittenPlan, read_shard_table
from distdesc.structures.index import INDEX, SourceIndex

WORTH_WORKERS = 2**24
"""Bytes of compressed text above which workers ingest it."""


@dataclass(frozen=True)
class Remaining:
    """
    What is left to do in a store that was begun.

    Parameters
    ----------
    plan : WrittenPlan
        Of the store.
    stages : tuple of StagePlan
        Of its stages.
    missing : dict of str to ndarray of int64
        Shards of this share without a receipt, by stage.
    ledger : Ledger
        Counts what is done and what failed.
    """

    plan: WrittenPlan
    stages: tuple[StagePlan, ...]
    missing: dict[str, NDArray[np.int64]]
    ledger: Ledger

    @property
    def shards(self) -> int:
        """Number of missing shards."""
        return sum(map(len, self.missing.values()))


def run(
    campaign: Campaign,
    listeners: Sequence[Listener] = (),
    accept_versions: bool = False,
    share: Share = ALL,
) -> WrittenPlan:
    """
    Compute what lacks a receipt; begin the store if it is not there.

    Calling it again after any interruption goes on where it stopped; calling it on a finished
    store changes nothing.

    Parameters
    ----------
    campaign : Campaign
        What to compute and where to put it.
    listeners : sequence of callable
        Told every `Event`.
    accept_versions : bool
        Go on although versions of packages differ from those the store was begun with.
    share : Share
        Which shards; others may compute the others at the same time, each by a call of its own.

    Returns
    -------
    WrittenPlan
        Of the store, of which all of the share is done.

    Raises
    ------
    DistdescError
        If the run had to stop; what is done is kept.
    """
    executor_class = registry.load(
        EXECUTORS, "execution", campaign.execution.executor, key="executor"
    )
    campaign = seekable(campaign, listeners, accept_versions, share)
    path = campaign.path
    check_place(path)
    session = Session(path, share, listeners)
    with session.locked():
        with session.alone():
            plan = prepare(campaign, session.tell, accept_versions)
        ledger = _all_computed(executor_class, campaign, plan, session)
        _finish(plan, ledger, session)
    return plan


def stage_plans(path: Place, plan: WrittenPlan) -> tuple[StagePlan, ...]:
    """
    Plans of the stages of a store that was begun.

    Parameters
    ----------
    path : Place
        The store.
    plan : WrittenPlan
        Its written plan.
    """
    index = SourceIndex.load(path / INDEX)
    largest = int(index.atom_counts.max(initial=0))
    return tuple(
        assemble(stage, layout, read_shard_table(path, layout.stage), plan.n_atoms, largest)
        for stage, layout in zip(rebuild(plan).stages, plan.layouts, strict=True)
    )


def seekable(
    campaign: Campaign,
    listeners: Sequence[Listener],
    accept_versions: bool,
    share: Share = ALL,
) -> Campaign:
    """
    Return a campaign whose source workers can seek in.

    Compressed text cannot be sought: it is ingested into a structure store beside the store of
    the campaign first, and the campaign reads that.

    Parameters
    ----------
    campaign : Campaign
        Any campaign.
    listeners : sequence of callable
        Told about the ingest, which is a run of its own.
    accept_versions : bool
        As for `run`.
    share : Share
        As for `run`; the first of several shares ingests, the others wait.

    Raises
    ------
    CampaignError
        If it would be unpacked where workers do not see it.
    """
    if campaign.source.seekable:
        return campaign
    if isinstance(campaign.path, ObjectPath) and campaign.execution.scheduler:
        raise CampaignError(
            "[source] is compressed, and for a store in a bucket it is unpacked on this machine, "
            "where workers of [execution] scheduler do not see it; unpack it first, or ingest it "
            "into a folder"
        )
    if "ingest" in campaign.stage_names:
        return campaign
    sections = campaign.to_dict()
    stem = campaign.path.name.removesuffix(".zarr")
    store = campaign.path.with_name(f"{stem}.structures.zarr")
    for listener in listeners:
        listener(
            Announced(
                f"{sections['source']['path']} is compressed and cannot be sought: "
                f"ingesting it into {store} first"
            )
        )
    ingest = _ingest_into(store, campaign)
    run(ingest, listeners, accept_versions, Share(wait=share.wait or bool(share.name)))
    return Campaign.from_dict(
        {**sections, "source": {"name": "structure_store", "path": str(store)}}
    )


def _ingest_into(store: Place, campaign: Campaign) -> Campaign:
    """Campaign that ingests the source of another; what cannot be read is judged by the other."""
    sections = campaign.to_dict()
    return Campaign.from_dict(
        {
            "question": f"The structures of {sections['source']['path']}, seekable.",
            "source": sections["source"],
            "stage": [{"name": "ingest"}],
            "store": {"path": str(store)},
            "execution": sections["execution"] if _is_large(campaign) else {"executor": "serial"},
            "limits": {"quarantined_fraction": 1.0},
        }
    )


def _is_large(campaign: Campaign) -> bool:
    """Whether an ingest is worth starting workers for."""
    path = campaign.sections["source"]["path"]
    files = [Path(p) for p in ([path] if isinstance(path, str) else path)]
    return any(not f.is_file() or f.stat().st_size > WORTH_WORKERS for f in files)


def _warm_up(plan: WrittenPlan, session: Session) -> None:
    """Compile kernels here, so that workers find them in the cache."""
    session.tell(Announced("compiling kernels, or loading them from the cache"))
    for stage in rebuild(plan).stages:
        stage.warm_up()
    session.tell(Announced("starting workers"))


def _remaining(campaign: Campaign, plan: WrittenPlan, session: Session) -> Remaining:
    """Look at the receipts of a share, which say what is done."""
    path = session.path
    stages = stage_plans(path, plan)
    limit = floor(campaign.limits.quarantined_fraction * plan.n_structures + 1e-9)
    ledger = Ledger(limit, tally=tally_of(path, plan), projection=_projection(path, plan))
    missing = missing_shards(path, plan.digest, stages, ledger, session.tell, session.share)
    if ledger.tally is not None:
        ledger.tally.expect(missing)
    return Remaining(plan, stages, missing, ledger)


def _all_computed(
    executor_class: Callable[..., Executor], campaign: Campaign, plan: WrittenPlan, session: Session
) -> Ledger:
    """Compute what is missing; what is known of the shards of this share after it."""
    remaining = _remaining(campaign, plan, session)
    limits = campaign.limits
    while remaining.shards or not is_fitted(session.path, plan):
        _warm_up(plan, session)
        with executor_class(
            campaign.execution, limits.attempts, limits.structure_seconds
        ) as executor:
            if _compute(executor, campaign, remaining, session):
                break
        # Not all that was done is so still: another projection is in the store by now.
        remaining = _remaining(campaign, plan, session)
    return remaining.ledger


def _compute(
    executor: Executor, campaign: Campaign, remaining: Remaining, session: Session
) -> bool:
    """
    Fit the reduction if that is not done, then compute the missing shards.

    False, before any is computed, if rows were done and the fit has led to another projection than
    the store had: then others may be missing.
    """
    plan, ledger = remaining.plan, remaining.ledger
    tries = Tries(campaign, plan.digest, executor.worker_memory)
    page = None if ledger.tally is None else executor.show(ledger.tally)
    with session.alone():
        if not is_fitted(session.path, plan):
            Fitter(plan, session, ledger.limit).fit(executor, tries)
    projection = _projection(session.path, plan)
    if projection != ledger.projection and ledger.done:
        return False
    ledger.projection = projection
    check_memory(remaining.stages, executor.worker_memory)
    session.tell(
        RunStarted(
            store=str(session.path),
            shards=ledger.done + remaining.shards,
            shards_done=ledger.done,
            structures=plan.n_structures,
            rows=sum(stage.layout.n_rows for stage in remaining.stages),
            workers=executor.workers,
            dashboard=executor.dashboard,
            page=page,
            tunnel=executor.tunnel,
            tally=ledger.tally,
        )
    )
    attempt, rescue = tries.of_shards()
    for stage in remaining.stages:
        tasks = stage.tasks(stage.by_cost(remaining.missing[stage.layout.stage]))
        for outcome in executor.run(attempt, tasks, rescue):
            session.beat()
            ledger.account(outcome, session.tell)
    return True


def _projection(path: Place, plan: WrittenPlan) -> str:
    """Digest of the projection that rows are reduced by; empty if there is none, or not yet."""
    return "" if plan.fit is None else recorded_projection(path)


def _finish(plan: WrittenPlan, ledger: Ledger, session: Session) -> None:
    path, share = session.path, session.share
    if ledger.failed:
        raise ledger.given_up("shards")
    if _projection(path, plan) != ledger.projection:
        raise RunError(
            f"another client fitted the reduction of {path} again meanwhile, and it came out "
            f"differently; run the same command again"
        )
    if not is_complete(path, plan):
        if share.name:
            session.tell(
                Announced(f"share {share.number} of {share.count} is done; others are not yet")
            )
            return
        raise RunError(f"{path} lacks receipts although all tasks ended; run the command again")
    with session.alone():
        remove_partials(path, is_being_taken)
        delete_folder(unpacked(path))
