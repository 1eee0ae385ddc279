"""Figure of a run that looks for singular points: what is seen least, how near they are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

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
"""Of each kind; strips are in this order from below, and points on top of each other."""

NAMES = ("s_max", "s_min_symmetric", "ratio", "kind", "d_est", "distance")
"""Columns that are drawn."""

EXPECTED = ("regular", "symmetry", "cutoff")
"""Kinds that the headline leaves out."""

PALE, DARK = ("regular", "cutoff", NOT_TOLD), "#444444"
"""Kinds in whose colours words cannot be read, and what those are written in."""

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
    names = [n for n in COLOURS if n in (*kind_names(run), NOT_TOLD) and np.any(rows.kinds == n)]
    near = bool(np.isfinite(rows.distances).any())
    figure = canvas(output, 15 if near else 8, max(4.8, 1.6 + 0.8 * len(names)))
    widths = (5, 4, 5) if near else (1,)
    grid = figure.add_gridspec(len(names), len(widths), width_ratios=widths)
    _draw_ratios([figure.add_subplot(grid[k, 0]) for k in range(len(names))], rows, names)
    if near:
        _draw_distances([figure.add_subplot(grid[k, 1]) for k in range(len(names))], rows, names)
        _draw_map(figure.add_subplot(grid[:, 2]), rows, names)
    figure.align_ylabels(figure.axes[: len(names)])
    figure.suptitle(_headline(rows, names))
    figure.savefig(output, dpi=150)


def _headline(rows: Rows, names: list[str]) -> str:
    counts = {name: int(np.sum(rows.kinds == name)) for name in names}
    if rows.stage == "search":
        return f"{len(rows):,} starts, by the kind of the singular point that they led to"
    others = [f"{n:,} {name}" for name, n in counts.items() if name not in EXPECTED]
    what = ", ".join(others) or "nothing is hidden but by symmetry"
    return f"{len(rows):,} {_rows(rows)}: {what}"


def _rows(rows: Rows) -> str:
    return f"{_row(rows.stage, rows.run)}s"


def _row(stage: str, run: Run) -> str:
    return "start" if stage == "search" else run.plan.layout(stage).row_kind


def _strips(
    strips: list[Axes],
    values: NDArray[np.float64],
    rows: Rows,
    names: list[str],
    edges: NDArray[np.float64],
    none: str,
) -> None:
    """
    Histogram of the finite values of each kind, with a scale of its own.

    One may have a thousand times as many as another: stacked on one scale, the few would not be
    seen, and stacks do not add up on a logarithmic one.
    """
    for axes, name in zip(strips, reversed(names), strict=True):
        counts, _ = np.histogram(values[(rows.kinds == name) & np.isfinite(values)], edges)
        axes.stairs(counts, edges, fill=True, color=COLOURS[name])
        most = max(1, int(counts.max(initial=0)))
        axes.set_yticks([most] if counts.any() else [], [f"{most:,}"] if counts.any() else [])
        axes.set(ylim=(0, 1.15 * most), xlim=(edges[0], edges[-1]))
        if not counts.any():
            axes.text(0.5, 0.4, none, color=DARK, ha="center", fontsize=8,
                      transform=axes.transAxes)  # fmt: skip
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_axisbelow(True)
        axes.grid(axis="x", color=GRID_COLOUR)


def _draw_ratios(strips: list[Axes], rows: Rows, names: list[str]) -> None:
    """How the least seen motion compares with the most seen; and how many rows there are."""
    exponents = np.log10(np.maximum(rows.seen_least, ZERO))
    low = np.floor(np.nanmin(exponents))
    _strips(strips, exponents, rows, names, np.arange(low, 0.26, 0.25), "no motion left to see")
    _share_axis(strips, low, 0, np.log10(ZERO), _least(rows))
    for axes, name in zip(strips, reversed(names), strict=True):
        own = rows.kinds == name
        label = f"{name}\n{int(own.sum()):,}".replace("higher ", "higher\n")
        axes.set_ylabel(label, color=COLOURS[name] if name not in PALE else DARK, rotation=0,
                        ha="right", va="center", fontweight="bold")  # fmt: skip
    strips[0].set_title(f"what is seen least of {_rows(rows)}")


def _draw_distances(strips: list[Axes], rows: Rows, names: list[str]) -> None:
    """How far singular points are, by kind."""
    exponents = np.log10(np.maximum(rows.distances, NEAR))
    low = min(np.floor(np.nanmin(exponents)), -2)
    high = max(np.ceil(np.nanmax(exponents)), low + 1)
    _strips(strips, exponents, rows, names, np.arange(low, high + 0.26, 0.25), "none looked for")
    _share_axis(strips, low, high, np.log10(NEAR), DISTANCE)
    n = int(np.isfinite(rows.distances).sum())
    strips[0].set_title(f"how near a singular point is ({n:,} looked for)")


def _share_axis(strips: list[Axes], low: float, high: float, zero: float, what: str) -> None:
    """Ticks of all strips, with numbers below the last."""
    for axes in strips:
        _decades(axes, "x", low, high, zero)
        axes.tick_params(labelbottom=axes is strips[-1])
    strips[-1].set_xlabel(what)


def _draw_map(axes: Axes, rows: Rows, names: list[str]) -> None:
    """One against the other: a blind spot is at the lower left."""
    seen, far = rows.seen_least, rows.distances
    chosen = np.flatnonzero(np.isfinite(seen) & np.isfinite(far))
    if len(chosen) > MOST_POINTS:
        chosen = np.random.default_rng(0).choice(chosen, MOST_POINTS, replace=False)
    x, y = np.log10(np.maximum(far, NEAR)), np.log10(np.maximum(seen, ZERO))
    few = len(chosen) < 200
    for k, name in enumerate(names):
        own = chosen[rows.kinds[chosen] == name]
        # few may lie on top of each other: what is below shows as a ring
        size = 30 * (len(names) - k) if few else 10
        axes.scatter(x[own], y[own], s=size, color=COLOURS[name], alpha=0.8, linewidths=0)
    _decades(axes, "x", np.floor(x[chosen].min()), np.ceil(x[chosen].max()), np.log10(NEAR))
    _decades(axes, "y", np.floor(y[chosen].min()), np.ceil(y[chosen].max()), np.log10(ZERO))
    axes.grid(color=GRID_COLOUR)
    axes.set_axisbelow(True)
    _flag_lines(axes, rows)
    axes.set(title="blind spots: lower left", xlabel=DISTANCE, ylabel=_least(rows))


def _flag_lines(axes: Axes, rows: Rows) -> None:
    """Below both of these, a row is flagged."""
    settings = next(s for s in rows.run.plan.campaign["stage"] if s["name"] == rows.stage)
    for name, line, span in (("flag_ratio", axes.axhline, axes.get_ylim()),
                             ("flag_distance", axes.axvline, axes.get_xlim())):  # fmt: skip
        place = np.log10(settings.get(name, np.inf))
        if span[0] < place < span[1]:
            line(place, color=DARK, linestyle="--", linewidth=1, label=f"{name} {settings[name]:g}")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="lower right", fontsize=8, framealpha=1.0, edgecolor="none")


def _least(rows: Rows) -> str:
    return "least seen motion, of the start" if rows.stage == "search" else (
        "least seen motion / most seen"
    )  # fmt: skip


def _decades(axes: Axes, which: str, low: float, high: float, zero: float) -> None:
    """Ticks at powers of ten, at most eight; what is drawn at the lowest there is, is zero."""
    step = max(1, -(-int(high - low) // 7))
    ticks = np.arange(int(low), int(high) + 1, step)
    labels = ["0" if t <= zero else f"$10^{{{t}}}$" for t in ticks]
    getattr(axes, f"set_{which}ticks")(ticks.tolist(), labels)
