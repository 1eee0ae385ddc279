"""Numbers of a run, from its plan and receipts: what is done, how fast, what was set aside."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from math import inf
from typing import Any

from distdesc.errors import SourceError
from distdesc.report.fits import FitSummary, summarise_fit
from distdesc.report.reader import Run
from distdesc.store.layout import StageLayout
from distdesc.store.receipts import Receipt, iter_receipts
from distdesc.structures.index import INDEX, SourceIndex
from distdesc.structures.places import FileCounts, Places

_PLACE = re.compile(r"^/.*?(?: line \d+| id \d+| frame \d+)?: ")
"""How reasons begin that name a file, and where in it."""

_NUMBER = re.compile(r"\b\d[\d.,]*\b")


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
        Whether every shard has its receipt, and all are of one projection.
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
    files : FileCounts, optional
        Files of the source, if it consists of files.
    places : dict of int to tuple of str and int
        File of each structure that was set aside, and its position there, if there are files.
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
    files: FileCounts | None = None
    places: dict[int, tuple[str, int]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """JSON-compatible form."""
        data = asdict(self)
        del data["places"]
        nowhere = (None, None)
        data["quarantined"] = [
            {"structure": k, "reason": why, "file": file, "position": position}
            for k, why in sorted(self.quarantined.items())
            for file, position in (self.places.get(k, nowhere),)
        ]
        return data

    def reasons(self) -> Counter[str]:
        """How many structures were set aside for each kind of reason, most frequent first."""
        return Counter(_kind(reason) for reason in self.quarantined.values())


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
    projection = "" if fit is None else fit.projection
    stages, size, others = [], 0, 0
    for layout in run.plan.layouts:
        sums = _Sums()
        for receipt in iter_receipts(run.path, layout.stage):
            sums.add(receipt)
            quarantined.update(receipt.quarantined)
            size += sum(n for n, _ in receipt.objects.values())
            others += not receipt.suits(projection)
        stages.append(_stage(layout, sums))
    places = _places(run)
    return Summary(
        path=str(run.path),
        digest=run.plan.digest,
        question=run.plan.campaign.get("question", ""),
        complete=all(s.shards_done == s.shards for s in stages) and not others,
        structures=run.n_structures,
        environments=run.n_environments,
        stages=tuple(stages),
        quarantined=quarantined,
        bytes=size,
        fit=None if fit is None else replace(fit, other_shards=others),
        files=None if places is None else places.count(quarantined),
        places={} if places is None else {k: places.find(k) for k in quarantined},
    )


def _places(run: Run) -> Places | None:
    try:
        return Places.of(SourceIndex.load(run.path / INDEX))
    except SourceError:
        # Lost, or being made again: numbers of structures have to do.
        return None


def _kind(reason: str) -> str:
    """Reason without the file that it names, and without what differs from one to the next."""
    text = re.split(r": |:$|;| \(", _PLACE.sub("", reason))[0]
    return _NUMBER.sub("…", text)


@dataclass
class _Sums:
    """Of receipts that are seen one after the other, since there may be a million."""

    shards: int = 0
    rows: int = 0
    structures: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    seconds: Counter[str] = field(default_factory=Counter)
    workers: set[tuple[Any, Any]] = field(default_factory=set)
    first: float = inf
    last: float = 0.0
    peak_rss: int = 0

    def add(self, receipt: Receipt) -> None:
        self.shards += 1
        self.rows += receipt.rows[1] - receipt.rows[0]
        self.structures += receipt.structures
        self.counts.update(receipt.counts)
        self.seconds.update(receipt.seconds)
        self.workers.add((receipt.where.get("host"), receipt.where.get("pid")))
        self.first = min(self.first, receipt.finished - receipt.seconds.get("total", 0.0))
        self.last = max(self.last, receipt.finished)
        self.peak_rss = max(self.peak_rss, receipt.where.get("peak_rss", 0))


def _stage(layout: StageLayout, sums: _Sums) -> StageSummary:
    return StageSummary(
        stage=layout.stage,
        row_kind=layout.row_kind,
        shards=layout.n_shards,
        shards_done=sums.shards,
        rows=layout.n_rows,
        rows_done=sums.rows,
        ok=sums.counts["ok"],
        failed=sums.counts["failed"],
        quarantined=sums.counts["quarantined"],
        structures_done=sums.structures,
        seconds={k: round(v, 6) for k, v in sums.seconds.items()},
        workers=len(sums.workers),
        first=sums.first if sums.shards else 0.0,
        last=sums.last,
        peak_rss=sums.peak_rss,
    )
