"""What a scan of truncations found: quantiles by configuration, and which value is enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from distdesc.report.reader import Run
from distdesc.report.singular_rows import all_rows

STAGE = "sensitivity"

QUANTILES = {"smallest": 0.0, "q01": 0.01, "q10": 0.1, "median": 0.5}
"""Of the least seen motion to the most seen, over environments."""

DECIDES = "q01"
"""Quantile that decides what is enough; the smallest is one environment's."""

WITHIN = 2.0
"""A value is enough if that quantile is at least the largest value's, divided by this."""

GRID = "combination"
"""Key of the verdict on all combinations of a grid."""


@dataclass(frozen=True)
class Line:
    """
    One descriptor of a scan.

    Parameters
    ----------
    label : str
        What is different from the descriptor that the scan starts from; ``"as given"`` for it.
    changes : dict
        The same as keys and values.
    n_features : int
        Length of a fingerprint.
    quantiles : dict of str to float or None
        See `QUANTILES`; None if no environment has motions to see.
    rows_with_extra_nulls : int
        Environments with nulls that no symmetry demands.
    """

    label: str
    changes: dict[str, Any]
    n_features: int
    quantiles: dict[str, float | None]
    rows_with_extra_nulls: int


@dataclass(frozen=True)
class Verdict:
    """
    What the scan says of one key.

    Parameters
    ----------
    key : str
        Of the descriptor; ``"combination"`` for those of a grid.
    ordered : bool
        Whether larger values only add features: those that are whole numbers. Others are
        compared with the best of them.
    values : list
        That it takes, in this order, that of the given descriptor among them.
    lines : list of int
        Place of the configuration of each value.
    enough : object
        The smallest value that is enough; of others, the value that sees most. None if none is.
    words : str
        The same as a sentence.
    """

    key: str
    ordered: bool
    values: list[Any]
    lines: list[int]
    enough: Any
    words: str


@dataclass(frozen=True)
class SensitivitySummary:
    """
    What a scan found so far.

    Parameters
    ----------
    rows : int
        Environments that were looked at.
    configurations : list of Line
        One a descriptor.
    verdicts : list of Verdict
        One a key, or one for the grid.
    """

    rows: int
    configurations: list[Line]
    verdicts: list[Verdict]

    def to_dict(self) -> dict[str, Any]:
        """JSON-compatible form."""
        return asdict(self)


def summarise_sensitivity(run: Run) -> SensitivitySummary | None:
    """
    Quantiles by configuration of a scan, and which value of each key is enough.

    Parameters
    ----------
    run : Run
        Finished or not.

    Returns
    -------
    SensitivitySummary or None
        None if nothing was scanned.
    """
    if STAGE not in run.stages:
        return None
    rows = all_rows(run, STAGE, (STAGE, "extra_nulls"))
    rows = rows.take(rows["extra_nulls"][:, 0] >= 0)  # the others were not chosen
    scan = run.reader.attributes(STAGE)["configurations"]
    lines = []
    for k, one in enumerate(scan):
        values = rows[STAGE][:, k]
        values = values[np.isfinite(values)]
        found = np.quantile(values, list(QUANTILES.values())) if len(values) else None
        lines.append(Line(
            one["label"], one["changes"], one["n_features"],
            {q: None if found is None else float(v)
             for q, v in zip(QUANTILES, (None,) * 4 if found is None else found, strict=True)},
            int(np.sum(rows["extra_nulls"][:, k] > 0)),
        ))  # fmt: skip
    return SensitivitySummary(len(rows), lines, _verdicts(lines, run.plan.campaign["descriptor"]))


def _verdicts(lines: list[Line], given: dict[str, Any]) -> list[Verdict]:
    """Of each key that was varied alone; of a grid, of the combinations."""
    if any(len(line.changes) > 1 for line in lines):
        order = sorted(range(len(lines)), key=lambda k: lines[k].n_features)
        return [_verdict(GRID, [lines[k].label for k in order], order, lines, ordered=True)]
    found = []
    for key in dict.fromkeys(key for line in lines for key in line.changes):
        own = given["name"] if key == "descriptor" else given.get(key)
        places = {k: line.changes.get(key, own) for k, line in enumerate(lines)
                  if key in line.changes or not line.changes}  # fmt: skip
        numbers = all(isinstance(v, int | float) for v in places.values())
        chosen = sorted(places, key=lambda k: float(places[k] or 0)) if numbers else list(places)
        whole = all(type(v) is int for v in places.values())
        found.append(_verdict(key, [places[k] for k in chosen], chosen, lines, whole))
    return found


def _verdict(
    key: str, values: Sequence[Any], chosen: list[int], lines: list[Line], ordered: bool
) -> Verdict:
    """Smallest value that is enough, or the one that sees most where there is no smallest."""
    low = [lines[k].quantiles[DECIDES] or 0.0 for k in chosen]
    clean = [not lines[k].rows_with_extra_nulls for k in chosen]
    if ordered:
        good = [c and q > 0 and q >= low[-1] / WITHIN for c, q in zip(clean, low, strict=True)]
    else:
        best = max((q for c, q in zip(clean, low, strict=True) if c), default=0.0)
        good = [c and q > 0 and q == best for c, q in zip(clean, low, strict=True)]
    enough = next((v for v, g in zip(values, good, strict=True) if g), None)
    if all(lines[k].quantiles[DECIDES] is None for k in chosen):
        words = "nothing can be said: no environment has motions to see"
    else:
        words = _words(key, enough, values, ordered)
    return Verdict(key, ordered, list(values), chosen, enough, words)


def _words(key: str, enough: Any, values: Sequence[Any], ordered: bool) -> str:
    if enough is None:
        return "none is enough: each leaves environments with nulls that no symmetry demands"
    if not ordered:
        return f"{_value(enough)} sees most"
    if enough == values[-1]:
        return f"{enough}, the largest tried, may be enough; larger ones would tell"
    if key == GRID:
        return f"{enough} is enough, of all combinations with the fewest features"
    return f"enough from {enough}"


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(str(v) if k == "name" else f"{k} {v}" for k, v in value.items())
    return str(value)
