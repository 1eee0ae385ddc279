"""Figure of a decoding run: which structures came back, by size and symmetry, how exactly."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from distdesc.errors import StoreError
from distdesc.report.decoded_rows import FOUND, Rows, decoded_rows, right
from distdesc.report.decoding import DecodingSummary, summarise_decoding
from distdesc.report.figure_canvas import canvas
from distdesc.report.reader import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

KINDS = (
    ("positions and species", "#1b6ca8"),
    ("positions only", "#f2a541"),
    ("not found", "#c9c9c9"),
)
"""What became of a structure, and the colour of it."""

GROUPS = 12
"""Point groups with a bar of their own, the most frequent; the others share one."""


def write_figure(run: Run, output: Path) -> None:
    """
    Draw successes by number of atoms and by symmetry, and the errors of all structures.

    Parameters
    ----------
    run : Run
        With a stage ``decode``, of structures that are known.
    output : pathlib.Path
        Image to write; the suffix decides the format.

    Raises
    ------
    CampaignError
        If the suffix is of no format that can be written.
    StoreError
        If matplotlib is not installed, or the run has nothing to draw.
    """
    found = summarise_decoding(run)
    if found is None or not found.total.known:
        raise StoreError(
            "there is nothing to draw: no decoded structures whose true atoms are known"
        )
    figure = canvas(output, 13, 4.4)
    by_size, by_group, errors = figure.subplots(1, 3, width_ratios=(6, 5, 4))
    rows = decoded_rows(run)
    kind = f"{found.row_kind}s"
    _draw_sizes(by_size, rows, kind)
    _draw_groups(by_group, rows, kind)
    _draw_errors(errors, rows, kind)
    handles, labels = by_size.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower left", ncols=3, frameon=False)
    figure.suptitle(_headline(found))
    figure.savefig(output, dpi=150)


def _headline(found: DecodingSummary) -> str:
    total = found.total
    part = f"{total.positions_ok:,} of {total.known:,} {found.row_kind}s"
    share, what = 100 * total.positions_ok / total.known, "in place"
    if total.tells_elements:
        part = f"{total.species_ok:,} of {total.known:,} {found.row_kind}s"
        share, what = 100 * total.species_ok / total.known, "in place and of its element"
    return (
        f"{part} found, every atom {what} ({share:.4g} %), from fingerprints of "
        f"{found.n_features:,} numbers"
    )


def _draw_stacks(axes: Axes, rows: Rows, chosen: list[NDArray[np.bool_]], kind: str) -> None:
    """Stacked bars at 0, 1, …: what became of some groups of rows."""
    positions, species = right(rows)
    fates = (species, positions & ~species, ~positions)
    told = bool(rows.tells_elements.any())
    bottom = np.zeros(len(chosen))
    totals = np.array([these.sum() for these in chosen])
    for (label, colour), fate in zip(KINDS, fates, strict=True):
        if label == "positions and species" and not told:
            continue
        counts = np.array([(these & fate).sum() for these in chosen])
        axes.bar(range(len(chosen)), 100 * counts / totals, bottom=bottom, color=colour,
                 width=0.85, label=f"{label} ({counts.sum():,})")  # fmt: skip
        bottom += 100 * counts / totals
    axes.set(ylim=(0, 100), ylabel=f"{kind} (%)", xlim=(-0.6, max(len(chosen), 3) - 0.4))


def _draw_sizes(axes: Axes, rows: Rows, kind: str) -> None:
    """What became of the structures of each size."""
    sizes = np.unique(rows.size[rows.known])
    _draw_stacks(axes, rows, [rows.known & (rows.size == n) for n in sizes], kind)
    step = -(-len(sizes) // 14)
    axes.set_xticks(range(0, len(sizes), step), [str(n) for n in sizes[::step]])
    axes.set(xlabel=f"atoms of the {kind[:-1]}", title="by size")


def _draw_groups(axes: Axes, rows: Rows, kind: str) -> None:
    """What became of the structures of each symmetry, the most frequent first."""
    groups = rows["point_group"].astype("U8")
    names, counts = np.unique(groups[rows.known], return_counts=True)
    order = np.argsort(-counts, kind="stable")
    shown, rest = order[:GROUPS], order[GROUPS:]
    chosen = [rows.known & (groups == names[k]) for k in shown]
    labels = [f"{names[k].replace('*', '∞')}\n{counts[k]:,}" for k in shown]
    if len(rest):
        chosen.append(rows.known & np.isin(groups, names[rest]))
        labels.append(f"other\n{counts[rest].sum():,}")
    _draw_stacks(axes, rows, chosen, kind)
    axes.set_xticks(range(len(chosen)), labels, fontsize=7)
    axes.set(xlabel=f"point group, and {kind} that have it", ylabel="", title="by symmetry")


def _draw_errors(axes: Axes, rows: Rows, kind: str) -> None:
    """Histogram of the largest error of each structure."""
    errors = rows["max_error"][np.isfinite(rows["max_error"])]
    exponents = np.log10(np.clip(errors, 1e-16, 10))
    axes.hist(exponents, bins=np.arange(-16, 1.51, 0.5).tolist(), color=KINDS[0][1])
    axes.axvline(np.log10(FOUND), color="#b03030", linestyle="--")
    axes.text(np.log10(FOUND) - 0.15, 0.97, f"{FOUND:g} Å", color="#b03030", ha="right", va="top",
              transform=axes.get_xaxis_transform())  # fmt: skip
    ticks = range(-15, 1, 3)
    axes.set_xticks(ticks, [f"$10^{{{k}}}$" for k in ticks])
    axes.yaxis.get_major_locator().set_params(integer=True)  # type: ignore[call-arg]
    axes.set(
        xlabel="largest error of an atom (Å)", ylabel=kind,
        title=f"errors of the {len(errors):,} with every atom",
    )  # fmt: skip
