"""Receipts: a shard is done if and only if its receipt exists."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import xxhash

from distdesc.errors import StoreError
from distdesc.store.objects import publish, sealed, unsealed
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
        Host, process id, versions and peak memory (bytes) of the worker.
    finished : float
        Unix time.
    crashed : list of int
        Structures of `quarantined` that killed the process that computed them.
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

    def to_dict(self) -> dict[str, Any]:
        """JSON-compatible form."""
        return asdict(self)

    @property
    def untouchable(self) -> dict[int, str]:
        """Structures that killed the process that computed them, and how."""
        return {k: reason for k, reason in self.quarantined if k in self.crashed}

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
                "rows": tuple(data["rows"]),
                "quarantined": [(int(k), str(v)) for k, v in data["quarantined"]],
                "objects": {k: (int(n), str(d)) for k, (n, d) in data["objects"].items()},
            }
        )


def receipt_path(path: Path, stage: str, shard: int) -> Path:
    """
    File of a receipt.

    Parameters
    ----------
    path : pathlib.Path
        Folder of the store.
    stage : str
        Name of the stage.
    shard : int
        Number of the shard.
    """
    folder = path / "run" / "receipts" / stage / f"{shard // PER_FOLDER:05d}"
    return folder / f"{stage}-{shard:08d}.json"


def commit(path: Path, receipt: Receipt, measured: Collection[str] = ()) -> bool:
    """
    Publish a receipt; of several attempts of a shard, the first wins.

    Parameters
    ----------
    path : pathlib.Path
        Folder of the store.
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
    StoreError
        If another attempt had published a different result.
    """
    target = receipt_path(path, receipt.stage, receipt.shard)
    if publish(target, sealed(receipt.to_dict())):
        return True
    first = read_receipt(path, receipt.stage, receipt.shard)
    if first is not None:
        check_agreement(first, receipt.digests, measured, str(receipt.where.get("host")))
    return False


def check_agreement(
    first: Receipt, digests: Mapping[str, str], measured: Collection[str], host: str
) -> None:
    """
    Refuse what another attempt of the same shard computed, if it is not the same.

    Parameters
    ----------
    first : Receipt
        Of the attempt that won.
    digests : mapping of str to str
        XXH3-128 of the values of each array of the other.
    measured : collection of str
        Arrays whose values differ from one attempt to the next, such as times.
    host : str
        Where the other was computed.

    Raises
    ------
    StoreError
        Naming the arrays that differ.
    """
    names = [k for k in {**digests, **first.digests} if k not in measured]
    differing = [k for k in names if first.digests.get(k) != digests.get(k)]
    if differing:
        raise StoreError(
            f"two attempts of {first.stage} shard {first.shard} disagree in "
            f"{', '.join(differing)}: the computation is not deterministic on these machines "
            f"({first.where.get('host')} and {host})"
        )


def read_receipt(path: Path, stage: str, shard: int) -> Receipt | None:
    """
    Receipt of a shard, or None if there is none.

    Parameters
    ----------
    path : pathlib.Path
        Folder of the store.
    stage : str
        Name of the stage.
    shard : int
        Number of the shard.

    Raises
    ------
    StoreError
        If it is damaged.
    """
    file = receipt_path(path, stage, shard)
    try:
        return Receipt.from_dict(unsealed(file.read_bytes()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise StoreError(
            f"receipt {file} is damaged: {error}; `distdesc verify --repair` withdraws it, and the "
            f"next run computes its shard"
        ) from error


def revoke(path: Path, stage: str, shard: int) -> None:
    """
    Withdraw a receipt, so that its shard is computed again.

    Parameters
    ----------
    path : pathlib.Path
        Folder of the store.
    stage : str
        Name of the stage.
    shard : int
        Number of the shard.
    """
    receipt_path(path, stage, shard).unlink(missing_ok=True)


def done_shards(path: Path, stage: str) -> set[int]:
    """
    Numbers of the shards that have a receipt; lists folders, reads nothing.

    Parameters
    ----------
    path : pathlib.Path
        Folder of the store.
    stage : str
        Name of the stage.
    """
    root = path / "run" / "receipts" / stage
    return {int(f.stem.rpartition("-")[2]) for f in root.glob("*/*.json")}


def iter_receipts(path: Path, stage: str) -> Iterator[Receipt]:
    """
    Receipts of a stage, by shard.

    Parameters
    ----------
    path : pathlib.Path
        Folder of the store.
    stage : str
        Name of the stage.

    Raises
    ------
    StoreError
        If one is damaged.
    """
    for shard in sorted(done_shards(path, stage)):
        receipt = read_receipt(path, stage, shard)
        if receipt is not None:
            yield receipt


def is_complete(path: Path, plan: WrittenPlan) -> bool:
    """
    Whether every shard of every stage has its receipt.

    Parameters
    ----------
    path : pathlib.Path
        Folder of the store.
    plan : WrittenPlan
        Its plan.
    """
    return all(len(done_shards(path, x.stage)) == x.n_shards for x in plan.layouts)


def content_digest(path: Path, stage: str) -> str:
    """
    Digest of everything a stage wrote, from the digests of its shards.

    Parameters
    ----------
    path : pathlib.Path
        Folder of the store.
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
