"""Attempts of one shard have to agree in what they computed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from distdesc.errors import LastingError, RunError

if TYPE_CHECKING:
    from distdesc.store.receipts import Receipt


def check_agreement(
    first: Receipt,
    digests: Mapping[str, str],
    measured: Collection[str],
    host: str,
    projection: str = "",
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
    projection : str
        Digest of the projection that reduced its rows; empty if none did.

    Raises
    ------
    RunError
        If another projection reduced the rows of the other.
    LastingError
        Naming the arrays that differ; the next run would take the shard as done, and say nothing.
    """
    if first.projection and projection and first.projection != projection:
        raise RunError(
            f"{first.stage} shard {first.shard} was reduced by another projection than is in the "
            f"store now; run the same command again, which computes it anew"
        )
    names = [k for k in {**digests, **first.digests} if k not in measured]
    differing = [k for k in names if first.digests.get(k) != digests.get(k)]
    if differing:
        raise LastingError(
            f"two attempts of {first.stage} shard {first.shard} disagree in "
            f"{', '.join(differing)}: the computation is not deterministic on these machines "
            f"({first.where.get('host')} and {host})"
        )
