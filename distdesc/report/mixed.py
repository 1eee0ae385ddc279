"""Whether all rows of a reduced store are of the projection that is in it."""

from __future__ import annotations

from distdesc.errors import StoreError
from distdesc.report.reader import Run
from distdesc.schema import Status
from distdesc.store.fits import read_fitted
from distdesc.store.receipts import done_shards, read_receipts


def check_projection(run: Run, first: int, last: int) -> None:
    """
    Refuse fingerprints that cannot be shown to be of one projection, that of the store.

    Parameters
    ----------
    run : Run
        With fingerprints.
    first, last : int
        Half-open range of their rows.

    Raises
    ------
    StoreError
        If a receipt says another projection, or there are rows whose receipt was withdrawn, as it
        is when the reduction is fitted again and comes out differently; if a receipt, or the record
        of the fit, is damaged.
    """
    fitted = None if run.plan.fit is None else read_fitted(run.path)
    if fitted is None:
        return
    layout = run.plan.layout("fingerprint")
    shards = set(range(first // layout.shard_rows, -(-last // layout.shard_rows)))
    done = shards & done_shards(run.path, layout.stage)
    bad = []
    for receipt in read_receipts(run.path, layout.stage, sorted(done)):
        if isinstance(receipt, StoreError):
            raise receipt
        if receipt is not None and not receipt.suits(fitted.digest):
            bad.append(receipt.shard)
    written = (
        k for k in shards - done if (run.status(layout.stage, *layout.rows(k)) == Status.OK).any()
    )
    bad.extend(written)
    if bad:
        raise StoreError(
            f"{run.path} has fingerprints in {len(bad)} shards (the first is {min(bad)}) that may "
            f"be of another projection than the one in it; run the command that made it again"
        )
