"""Numbers of a run, from its plan and receipts: what is done, how fast, what was set aside."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from distdesc.report.fits import FitSummary, summarise_fit
from distdesc.report.reader import Run
from distdesc.schema import RowKind
from distdesc.store.receipts import Receipt, iter_receipts


@dataclass(frozen=True)
class StageSummary:
    """
    Numbers of one stage.

    Parameters
    ----------
    stage : str
        Its name.
    row_kind : str
        What a row is.
    shards, shards_done : int
        Of the plan, and with a receipt.
    rows, rows_done : int
        Of the plan, and of the shards that are done.
    ok, failed, quarantined : int
        Rows that are done, by outcome.
    structures_done : int
        Structures that begin in the shards that are done.
    seconds : dict of str to float
        Worker time by activity, all shards, in s.
    workers : int
        Processes that did the shards.
    first, last : float
        Unix time at which the first shard was begun and the last was finished; 0 if none.
    peak_rss : int
        Largest memory of a worker, in bytes.
    """

    stage: str
    row_kind: str
    shards: int
    shards_done: int
    rows: int
    rows_done: int
    ok: int
    failed: int
    quarantined: int
    structures_done: int
    seconds: dict[str, float]
    workers: int
    first: float
    last: float
    peak_rss: int


@dataclass(frozen=True)
class Summary:
    """
    Numbers of a run.

    Parameters
    ----------
    path : str
        Folder of the store.
    digest : str
        Of the campaign.
    question : str
        The campaign's question.
    complete : bool
        Whether every shard has its receipt.
    structures : int
        Of the source.
    environments : int
        Atoms of the source.
    stages : tuple of StageSummary
        One a stage.
    quarantined : dict of int to str
        Reasons, by structure.
    bytes : int
        Size of all objects with a receipt, in bytes.
    fit : FitSummary, optional
        Of the reduction, if the campaign has one.
    """

    path: str
    digest: str
    question: str
    complete: bool
    structures: int
    environments: int
    stages: tuple[StageSummary, ...]
    quarantined: dict[int, str]
    bytes: int
    fit: FitSummary | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON-compatible form."""
        return {
            **asdict(self),
            "quarantined": [
                {"structure": k, "reason": v} for k, v in sorted(self.quarantined.items())
            ],
        }

    def reasons(self) -> Counter[str]:
        """How many structures were set aside for each kind of reason, most frequent first."""
        kinds = (reason.split(":")[0].split(" (")[0] for reason in self.quarantined.values())
        return Counter(kinds)


def summarise(run: Run) -> Summary:
    """
    Numbers of a run as it stands now.

    Parameters
    ----------
    run : Run
        Finished or not.

    Raises
    ------
    StoreError
        If a receipt is damaged.
    """
    fit, quarantined = summarise_fit(run)
    stages, size = [], 0
    for layout in run.plan.layouts:
        receipts = list(iter_receipts(run.path, layout.stage))
        for receipt in receipts:
            quarantined.update(receipt.quarantined)
            size += sum(n for n, _ in receipt.objects.values())
        stages.append(_stage(layout.stage, run, receipts))
    return Summary(
        path=str(run.path),
        digest=run.plan.digest,
        question=run.plan.campaign.get("question", ""),
        complete=all(s.shards_done == s.shards for s in stages),
        structures=run.n_structures,
        environments=run.n_environments,
        stages=tuple(stages),
        quarantined=quarantined,
        bytes=size,
        fit=fit,
    )


