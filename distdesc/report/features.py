"""Statistics of the features of a run, in one streaming pass over what is computed."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distdesc.report.blocks import StoredBlocks
from distdesc.report.reader import Run
from distdesc.schema import RowKind, Status


@dataclass(frozen=True)
class FeatureSummary:
    """
    Statistics of the fingerprints of a run, over the rows that are computed.

    Parameters
    ----------
    names : list of str
        Features, or their numbers.
    row_kind : str
        What a row is.
    rows : int
        Rows looked at.
    elements : dict of int to int
        Rows by atomic number of the centre; empty if a row is a structure.
    minimum, mean, maximum, deviation : list of float
        Of each feature; NaN if there are no rows.
    constant : int
        Features that do not vary at all.
    """

    names: list[str]
    row_kind: str
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


class _Moments:
    """Count, range, mean and sum of squared deviations of each feature, merged part by part."""

    def __init__(self, width: int) -> None:
        self.n = np.zeros(width)
        self.low, self.high = np.full(width, np.inf), np.full(width, -np.inf)
        self.mean, self.square = np.zeros(width), np.zeros(width)

    def add(self, columns: slice, values: NDArray[np.float64]) -> None:
        """Take up some values, shape (n, width), of a range of features."""
        here = values.mean(axis=0)
        self.low[columns] = np.minimum(self.low[columns], values.min(axis=0))
        self.high[columns] = np.maximum(self.high[columns], values.max(axis=0))
        self._merge(columns, len(values), here, ((values - here) ** 2).sum(axis=0))

    def add_zeros(self, total: int) -> None:
        """Take up zeros, so that every feature has `total` values."""
        lacking = total - self.n
        self.low[lacking > 0] = np.minimum(self.low[lacking > 0], 0.0)
        self.high[lacking > 0] = np.maximum(self.high[lacking > 0], 0.0)
        self._merge(slice(None), lacking, np.zeros_like(self.mean), np.zeros_like(self.mean))

    def _merge(self, columns: slice, n: Any, mean: NDArray[Any], square: NDArray[Any]) -> None:
        # Chan, Golub & LeVeque (1983): merge of means and squared deviations.
        before, shift = self.n[columns], mean - self.mean[columns]
        total = np.maximum(before + n, 1)
        self.square[columns] += square + shift**2 * before * n / total
        self.mean[columns] += shift * n / total
        self.n[columns] += n


def summarise_features(run: Run, stage: str = "fingerprint") -> FeatureSummary | None:
    """
    Statistics of the fingerprints of a run in one streaming pass, a shard at a time.

    Parameters
    ----------
    run : Run
        Finished or not.
    stage : str
        Stage that wrote the fingerprints.

    Returns
    -------
    FeatureSummary or None
        None if the run has no such stage.
    """
    if stage not in run.stages:
        return None
    layout = run.plan.layout(stage)
    by_atom = layout.row_kind == RowKind.ENVIRONMENT.value
    moments, n = _Moments(_width(run)), 0
    elements = np.zeros(256, dtype=np.int64)
    for first, last in run.done_rows(stage):
        for start in range(first, last, layout.shard_rows):
            stop = min(start + layout.shard_rows, last)
            good = np.flatnonzero(run.status(stage, start, stop) == Status.OK) + start
            if len(good):
                n += len(good)
                _add_rows(run, moments, good)
                if by_atom:
                    elements += np.bincount(run.reader.take("number", good), minlength=256)
    moments.add_zeros(n)
    empty = np.full(len(moments.n), np.nan)
    return FeatureSummary(
        names=_names(run, len(moments.n)),
        row_kind=layout.row_kind,
        rows=n,
        elements={int(z): int(elements[z]) for z in np.flatnonzero(elements)},
        minimum=(moments.low if n else empty).tolist(),
        mean=(moments.mean if n else empty).tolist(),
        maximum=(moments.high if n else empty).tolist(),
        deviation=(np.sqrt(moments.square / n) if n else empty).tolist(),
        constant=int((moments.low == moments.high).sum()) if n else 0,
    )


def _add_rows(run: Run, moments: _Moments, rows: NDArray[np.int64]) -> None:
    if not run.sparse:
        values = run.reader.take("fingerprint", rows)
        moments.add(slice(None), values.astype(np.float64))
        return
    # What is not stored is zero, and is counted at the end.
    found = StoredBlocks.read(run.reader, rows)
    for _, columns, values in found.by_block():
        moments.add(columns, values.astype(np.float64))


def _width(run: Run) -> int:
    if run.sparse:
        return int(run.reader.attributes("blocks")["block_starts"][-1])
    return int(run.array("fingerprint").shape[1])


def _names(run: Run, width: int) -> list[str]:
    """Names of the features; their block and place in it, or their number, if not stored."""
    found = run.reader.attributes("blocks" if run.sparse else "fingerprint")
    if "features" in found:
        return list(found["features"])
    if not run.sparse:
        return [str(k) for k in range(width)]
    starts = found["block_starts"]
    blocks = found.get("block_names") or [str(k) for k in range(len(starts) - 1)]
    lengths = np.diff(starts)
    return [f"{name} {k}" for name, n in zip(blocks, lengths, strict=True) for k in range(n)]
