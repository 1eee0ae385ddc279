"""Verify a store: objects against receipts, and a sample of shards against a recomputation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from distdesc.engine.fit import recorded_projection
from distdesc.engine.frame import frame_faults, restore_frame
from distdesc.engine.plan import StagePlan
from distdesc.engine.run import stage_plans
from distdesc.engine.scan import scan
from distdesc.engine.share import ALL, Share
from distdesc.engine.soundness import Fault, shard_faults, sound_receipts
from distdesc.engine.task import recompute
from distdesc.engine.workspace import Workspace, open_workspace, version_differences
from distdesc.errors import SourceError, StoreError
from distdesc.place import Place
from distdesc.store.fits import pass_name, read_fitted
from distdesc.store.lock import ClientLock, begin_lock, client_lock
from distdesc.store.projection import GROUP, projection_faults
from distdesc.store.receipts import Receipt, done_shards, read_receipt, revoke
from distdesc.store.rows import digest_rows
from distdesc.store.storage import delete
from distdesc.store.written import WrittenPlan, read_plan
from distdesc.structures.index import EVERYTHING, INDEX, SourceIndex

FRAME = "frame"
"""Stands for a stage where not a shard is at fault, but index or metadata."""

Tick = Callable[[int, int], None]
"""Called with (shards done, shards to do)."""


@dataclass(frozen=True)
class Verification:
    """
    Result of a verification.

    Parameters
    ----------
    path : str
        The store.
    share : str
        Of its shards that were looked at, such as ``3-of-20``; empty for all.
    shards, shards_done : int
        Of the share, and with a receipt.
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
    share: str
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
    path: Place,
    recomputed: int = 1,
    repair: bool = False,
    tick: Tick | None = None,
    share: Share = ALL,
) -> Verification:
    """
    Check every stored object against its receipt and recompute a sample of shards.

    Of several shares, each checks what its shards need to be read; the first checks offsets, shard
    tables and the receipts of a fit too.

    Parameters
    ----------
    path : Place
        The store.
    recomputed : int
        Shards of each stage to compute anew, spread evenly over the share; 0 for none.
    repair : bool
        Withdraw the receipts of faulty shards, so that the next run computes them again.
    tick : callable, optional
        Told how far it is.
    share : Share
        Shards to check; others may check, or repair, the others at the same time.

    Raises
    ------
    StoreError
        If there is no readable plan, or something is to be repaired that a client works on.
    """
    tell = tick or _nobody
    if not repair:
        return _verified(path, recomputed, repair, tell, share)
    # A client would miss the receipts that are withdrawn beside it.
    with client_lock(path, share.name) as lock:
        return _verified(path, recomputed, repair, partial(_alive, lock, tell), share)


def _nobody(done: int, total: int) -> None:
    """Nobody is told."""


def _alive(lock: ClientLock, tell: Tick, done: int, total: int) -> None:
    """Tell how far it is, and other clients that this one lives."""
    lock.beat()
    tell(done, total)


def _verified(path: Place, recomputed: int, repair: bool, tell: Tick, share: Share) -> Verification:
    plan = read_plan(path)
    first = share.number == 1
    alone = begin_lock(path, lambda holder: None) if repair and share.name else nullcontext()
    with alone:
        frame = _frame_faults(path, plan, repair, whole=first)
    if any(_hides_rows(f, repair) for f in frame):
        return Verification(str(path), share.name, 0, 0, 0, 0, 0, frame[0].what, frame, repair)
    plans = stage_plans(path, plan)
    shards = {p.layout.stage: share.of(range(p.layout.n_shards)) for p in plans}
    total = sum(map(len, shards.values()))
    done = {stage: _done(path, stage, share) for stage in shards}
    faults = list(frame)
    objects = size = looked = 0
    for receipt, found in _of_shards(path, plan, plans, done):
        faults += found
        looked += 1
        objects += 0 if receipt is None else len(receipt.objects)
        size += 0 if receipt is None else sum(n for n, _ in receipt.objects.values())
        tell(looked, total)
    unfitted = _fit_faults(path, plan)
    faults += [*unfitted, *(_pass_faults(path, plan) if first else ())]
    sampled = _sample(plans, done, recomputed, faults) if recomputed and not unfitted else []
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
        str(path),
        share.name,
        total,
        looked,
        objects,
        size,
        len(sampled),
        why,
        tuple(faults),
        repair,
    )


def _done(path: Place, stage: str, share: Share) -> list[int]:
    """Shards of a share that have a receipt."""
    return share.of(sorted(done_shards(path, stage)))


def _of_shards(
    path: Place, plan: WrittenPlan, plans: tuple[StagePlan, ...], done: dict[str, list[int]]
) -> Iterator[tuple[Receipt | None, list[Fault]]]:
    """What is wrong with each shard, by its receipt if that is sound."""
    projection = "" if plan.fit is None else recorded_projection(path)
    for stage_plan in plans:
        stage = stage_plan.layout.stage
        bad: list[Fault] = []
        found = sound_receipts(path, stage, done[stage], plan.digest, projection)
        yield from shard_faults(path, stage_plan, _without(found, bad))
        yield from ((None, [fault]) for fault in bad)


def _without(found: Iterable[Receipt | Fault], bad: list[Fault]) -> Iterator[Receipt]:
    """Sound receipts, one by one; what is wrong with the others is kept."""
    for one in found:
        if isinstance(one, Receipt):
            yield one
        else:
            bad.append(one)


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


def _frame_faults(path: Place, plan: WrittenPlan, repair: bool, whole: bool) -> tuple[Fault, ...]:
    """What is wrong with index and metadata, and with all that the index determines."""
    try:
        index = SourceIndex.load(path / INDEX)
        damage = index.damage(path / INDEX)
    except SourceError as error:
        damage = str(error)
    if damage is not None:
        if repair:
            delete(path / INDEX / "index.json")
        return (Fault(FRAME, 0, INDEX, damage),)
    find = restore_frame if repair else frame_faults
    return tuple(
        Fault(FRAME, 0, str(name), f"{path / name} {what}")
        for name, what in find(path, plan, index, whole).items()
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
    found = (
        sound_receipts(path, pass_name(k), sorted(done_shards(path, pass_name(k))), plan.digest)
        for k in passes
    )
    return [one for of_pass in found for one in of_pass if isinstance(one, Fault)]


def _sample(
    plans: tuple[StagePlan, ...], done: dict[str, list[int]], wanted: int, faults: list[Fault]
) -> list[tuple[str, int]]:
    """Shards to compute anew: done, not known to be faulty, spread evenly over each stage."""
    bad = {(f.stage, f.shard) for f in faults}
    found = []
    for plan in plans:
        stage = plan.layout.stage
        good = [s for s in done[stage] if (stage, s) not in bad]
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