def _stage(name: str, run: Run, receipts: list[Receipt]) -> StageSummary:
    layout = run.plan.layout(name)
    counts: Counter[str] = Counter()
    seconds: Counter[str] = Counter()
    for receipt in receipts:
        counts.update(receipt.counts)
        seconds.update(receipt.seconds)
    workers = {(r.where.get("host"), r.where.get("pid")) for r in receipts}
    begun = [r.finished - r.seconds.get("total", 0.0) for r in receipts]
    return StageSummary(
        stage=name,
        row_kind=layout.row_kind,
        shards=layout.n_shards,
        shards_done=len(receipts),
        rows=layout.n_rows,
        rows_done=sum(r.rows[1] - r.rows[0] for r in receipts),
        ok=counts["ok"],
        failed=counts["failed"],
        quarantined=counts["quarantined"],
        structures_done=sum(r.structures for r in receipts),
        seconds={k: round(v, 6) for k, v in seconds.items()},
        workers=len(workers),
        first=min(begun, default=0.0),
        last=max((r.finished for r in receipts), default=0.0),
        peak_rss=max((r.where.get("peak_rss", 0) for r in receipts), default=0),
    )


@dataclass(frozen=True)
class FeatureSummary:
    """
    Statistics of the fingerprints of a run, over the rows that are computed.

    Parameters
    ----------
    names : list of str
        Features, or their numbers.
    rows : int
        Rows looked at.
    elements : dict of int to int
        Rows by atomic number of the centre.
    minimum, mean, maximum, deviation : list of float
        Of each feature; NaN if there are no rows.
    constant : int
        Features that do not vary at all.
    """

    names: list[str]
    rows: int
    elements: dict[int, int]
    minimum: list[float]
    mean: list[float]
    maximum: list[float]
    deviation: list[float]
    constant: int

    def to_dict(self) -> dict[str, Any]:
        """JSON-compatible form; NaN becomes None."""
        data = asdict(self)
        for key in ("minimum", "mean", "maximum", "deviation"):
            data[key] = [v if np.isfinite(v) else None for v in data[key]]
        return data


def summarise_features(run: Run, stage: str = "fingerprint") -> FeatureSummary | None:
    """
    Statistics of the fingerprints of a run in one streaming pass, a shard at a time.

    Parameters
    ----------
    run : Run
        Finished or not.
    stage : str
        Stage that wrote ``fingerprint`` and ``number``.

    Returns
    -------
    FeatureSummary or None
        None if the run has no such stage.
    """
    if stage not in run.stages or run.plan.layout(stage).row_kind != RowKind.ENVIRONMENT.value:
        return None
    array = run.array("fingerprint")
    width = int(array.shape[1])
    low, high = np.full(width, np.inf), np.full(width, -np.inf)
    mean, square, n = np.zeros(width), np.zeros(width), 0
    elements = np.zeros(256, dtype=np.int64)
    step = run.plan.layout(stage).shard_rows
    for first, last in run.done_rows(stage):
        for start in range(first, last, step):
            stop = min(start + step, last)
            ok = run.status(stage, start, stop) == 0
            rows = run.reader.read("fingerprint", start, stop)[ok].astype(np.float64)
            if not len(rows):
                continue
            elements += np.bincount(run.reader.read("number", start, stop)[ok], minlength=256)
            low, high = np.minimum(low, rows.min(axis=0)), np.maximum(high, rows.max(axis=0))
            # Chan, Golub & LeVeque (1983): merge of means and squared deviations.
            here = rows.mean(axis=0)
            shift = here - mean
            square += ((rows - here) ** 2).sum(axis=0) + shift**2 * n * len(rows) / (n + len(rows))
            mean += shift * len(rows) / (n + len(rows))
            n += len(rows)
    empty = np.full(width, np.nan)
    names = run.reader.attributes("fingerprint").get("features") or [str(k) for k in range(width)]
    return FeatureSummary(
        names=list(names),
        rows=n,
        elements={int(z): int(elements[z]) for z in np.flatnonzero(elements)},
        minimum=(low if n else empty).tolist(),
        mean=(mean if n else empty).tolist(),
        maximum=(high if n else empty).tolist(),
        deviation=(np.sqrt(square / n) if n else empty).tolist(),
        constant=int((low == high).sum()) if n else 0,
    )


def disk_size(path: Path) -> int:
    """
    Bytes that a store takes on disk, with plan, index and receipts.

    Parameters
    ----------
    path : pathlib.Path
        Folder of the store.
    """
    return sum(f.stat().st_size for f in path.rglob("*") if f.is_file())
