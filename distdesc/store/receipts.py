"""Receipts: a shard is done if and only if its receipt exists."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import xxhash

from distdesc.errors import StoreError
from distdesc.place import Place
from distdesc.store.agreement import check_agreement
from distdesc.store.containment import inside
from distdesc.store.objects import sealed, unsealed
from distdesc.store.storage import create, delete, files, read_each
from distdesc.store.written import WrittenPlan, read_plan

PER_FOLDER = 1000


@dataclass(frozen=True)
class Receipt:
    """
    What one attempt did, published last, when all its objects are in place.

    Parameters
    ----------
    campaign : str
        Digest of the campaign.
    stage : str
        Name of the stage.
    shard : int
        Number of the shard.
    rows : tuple of int
        Half-open range of rows.
    structures : int
        Structures whose first row (or, without rows, whose place) is in this shard; they add
        up to the number of structures of the campaign.
    counts : dict of str to int
        Rows by outcome: ``ok``, ``failed``, ``quarantined``.
    quarantined : list
        ``[structure, reason]`` of every quarantined structure that touches the shard.
    digests : dict of str to str
        XXH3-128 of the values of each array, independent of codecs.
    objects : dict of str to list
        ``[size, XXH3-128]`` of each stored object, by array; arrays without object are absent.
    seconds : dict of str to float
        Where the time went: ``start``, ``read``, ``neighbours``, ``kernel``, …, ``total``.
    where : dict
        Host, process id, versions of the worker, and its peak memory meanwhile (bytes).
    finished : float
        Unix time.
    crashed : list of int
        Structures of `quarantined` that are not to be touched: they killed the process that
        computed them, or would have needed more memory than it may use.
    projection : str
        Digest of the projection that reduced the rows; empty if none did, or of older stores.
    """

    campaign: str
    stage: str
    shard: int
    rows: tuple[int, int]
    structures: int
    counts: dict[str, int]
    quarantined: list[tuple[int, str]]
    digests: dict[str, str]
    objects: dict[str, tuple[int, str]]
    seconds: dict[str, float] = field(default_factory=dict)
    where: dict[str, Any] = field(default_factory=dict)
    finished: float = 0.0
    crashed: list[int] = field(default_factory=list)
    projection: str = ""

    def to_dict(self) -> dict[str, Any]:
        """JSON-compatible form."""
        return asdict(self)

    @property
    def untouchable(self) -> dict[int, str]:
        """Structures that are not to be touched, and why."""
        return {k: reason for k, reason in self.quarantined if k in self.crashed}

    def suits(self, projection: str) -> bool:
        """
        Whether the rows may stay beside a projection: it reduced them, or they do not say.

        Parameters
        ----------
        projection : str
            Digest of it; empty if there is none.
        """
        return not (projection and self.projection) or self.projection == projection

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Receipt:
        """
        Receipt from its JSON form.

        Parameters
        ----------
        data : dict
            What `to_dict` returned.
        """
        return cls(
            **{
                **data,
                "rows": (int(data["rows"][0]), int(data["rows"][1])),
                "quarantined": [(int(k), str(v)) for k, v in data["quarantined"]],
                "objects": {k: (int(n), str(d)) for k, (n, d) in data["objects"].items()},
            }
        )


def receipt_path(path: Place, stage: str, shard: int) -> Place:
    """
    File of a receipt.

    Parameters
    ----------
    path : Place
        The store.
    stage : str
        Name of the stage.
    shard : int
        Number of the shard.
    """
    folder = path / "run" / "receipts" / stage / f"{shard // PER_FOLDER:05d}"
    return inside(path, folder / f"{stage}-{shard:08d}.json")


def commit(path: Place, receipt: Receipt, measured: Collection[str] = ()) -> bool:
    """
    Publish a receipt; of several attempts of a shard, the first wins.

    Parameters
    ----------
    path : Place
        The store.
    receipt : Receipt
        Of an attempt whose objects are all in place.
    measured : collection of str
        Arrays whose values differ from one attempt to the next, such as times.

    Returns
    -------
    bool
        False if another attempt had published the same result before.

    Raises
    ------
    LastingError
        If another attempt had published a different result.
    """
    target = receipt_path(path, receipt.stage, receipt.shard)
    if create(target, sealed(receipt.to_dict())):
        return True
    first = read_receipt(path, receipt.stage, receipt.shard)
    if first is not None:
        host = str(receipt.where.get("host"))
        check_agreement(first, receipt.digests, measured, host, receipt.projection)
    return False


def read_receipt(path: Place, stage: str, shard: int) -> Receipt | None:
    """
    Receipt of a shard, or None if there is none.

    Parameters
    ----------
    path : Place
        The store.
    stage : str
        Name of the stage.
    shard : int
        Number of the shard.

    Raises
    ------
    StoreError
        If it is damaged.
    """
    found = next(read_receipts(path, stage, [shard]))
    if isinstance(found, StoreError):
        raise found
    return found


def read_receipts(
    path: Place, stage: str, shards: Sequence[int]
) -> Iterator[Receipt | StoreError | None]:
    """
    Receipts of some shards, in their order; what is wrong with one that is damaged.

    Parameters
    ----------
    path : Place
        The store.
    stage : str
        Name of the stage.
    shards : sequence of int
        Numbers of the shards.
    """
    found = read_each(receipt_path(path, stage, shard) for shard in shards)
    for shard, data in zip(shards, found, strict=True):
        yield None if data is None else _receipt(path, stage, shard, data)


def _receipt(path: Place, stage: str, shard: int, data: bytes) -> Receipt | StoreError:
    try:
        found = Receipt.from_dict(unsealed(data))
        if (found.stage, found.shard) == (stage, shard):
            return found
        raise ValueError(f"it is of {found.stage!r} shard {found.shard!r}")
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        return StoreError(
            f"receipt {receipt_path(path, stage, shard)} is damaged: {error}; "
            f"`distdesc verify --repair` withdraws it, and the next run computes its shard"
        )


def revoke(path: Place, stage: str, shard: int) -> None:
    """
    Withdraw a receipt, so that its shard is computed again.

    Parameters
    ----------
    path : Place
        The store.
    stage : str
        Name of the stage.
    shard : int
        Number of the shard.
    """
    delete(receipt_path(path, stage, shard))


def done_shards(path: Place, stage: str) -> set[int]:
    """
    Numbers of the shards that have a receipt; lists folders, reads nothing.

    Parameters
    ----------
    path : Place
        The store.
    stage : str
        Name of the stage.
    """
    root = path / "run" / "receipts" / stage
    names = (name.removesuffix(".json") for name in files(root) if name.endswith(".json"))
    numbers = (name.rpartition("-")[2] for name in names)
    return {int(number) for number in numbers if number.isdecimal()}


def iter_receipts(path: Place, stage: str) -> Iterator[Receipt]:
    """
    Receipts of a stage, by shard.

    Parameters
    ----------
    path : Place
        The store.
    stage : str
        Name of the stage.

    Raises
    ------
    StoreError
        If one is damaged.
    """
    for found in read_receipts(path, stage, sorted(done_shards(path, stage))):
        if isinstance(found, StoreError):
            raise found
        if found is not None:
            yield found


def is_complete(path: Place, plan: WrittenPlan) -> bool:
    """
    Whether every shard of every stage has its receipt.

    Parameters
    ----------
    path : Place
        The store.
    plan : WrittenPlan
        Its plan.
    """
    # Of files whose number no shard has, none stands for one that is missing.
    return all(
        sum(shard < x.n_shards for shard in done_shards(path, x.stage)) == x.n_shards
        for x in plan.layouts
    )


def content_digest(path: Place, stage: str) -> str:
    """
    Digest of everything a stage wrote, from the digests of its shards.

    Parameters
    ----------
    path : Place
        The store.
    stage : str
        Name of the stage.

    Raises
    ------
    StoreError
        If a shard is missing, or the store has no such stage.
    """
    layout = read_plan(path).layout(stage)
    missing = sorted(set(range(layout.n_shards)) - done_shards(path, stage))
    if missing:
        raise StoreError(
            f"{path} is not finished: {len(missing)} of {layout.n_shards} shards of {stage} are "
            f"missing (the first is {missing[0]}); run the command that made it again"
        )
    state = xxhash.xxh3_128()
    for receipt in iter_receipts(path, stage):
        for name in sorted(receipt.digests):
            state.update(f"{receipt.shard}:{name}:{receipt.digests[name]};".encode())
    return state.hexdigest()
