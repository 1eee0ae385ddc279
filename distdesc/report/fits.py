"""Numbers of the fit of a run's reduction, from its receipts and its record."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

from distdesc.report.reader import Run
from distdesc.store.fits import pass_name, read_fitted
from distdesc.store.receipts import Receipt, iter_receipts


@dataclass(frozen=True)
class FitSummary:
    """
    Numbers of a fit.

    Parameters
    ----------
    reduction : str
        Name of the reduction.
    n_features, n_components : int
        Length of a fingerprint, before and after.
    passes : int
        Passes over the sample; 0 if nothing is fitted.
    parts, parts_done : int
        Of all passes together, and with a receipt.
    rows, rows_done : int
        Environments of the sample times passes, and of the parts that are done.
    ok, quarantined : int
        Rows that are done, by outcome.
    fitted : bool
        Whether the projection stands.
    environments : int
        Environments that it was fitted on.
    explained : list of float
        Part of their variance along each component, 0 to 1; empty if nothing is fitted.
    seconds : dict of str to float
        Worker time by activity, in s.
    first, last : float
        Unix time at which the first part was begun and the last was finished; 0 if none.
    projection : str
        Digest of the projection; empty if it does not stand.
    other_shards : int
        Shards with a receipt whose rows another projection reduced: the next run computes them.
    """

    reduction: str
    n_features: int
    n_components: int
    passes: int
    parts: int
    parts_done: int
    rows: int
    rows_done: int
    ok: int
    quarantined: int
    fitted: bool
    environments: int
    explained: list[float]
    seconds: dict[str, float]
    first: float
    last: float
    projection: str = ""
    other_shards: int = 0


def summarise_fit(run: Run) -> tuple[FitSummary | None, dict[int, str]]:
    """
    Numbers of the fit of a run as it stands now.

    Parameters
    ----------
    run : Run
        Finished or not.

    Returns
    -------
    summary : FitSummary or None
        None if the campaign has no reduction.
    quarantined : dict of int to str
        Reasons of the structures that the sample has set aside, by structure.

    Raises
    ------
    StoreError
        If a receipt or the record is damaged.
    """
    layout = run.plan.fit
    if layout is None:
        return None, {}
    receipts: list[Receipt] = []
    for number in range(layout.passes):
        receipts += iter_receipts(run.path, pass_name(number))
    counts: Counter[str] = Counter()
    seconds: Counter[str] = Counter()
    for receipt in receipts:
        counts.update(receipt.counts)
        seconds.update(receipt.seconds)
    fitted = read_fitted(run.path)
    summary = FitSummary(
        reduction=layout.reduction,
        n_features=layout.n_features,
        n_components=layout.n_components,
        passes=layout.passes,
        parts=layout.passes * layout.parts,
        parts_done=len(receipts),
        rows=layout.passes * layout.environments,
        rows_done=counts["ok"] + counts["quarantined"],
        ok=counts["ok"],
        quarantined=counts["quarantined"],
        fitted=fitted is not None,
        environments=0 if fitted is None else fitted.environments,
        explained=[] if fitted is None else list(fitted.explained),
        seconds={k: round(v, 6) for k, v in seconds.items()},
        first=min((r.finished - r.seconds.get("total", 0.0) for r in receipts), default=0.0),
        last=max((r.finished for r in receipts), default=0.0),
        projection="" if fitted is None else fitted.digest,
    )
    return summary, {k: reason for r in receipts for k, reason in r.quarantined}


def reduction_words(fit: FitSummary) -> str:
    """
    What a reduction keeps, or how far its fit is.

    Parameters
    ----------
    fit : FitSummary
        Its numbers.
    """
    what = f"{fit.reduction}: {fit.n_features:,} → {fit.n_components:,} numbers"
    if not fit.fitted:
        done = f"{fit.parts_done:,} of {fit.parts:,} parts of the fit done"
        return f"{what}, {done if fit.parts else 'not drawn yet'}"
    if fit.explained:
        kept = variance_words(sum(fit.explained))
        what = f"{what}, {kept} of the variance of {fit.environments:,} environments"
    if fit.other_shards:
        what = f"{what}; {fit.other_shards:,} shards were reduced by another one: run it again"
    return what


def variance_words(part: float) -> str:
    """
    Part of a variance in per cent, rounded down, with two digits of what is missing.

    Parameters
    ----------
    part : float
        0 to 1.
    """
    missing = 1 - part
    if missing < 1e-9:
        return "all"
    # What a decimal fraction lacks in binary must not cost a digit.
    digits = max(1, 1 - math.floor(math.log10(100 * missing) + 1e-6))
    return f"{math.floor(part * 100 * 10**digits + 1e-6) / 10**digits:.{digits}f} %"
