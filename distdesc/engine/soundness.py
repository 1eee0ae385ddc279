"""Whether shards are as their receipts say: objects as stored, then values as decoded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from distdesc.engine.missing import OTHER_PROJECTION
from distdesc.engine.plan import StagePlan
from distdesc.errors import StoreError
from distdesc.place import Place
from distdesc.schema import ArraySpec
from distdesc.store.audit import Sizes, content_fault, listed_sizes, object_fault
from distdesc.store.held import HeldObjects, held_together
from distdesc.store.receipts import Receipt, read_receipts
from distdesc.store.rows import RowReader, digest_rows, object_key


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


def sound_receipts(
    path: Place, stage: str, shards: Sequence[int], digest: str, projection: str = ""
) -> Iterator[Receipt | Fault]:
    """
    Receipts of shards that have one, in their order, or what is wrong with them.

    Parameters
    ----------
    path : Place
        The store.
    stage : str
        Name of the stage.
    shards : sequence of int
        Numbers of the shards.
    digest : str
        Of the campaign.
    projection : str
        Digest of the projection in the store; empty if there is none.
    """
    for shard, found in zip(shards, read_receipts(path, stage, shards), strict=True):
        if isinstance(found, StoreError):
            yield Fault(stage, shard, "", str(found))
        elif found is None:
            continue  # withdrawn since it was listed
        elif found.campaign != digest:
            yield Fault(stage, shard, "", f"receipt is of campaign {found.campaign}")
        elif not found.suits(projection):
            yield Fault(stage, shard, "", f"rows {OTHER_PROJECTION}")
        else:
            yield found


def shard_faults(
    path: Place, plan: StagePlan, receipts: Iterable[Receipt]
) -> Iterator[tuple[Receipt, list[Fault]]]:
    """
    Check objects and values of shards against their receipts; each object is read once.

    Parameters
    ----------
    path : Place
        The store.
    plan : StagePlan
        Of the stage.
    receipts : iterable of Receipt
        Of the shards.

    Yields
    ------
    receipt : Receipt
        Of a shard.
    faults : list of Fault
        What is wrong with it.
    """
    sizes = listed_sizes(path, plan.specs, plan.layout.n_shards)
    held = HeldObjects(path)
    for some in held_together(path, receipts):
        ill = {r.shard: _ill_sized(path, plan, r, sizes) for r in some}
        held.hold(
            [
                object_key(spec, r.shard)
                for r in some
                for spec in plan.specs
                if spec.name in r.objects and spec.name not in ill[r.shard]
            ]
        )
        # Opened anew, so that nothing is answered from a cache.
        reader = RowReader(path, held)
        for receipt in some:
            yield receipt, _faults(path, plan, receipt, ill[receipt.shard], held, reader)


def _ill_sized(
    path: Place, plan: StagePlan, receipt: Receipt, sizes: Sizes | None
) -> dict[str, str]:
    """What is wrong with objects that are missing or have another size, by array."""
    found = {spec.name: object_fault(path, spec, receipt, sizes) for spec in plan.specs}
    return {name: what for name, what in found.items() if what is not None}


def _faults(
    path: Place,
    plan: StagePlan,
    receipt: Receipt,
    ill: dict[str, str],
    held: HeldObjects,
    reader: RowReader,
) -> list[Fault]:
    faults = []
    for spec in plan.specs:
        what = ill.get(spec.name)
        if what is None and spec.name in receipt.objects:
            content = held.content(object_key(spec, receipt.shard))
            what = content_fault(path, spec, receipt, content)
        if what is None:
            what = _value_fault(reader, plan, spec, receipt)
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
