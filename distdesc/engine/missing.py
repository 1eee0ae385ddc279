"""Which shards are still to be computed: those without a receipt, or whose receipt is not true."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

from distdesc.engine.events import Announced, Listener
from distdesc.engine.ledger import Ledger
from distdesc.engine.plan import StagePlan
from distdesc.engine.share import ALL, Share
from distdesc.errors import StoreError
from distdesc.place import Place
from distdesc.store.audit import listed_sizes, object_fault
from distdesc.store.receipts import Receipt, done_shards, read_receipts, revoke

log = logging.getLogger(__name__)


def missing_shards(
    path: Place,
    digest: str,
    plans: tuple[StagePlan, ...],
    ledger: Ledger,
    tell: Listener,
    share: Share = ALL,
) -> dict[str, list[int]]:
    """
    Shards to compute, by stage; what the others quarantined is counted.

    A receipt that cannot be read, or whose objects are not there or do not have their size, is
    withdrawn, with a word about it: its shard is computed again. What only reading the objects
    would show, `verify` finds.

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
    RunError
        If too much is quarantined.
    """
    missing = {}
    for plan in plans:
        stage = plan.layout.stage
        done = set(share.of(done_shards(path, stage)))
        untrue: dict[int, str] = {}
        for shard, found in _receipts(path, plan, sorted(done)):
            if isinstance(found, str):
                untrue[shard] = found
                continue
            if found.campaign != digest:
                raise StoreError(
                    f"receipt of {stage} shard {shard} is of campaign {found.campaign}, "
                    f"the store of {digest}; `distdesc verify --repair` withdraws it"
                )
            ledger.add(found)
        for shard, fault in untrue.items():
            log.info("%s shard %d: %s", stage, shard, fault)
            revoke(path, stage, shard)
        if untrue:
            first = next(iter(untrue.values()))
            more = f" (and {len(untrue) - 1} more)" if len(untrue) > 1 else ""
            tell(Announced(f"{first}{more}: computing again {len(untrue)} shards of {stage}"))
        done -= untrue.keys()
        ledger.done += len(done)
        missing[stage] = [s for s in share.of(range(plan.layout.n_shards)) if s not in done]
    return missing


def _receipts(
    path: Place, plan: StagePlan, shards: Sequence[int]
) -> Iterator[tuple[int, Receipt | str]]:
    """Receipts of shards, or why they cannot be trusted."""
    sizes = listed_sizes(path, plan.specs, plan.layout.n_shards) if shards else None
    found = read_receipts(path, plan.layout.stage, shards)
    for shard, receipt in zip(shards, found, strict=True):
        if receipt is None:
            yield shard, f"the receipt of shard {shard} is gone"
        elif isinstance(receipt, StoreError):
            yield shard, str(receipt).partition(";")[0]
        else:
            faults = (object_fault(path, spec, receipt, False, sizes) for spec in plan.specs)
            yield shard, next((what for what in faults if what is not None), receipt)
