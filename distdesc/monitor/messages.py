"""What workers and clients tell the scheduler's page: small messages, of plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from distdesc.monitor.tally import Tally
from distdesc.store.receipts import Receipt

TOPIC = "distdesc"
"""Of Dask's events."""

REASONS = 20
"""Structures of a shard whose reasons are told; of the others, the numbers."""

LONGEST = 300
"""Characters of a reason."""


def done_message(receipt: Receipt) -> dict[str, Any]:
    """
    Message that a shard is done.

    Parameters
    ----------
    receipt : Receipt
        Of the shard; what nobody looks at is left out.
    """
    where = {k: v for k, v in receipt.where.items() if k in ("host", "pid", "peak_rss")}
    aside = [
        (k, reason[:LONGEST] if n < REASONS else "")
        for n, (k, reason) in enumerate(receipt.quarantined)
    ]
    small = replace(receipt, digests={}, objects={}, where=where, quarantined=aside)
    return {"kind": "done", "campaign": receipt.campaign, "receipt": small.to_dict()}


def problem_message(
    kind: str, campaign: str, stage: str, shard: int, reason: str
) -> dict[str, Any]:
    """
    Message that something went wrong.

    Parameters
    ----------
    kind : str
        ``"tried again"``, ``"isolated"`` or ``"failed"``, see `Problem`.
    campaign : str
        Its digest.
    stage : str
        Name of the stage.
    shard : int
        Number of the shard.
    reason : str
        What was wrong.
    """
    return {
        "kind": kind,
        "campaign": campaign,
        "stage": stage,
        "shard": shard,
        "reason": reason[:LONGEST],
    }


def over_message(campaign: str) -> dict[str, Any]:
    """
    Message that a run ends.

    Parameters
    ----------
    campaign : str
        Its digest.
    """
    return {"kind": "over", "campaign": campaign}


def apply(tally: Tally, message: Mapping[str, Any], now: float) -> None:
    """
    Enter a message in a tally.

    Parameters
    ----------
    tally : Tally
        Of the campaign that the message names.
    message : mapping
        What one of the functions above returned.
    now : float
        Unix time at which it came.
    """
    kind = message["kind"]
    if kind == "done":
        tally.add(Receipt.from_dict(message["receipt"]), now)
    elif kind == "over":
        tally.end(now)
    elif kind == "failed":
        tally.fail(message["stage"], message["shard"], message["reason"], now)
    else:
        tally.note(kind, message["stage"], message["shard"], message["reason"], now)
