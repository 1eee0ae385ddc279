"""Figure of a scan of truncations: quantiles of what is seen least, against each parameter."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from distdesc.errors import StoreError
from distdesc.report.figure_canvas import GRID_COLOUR, canvas, patch
from distdesc.report.reader import Run
from distdesc.report.sensitivity import (
    GRID,
    SensitivitySummary,
    Verdict,
    summarise_sensitivity,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STYLES = {
    "median": ("#9ecae1", "median"),
    "q10": ("#4f93c4", "10 %"),
    "q01": ("#1b6ca8", "1 %"),
    "smallest": ("#7f7f7f", "smallest"),
}
"""Colour and name of each quantile, from above."""

WARNING = "#c0392b"
"""Of environments with nulls that no symmetry demands."""

ENOUGH = "#e4f2e4"
"""Behind the values that are enough."""

LOWEST = 1e-6
"""Ratios below this are drawn here."""


def write_sensitivity_figure(run: Run, output: Path) -> None:
    """
    Draw a panel for each key that was varied, or one for a grid.

    Parameters
    ----------
    run : Run
        With the stage ``sensitivity``.
    output : pathlib.Path
        Image to write; the suffix decides the format.

    Raises
    ------
    CampaignError
        If the suffix is of no format that can be written.
    StoreError
        If matplotlib is not installed, or the run has nothing to draw.
    """
    found = summarise_sensitivity(run)
    if found is None or not found.rows or not found.verdicts:
        raise StoreError("there is nothing to draw: no environment, or nothing was varied")
    across = min(3, len(found.verdicts))
    down = -(-len(found.verdicts) // across)
    figure = canvas(output, max(7.0, 4.4 * across), 3.9 * down + 0.6)
    panels: Any = np.atleast_1d(figure.subplots(down, across, sharey=True, squeeze=True)).ravel()
    for axes, verdict in zip(panels, found.verdicts, strict=False):
        _draw(axes, found, verdict)
    for axes in panels[len(found.verdicts) :]:
        axes.set_visible(False)
    for axes in panels[::across]:
        axes.set(ylabel="least seen motion / most seen")
    known = {label: handle for axes in reversed(panels)  # what the first has, it shows
             for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}  # fmt: skip
    known["enough, or sees most"] = patch(ENOUGH)
    figure.legend(known.values(), known.keys(), loc="outside lower left", ncols=6, frameon=False)
    figure.suptitle(f"{found.rows:,} environments: how large must the basis be? (bold: as given)")
    figure.savefig(output, dpi=150)


def _draw(axes: Axes, found: SensitivitySummary, verdict: Verdict) -> None:
    lines = [found.configurations[k] for k in verdict.lines]
    places = np.arange(len(lines))
    for name in STYLES:
        colour, label = STYLES[name]
        values = [line.quantiles[name] for line in lines]
        drawn = [np.nan if v is None else max(v, LOWEST) for v in values]
        joined = "-" if verdict.ordered else ":" if _numbers(verdict) else ""
        axes.plot(places, drawn, f"o{joined}", color=colour, label=label, markersize=4)
    extra = np.array([line.rows_with_extra_nulls / max(1, found.rows) for line in lines])
    label = "environments with nulls that no symmetry demands"
    axes.scatter(places[extra > 0], np.full(int(np.sum(extra > 0)), LOWEST / 4), marker="x",
                 color=WARNING, label=label, zorder=3)  # fmt: skip
    for place in np.flatnonzero(extra):
        axes.annotate(_percent(extra[place]), (place, LOWEST / 4), (0, -11), ha="center",
                      textcoords="offset points", color=WARNING, fontsize=7)  # fmt: skip
    if verdict.ordered and verdict.enough is not None:
        begin = verdict.values.index(verdict.enough)
        axes.axvspan(begin - 0.3, len(lines) - 0.7, color=ENOUGH, zorder=0)
    elif verdict.enough is not None:
        best = verdict.values.index(verdict.enough)
        axes.axvspan(best - 0.3, best + 0.3, color=ENOUGH, zorder=0)
    axes.set_yscale("log")
    axes.set_ylim(LOWEST / 20, 2)
    ticks = [LOWEST, *(10.0 ** np.arange(-5, 1))]
    axes.set_yticks(ticks, ["≤$10^{-6}$", *(f"$10^{{{k}}}$" for k in range(-5, 1))])
    axes.minorticks_off()
    axes.grid(axis="y", color=GRID_COLOUR)
    axes.set_axisbelow(True)
    axes.set_xlim(-0.5, len(lines) - 0.5)
    axes.set_xticks(places.tolist(), _ticks(verdict), **_turned(verdict))
    for line, tick in zip(lines, axes.get_xticklabels(), strict=True):
        tick.set_fontweight("normal" if line.changes else "bold")
    axes.set(title=f"{verdict.key}: {verdict.words}" if verdict.key != GRID else verdict.words,
             xlabel="" if verdict.key == GRID else verdict.key)  # fmt: skip
    axes.title.set_fontsize(9)


def _numbers(verdict: Verdict) -> bool:
    return all(isinstance(value, int | float) for value in verdict.values)


def _percent(part: float) -> str:
    return f"{100 * part:.0f} %" if part >= 0.1 else f"{100 * part:.2g} %"


def _ticks(verdict: Verdict) -> list[str]:
    return [v["name"] if isinstance(v, dict) else str(v) for v in verdict.values]


def _turned(verdict: Verdict) -> dict[str, Any]:
    """How to write long names under an axis."""
    if sum(map(len, _ticks(verdict))) < 45:
        return {}
    return {"rotation": 40, "ha": "right", "fontsize": 7, "rotation_mode": "anchor"}
