"""Figure of a run that looks for singular points: what is seen least, how near they are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from distdesc.errors import StoreError
from distdesc.report.figure_canvas import GRID_COLOUR, canvas
from distdesc.report.reader import Run
from distdesc.report.singular_rows import NOT_TOLD, Rows, all_rows, kind_names, stage_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = {
    "regular": "#9ecae1",
    "symmetry": "#1b6ca8",
    "cutoff": "#c9c9c9",
    NOT_TOLD: "#e3c46b",
    "unresolved": "#7f7f7f",
    "truncation": "#f2a541",
    "incompleteness": "#c0392b",
    "higher incompleteness": "#7d3c98",
}
"""Of each kind; the order in which they are drawn on top of each other."""

NAMES = ("s_max", "s_min_symmetric", "ratio", "kind", "d_est", "distance")
"""Columns that are drawn."""

ZERO = 1e-12
"""Ratios below this are drawn here."""

NEAR = 1e-6
"""Distances in Å below this are drawn here: the point itself."""

DISTANCE = "distance of the singular point (Å)"

MOST_POINTS = 20_000
"""Rows that are drawn as points; of more, a random choice."""


def write_singular_figure(run: Run, output: Path) -> None:
    """
    Draw what is seen least, the distances of singular points, and one against the other.

    Parameters
    ----------
    run : Run
        With the stage ``singular`` or ``search``.
    output : pathlib.Path
        Image to write; the suffix decides the format.

    Raises
    ------
    CampaignError
        If the suffix is of no format that can be written.
    StoreError
        If matplotlib is not installed, or the run has nothing to draw.
    """
    stage = stage_of(run)
    rows = all_rows(run, stage, NAMES) if stage is not None else None
    if stage is None or rows is None or not np.isfinite(rows.seen_least).any():
        what = "row" if stage is None else _row(stage, run)
        raise StoreError(f"there is nothing to draw: no {what} shows a motion")
    near = bool(np.isfinite(rows.distances).any())
    figure = canvas(output, 13 if near else 6.5, 4.6)
    panels: Any = figure.subplots(1, 3 if near else 1, width_ratios=(5, 4, 5) if near else None)
    first, *others = np.atleast_1d(panels)
    names = [n for n in COLOURS if n in (*kind_names(run), NOT_TOLD) and np.any(rows.kinds == n)]
    _draw_ratios(first, rows, names)
    if others:
        _draw_distances(others[0], rows, names)
        _draw_map(others[1], rows, names)
    handles, labels = first.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower left", ncols=4, frameon=False)
    figure.suptitle(_headline(rows, names))
    figure.savefig(output, dpi=150)


def _headline(rows: Rows, names: list[str]) -> str:
    counts = {name: int(np.sum(rows.kinds == name)) for name in names}
    if rows.stage == "search":
        led = ", ".join(f"{n:,} {name}" for name, n in counts.items())
        return f"{len(rows):,} starts, by the kind of the singular point that they led to: {led}"
    others = [f"{n:,} {name}" for name, n in counts.items() if name not in ("regular", "symmetry")]
    what = ", ".join(others) or "nothing is hidden but by symmetry"
    return f"{len(rows):,} {_rows(rows)}: {what}"


def _rows(rows: Rows) -> str:
    return f"{_row(rows.stage, rows.run)}s"


def _row(stage: str, run: Run) -> str:
    return "start" if stage == "search" else run.plan.layout(stage).row_kind


def _stacked(
    axes: Axes, values: NDArray[np.float64], rows: Rows, names: list[str], edges: NDArray[Any]
) -> None:
    """Histogram of the finite values, stacked by kind, with the number of each in the legend."""
    parts = [values[(rows.kinds == name) & np.isfinite(values)] for name in names]
    labels = [f"{name} ({int(np.sum(rows.kinds == name)):,})" for name in names]
    axes.hist(
        parts, bins=edges.tolist(), stacked=True, color=[COLOURS[n] for n in names], label=labels,
        log=sum(map(len, parts)) > 500,
    )  # fmt: skip
    if axes.get_yscale() == "linear":
        axes.yaxis.get_major_locator().set_params(integer=True)  # type: ignore[call-arg]
    axes.set_axisbelow(True)
    axes.grid(axis="y", color=GRID_COLOUR)


def _draw_ratios(axes: Axes, rows: Rows, names: list[str]) -> None:
    """Histogram of the least seen motion to the most seen."""
    exponents = np.log10(np.maximum(rows.seen_least, ZERO))
    low = np.floor(np.nanmin(exponents))
    _stacked(axes, exponents, rows, names, np.arange(low, 0.26, 0.25))
    _decades(axes, "x", low, 0, zero=np.log10(ZERO))
    _title(axes, "what is seen least", _least(rows), _rows(rows))


def _draw_distances(axes: Axes, rows: Rows, names: list[str]) -> None:
    """Histogram of the distances of singular points."""
    exponents = np.log10(np.maximum(rows.distances, NEAR))
    low = min(np.floor(np.nanmin(exponents)), -2)
    _stacked(axes, exponents, rows, names, np.arange(low, np.nanmax(exponents) + 0.26, 0.25))
    _decades(axes, "x", low, int(np.ceil(np.nanmax(exponents))), zero=np.log10(NEAR))
    n = int(np.isfinite(rows.distances).sum())
    _title(axes, f"how near a singular point is ({n:,} looked for)", DISTANCE, _rows(rows))


def _draw_map(axes: Axes, rows: Rows, names: list[str]) -> None:
    """One against the other: a blind spot is at the lower left."""
    seen, far = rows.seen_least, rows.distances
    chosen = np.flatnonzero(np.isfinite(seen) & np.isfinite(far))
    if len(chosen) > MOST_POINTS:
        chosen = np.random.default_rng(0).choice(chosen, MOST_POINTS, replace=False)
    x, y = np.log10(np.maximum(far, NEAR)), np.log10(np.maximum(seen, ZERO))
    size = 40 if len(chosen) < 200 else 10
    for name in names:
        own = chosen[rows.kinds[chosen] == name]
        axes.scatter(x[own], y[own], s=size, color=COLOURS[name], alpha=0.8, linewidths=0)
    _decades(axes, "x", np.floor(x[chosen].min()), np.ceil(x[chosen].max()), np.log10(NEAR))
    _decades(axes, "y", np.floor(y[chosen].min()), np.ceil(y[chosen].max()), np.log10(ZERO))
    axes.grid(color=GRID_COLOUR)
    axes.set_axisbelow(True)
    _title(axes, "blind spots: lower left", DISTANCE, _least(rows))


def _least(rows: Rows) -> str:
    return "least seen motion, of the start" if rows.stage == "search" else (
        "least seen motion / most seen"
    )  # fmt: skip


def _title(axes: Axes, title: str, x: str, y: str) -> None:
    axes.set(title=title, xlabel=x, ylabel=y)


def _decades(axes: Axes, which: str, low: float, high: float, zero: float) -> None:
    """Ticks at powers of ten, at most eight; what is drawn at the lowest there is, is zero."""
    step = max(1, -(-int(high - low) // 7))
    ticks = np.arange(int(low), int(high) + 1, step)
    labels = ["0" if t <= zero else f"$10^{{{t}}}$" for t in ticks]
    getattr(axes, f"set_{which}ticks")(ticks.tolist(), labels)
