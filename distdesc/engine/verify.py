"""Verify a store: objects against receipts, and a sample of shards against a recomputation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from distdesc.engine.frame import frame_faults, restore_frame
from distdesc.engine.plan import StagePlan
from distdesc.engine.run import stage_plans
from distdesc.engine.scan import scan
from distdesc.engine.task import recompute
from distdesc.engine.workspace import Workspace, open_workspace, version_differences
from distdesc.errors import SourceError, StoreError
from distdesc.place import Place
from distdesc.schema import ArraySpec
from distdesc.store.audit import Sizes, listed_sizes, object_fault
from distdesc.store.fits import pass_name, read_fitted
from distdesc.store.lock import client_lock
from distdesc.store.projection import GROUP, projection_faults
from distdesc.store.receipts import Receipt, done_shards, read_receipt, revoke
from distdesc.store.rows import RowReader, digest_rows
from distdesc.store.storage import delete
from distdesc.store.written import WrittenPlan, read_plan
from distdesc.structures.index import EVERYTHING, INDEX, SourceIndex

FRAME = "frame"
"""Stands for a stage where not a shard is at fault, but index or metadata."""

Tick = Callable[[int, int], None]
"""Called with (shards done, shards to do)."""


@dataclass(frozen=True)
class Fault:
    """
    Something in a store that is not as its receipt says.

    Parameters
    ----------
    stage : str
        Name of the stage.
    shard : int
        Number of the shard.
    array : str
        Name of the array; empty if the receipt itself is at fault.
    what : str
        What is wrong.
    """

    stage: str
    shard: int
    array: str
    what: str


@dataclass(frozen=True)
class Verification:
    """
    Result of a verification.

    Parameters
    ----------
    path : str
        The store.
    shards, shards_done : int
        Of the plan, and with a receipt.
    objects : int
        Objects checked.
    bytes : int
        Bytes checked.
    recomputed : int
        Shards that were computed anew and compared bit for bit.
    not_recomputed : str
        Why no shard could be computed anew; empty otherwise.
    faults : tuple of Fault
        What is wrong; empty if all is well.
    repaired : bool
        Whether the receipts of the faulty shards were withdrawn.
    """

    path: str
    shards: int
    shards_done: int
    objects: int
    bytes: int
    recomputed: int
    not_recomputed: str
    faults: tuple[Fault, ...]
    repaired: bool

    def to_dict(self) -> dict[str, Any]:
        """JSON-compatible form."""
        return asdict(self)


def verify(
    path: Place, recomputed: int = 1, repair: bool = False, tick: Tick | None = None
) -> Verification:
    """
    Check every stored object against its receipt and recompute a sample of shards.

    Parameters
    ----------
    path : Place
        The store.
    recomputed : int
        Shards of each stage to compute anew, spread evenly; 0 for none.
    repair : bool
        Withdraw the receipts of faulty shards, so that the next run computes them again.
    tick : callable, optional
        Told how far it is.

    Raises
    ------
    StoreError
        If there is no readable plan, or something is to be repaired that a client works on.
    """
    if not repair:
        return _verified(path, recomputed, repair, tick)
    # A client would miss the receipts that are withdrawn beside it.
    with client_lock(path):
        return _verified(path, recomputed, repair, tick)


def _verified(path: Place, recomputed: int, repair: bool, tick: Tick | None) -> Verification:
    plan = read_plan(path)
    frame = _frame_faults(path, plan, repair)
    if any(_hides_rows(f, repair) for f in frame):
        return Verification(str(path), 0, 0, 0, 0, 0, frame[0].what, frame, repair)
    plans = stage_plans(path, plan)
    total = sum(p.layout.n_shards for p in plans)
    faults = list(frame)
    objects = size = done = 0
    for stage_plan in plans:
        sizes = listed_sizes(path, stage_plan.specs, stage_plan.layout.n_shards)
        for shard in sorted(done_shards(path, stage_plan.layout.stage)):
            done += 1
            receipt, fault = _receipt(path, stage_plan.layout.stage, shard, plan.digest)
            if receipt is not None:
                faults += _shard_faults(path, stage_plan, receipt, sizes)
                objects += len(receipt.objects)
                size += sum(n for n, _ in receipt.objects.values())
            elif fault is not None:
                faults.append(fault)
            if tick is not None:
                tick(done, total)
    unfitted = _fit_faults(path, plan)
    faults += [*unfitted, *_pass_faults(path, plan)]
    sampled = _sample(path, plans, recomputed, faults) if recomputed and not unfitted else []
    why = "rows cannot be reduced without what was fitted" if unfitted else ""
    try:
        if sampled:
            with _workspace(path, plan) as workspace:
                for stage, shard in sampled:
                    faults += _recomputed_faults(workspace, plans, stage, shard)
    except SourceError as error:
        sampled, why = [], str(error)
    if repair:
        for fault in faults:
            revoke(path, fault.stage, fault.shard)
    return Verification(
        str(path), total, done, objects, size, len(sampled), why, tuple(faults), repair
    )


@contextmanager
def _workspace(path: Place, plan: WrittenPlan) -> Iterator[Workspace]:
    """Workspace to compute in; a source that was unpacked or touched is read again."""
    changed = version_differences(plan)
    if changed:
        text = ", ".join(f"{name} {then} → {now}" for name, (then, now) in changed.items())
        raise SourceError(f"versions differ from those the store was begun with: {text}")
    # Files that are not as they were are read again, and their content decides.
    workspace = open_workspace(path, plan.digest, ignoring=EVERYTHING)
    if workspace.index.changed_file() is None:
        yield workspace
        return
    with TemporaryDirectory() as scratch:
        index = scan(workspace.campaign, Path(scratch), lambda event: None)
        if index.digest != plan.source_digest:
            raise SourceError(f"the input of {path} has changed; nothing can be recomputed")
        yield replace(workspace, index=index)


def _frame_faults(path: Place, plan: WrittenPlan, repair: bool) -> tuple[Fault, ...]:
    """What is wrong with index and metadata."""
    try:
        index = SourceIndex.load(path / INDEX)
        damage = index.damage(path / INDEX)
    except SourceError as error:
        damage = str(error)
    if damage is not None:
        if repair:
            delete(path / INDEX / "index.json")
        return (Fault(FRAME, 0, INDEX, damage),)
    find = partial(restore_frame, whole=True) if repair else frame_faults
    return tuple(
        Fault(FRAME, 0, str(name), f"{path / name} {what}")
        for name, what in find(path, plan, index).items()
    )


def _hides_rows(fault: Fault, repair: bool) -> bool:
    """Whether rows cannot be checked before the frame is repaired; an index, the run repairs."""
    return fault.array == INDEX or (not repair and not fault.array.startswith("offsets"))


def _fit_faults(path: Place, plan: WrittenPlan) -> list[Fault]:
    """Whether the projection is as it was fitted; until then there is nothing to check."""
    if plan.fit is None:
        return []
    try:
        fitted = read_fitted(path)
    except StoreError as error:
        return [Fault(GROUP, 0, "", str(error))]
    if fitted is None:
        begun = any(done_shards(path, x.stage) for x in plan.layouts)
        what = f"rows were computed, but {path} has no record of the fit"
        return [Fault(GROUP, 0, "", what)] if begun else []
    return [Fault(GROUP, 0, name, what) for name, what in projection_faults(path, fitted).items()]


def _pass_faults(path: Place, plan: WrittenPlan) -> list[Fault]:
    """Receipts of parts of the fit that cannot be read."""
    passes = range(0 if plan.fit is None else plan.fit.passes)
    parts = ((k, part) for k in passes for part in sorted(done_shards(path, pass_name(k))))
    found = (_receipt(path, pass_name(k), part, plan.digest)[1] for k, part in parts)
    return [fault for fault in found if fault is not None]


def _receipt(
    path: Place, stage: str, shard: int, digest: str
) -> tuple[Receipt | None, Fault | None]:
    try:
        receipt = read_receipt(path, stage, shard)
    except StoreError as error:
        return None, Fault(stage, shard, "", str(error))
    if receipt is not None and receipt.campaign != digest:
        return None, Fault(stage, shard, "", f"receipt is of campaign {receipt.campaign}")
    return receipt, None


def _shard_faults(
    path: Place, plan: StagePlan, receipt: Receipt, sizes: Sizes | None
) -> list[Fault]:
    """Objects as stored, then values as decoded."""
    # Opened anew for each shard, so that nothing is answered from a cache.
    reader = RowReader(path)
    faults = []
    for spec in plan.specs:
        what = object_fault(path, spec, receipt, True, sizes) or _value_fault(
            reader, plan, spec, receipt
        )
        if what is not None:
            faults.append(Fault(receipt.stage, receipt.shard, spec.name, what))
    return faults


def _value_fault(
    reader: RowReader, plan: StagePlan, spec: ArraySpec, receipt: Receipt
) -> str | None:
    start, stop = plan.layout.span(spec, receipt.shard)
    try:
        if spec.ragged:
            stop = start + int(reader.read(spec.ragged.count, *receipt.rows).sum())
        values = reader.read(spec.name, start, stop)
    except StoreError as error:
        return str(error)
    if not spec.measured and digest_rows(values) != receipt.digests.get(spec.name):
        return f"values of rows {start} to {stop} differ from the receipt"
    return None


def _sample(
    path: Place, plans: tuple[StagePlan, ...], wanted: int, faults: list[Fault]
) -> list[tuple[str, int]]:
    """Shards to compute anew: done, not known to be faulty, spread evenly over each stage."""
    bad = {(f.stage, f.shard) for f in faults}
    found = []
    for plan in plans:
        stage = plan.layout.stage
        good = [s for s in sorted(done_shards(path, stage)) if (stage, s) not in bad]
        picks = np.unique(np.linspace(0, len(good) - 1, min(wanted, len(good))).astype(int))
        found += [(stage, good[k]) for k in picks]
    return found


def _recomputed_faults(
    workspace: Workspace, plans: tuple[StagePlan, ...], stage: str, shard: int
) -> list[Fault]:
    receipt = read_receipt(workspace.path, stage, shard)
    plan = next(p for p in plans if p.layout.stage == stage)
    crashed = {} if receipt is None else receipt.untouchable
    arrays = recompute(workspace, plan.task(shard), crashed)
    measured = {spec.name for spec in plan.specs if spec.measured}
    return [
        Fault(stage, shard, name, "recomputed values differ from the stored ones")
        for name, values in arrays.items()
        if receipt is not None
        and name not in measured
        and digest_rows(values) != receipt.digests.get(name)
    ]
