"""Which shards are still to be computed: those without a receipt, or whose receipt is not true."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from distdesc.engine.events import Announced, Listener
from distdesc.engine.ledger import Ledger
from distdesc.engine.plan import StagePlan
from distdesc.engine.share import ALL, Share
from distdesc.errors import StoreError
from distdesc.place import Place
from distdesc.store.audit import listed_sizes, object_fault
from distdesc.store.receipts import Receipt, done_shards, read_receipts, revoke

log = logging.getLogger(__name__)

OTHER_PROJECTION = "were reduced by another projection than is in the store"
"""What is wrong with rows of components that were fitted differently."""

TOGETHER = 2**14
"""Receipts that are read one after the other from one list of numbers."""


def missing_shards(
    path: Place,
    digest: str,
    plans: tuple[StagePlan, ...],
    ledger: Ledger,
    tell: Listener,
    share: Share = ALL,
) -> dict[str, NDArray[np.int64]]:
    """
    Shards to compute, by stage; what the others quarantined is counted.

    A receipt that cannot be read, or whose objects are not there or do not have their size, is
    withdrawn, with a word about it: its shard is computed again; so is one whose rows were reduced
    by another projection than the ledger's. What only reading the objects would show, `verify`
    finds.

    Parameters
    ----------
    path : Place
        The store.
    digest : str
        Of the campaign.
    plans : tuple of StagePlan
        Of the store.
    ledger : Ledger
        Told what is done.
    tell : callable
        Told what was withdrawn.
    share : Share
        Shards to look at.

    Raises
    ------
    StoreError
        If a receipt is of another campaign.
    LastingError
        If too much is quarantined.
    """
    missing = {}
    for plan in plans:
        stage = plan.layout.stage
        mine = np.arange(share.number - 1, plan.layout.n_shards, share.count)
        done = _done(path, plan)
        untrue: dict[int, str] = {}
        for shard, found in _receipts(path, plan, mine[done[mine]]):
            if isinstance(found, str):
                untrue[shard] = found
                continue
            if found.campaign != digest:
                raise StoreError(
                    f"receipt of {stage} shard {shard} is of campaign {found.campaign}, "
                    f"the store of {digest}; `distdesc verify --repair` withdraws it"
                )
            if not found.suits(ledger.projection):
                untrue[shard] = f"rows of {stage} shard {shard} {OTHER_PROJECTION}"
                continue
            ledger.add(found)
        _withdraw(path, stage, untrue, tell)
        done[list(untrue)] = False
        ledger.done += int(done[mine].sum())
        missing[stage] = mine[~done[mine]]
    return missing


def withdraw_unlike(path: Place, stages: Iterable[str], projection: str, tell: Listener) -> None:
    """
    Withdraw receipts of all rows that cannot be shown to be reduced by a projection.

    Parameters
    ----------
    path : Place
        The store.
    stages : iterable of str
        Those that apply the projection.
    projection : str
        Its digest.
    tell : callable
        Told what was withdrawn.
    """
    for stage in stages:
        shards = sorted(done_shards(path, stage))
        found = zip(shards, read_receipts(path, stage, shards), strict=True)
        unlike = {
            shard: f"rows of {stage} shard {shard} {OTHER_PROJECTION}"
            for shard, receipt in found
            if isinstance(receipt, Receipt) and receipt.projection != projection
        }
        _withdraw(path, stage, unlike, tell)


def _done(path: Place, plan: StagePlan) -> NDArray[np.bool_]:
    """Whether each shard has a receipt, true or not."""
    # A flag a shard: of a million shards, sets and lists of numbers take a hundred MiB.
    done = np.zeros(plan.layout.n_shards, dtype=bool)
    for shard in done_shards(path, plan.layout.stage):
        if shard < len(done):
            done[shard] = True
    return done


def _withdraw(path: Place, stage: str, untrue: dict[int, str], tell: Listener) -> None:
    """Withdraw receipts that are not true, with a word about it."""
    for shard, fault in untrue.items():
        log.info("%s shard %d: %s", stage, shard, fault)
        revoke(path, stage, shard)
    if untrue:
        first = next(iter(untrue.values()))
        more = f" (and {len(untrue) - 1} more)" if len(untrue) > 1 else ""
        tell(Announced(f"{first}{more}: computing again {len(untrue)} shards of {stage}"))


def _receipts(
    path: Place, plan: StagePlan, shards: NDArray[np.int64]
) -> Iterator[tuple[int, Receipt | str]]:
    """Receipts of shards, or why they cannot be trusted."""
    sizes = listed_sizes(path, plan.specs, plan.layout.n_shards) if len(shards) else None
    for begin in range(0, len(shards), TOGETHER):
        some = shards[begin : begin + TOGETHER].tolist()
        for shard, receipt in zip(some, read_receipts(path, plan.layout.stage, some), strict=True):
            if receipt is None:
                yield shard, f"the receipt of shard {shard} is gone"
            elif isinstance(receipt, StoreError):
                yield shard, str(receipt).partition(";")[0]
            else:
                faults = (object_fault(path, spec, receipt, sizes) for spec in plan.specs)
                yield shard, next((what for what in faults if what is not None), receipt)
