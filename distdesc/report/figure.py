"""Figure of a decoding run: how many structures of each size came back, and how exactly."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from distdesc.errors import CampaignError, StoreError
from distdesc.report.decoding import FOUND, decoded_rows, right, summarise_decoding
from distdesc.report.reader import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

KINDS = (
    ("positions and species", "#1b6ca8"),
    ("positions only", "#f2a541"),
    ("not found", "#c9c9c9"),
)
"""What became of a structure, and the colour of it."""


def write_figure(run: Run, output: Path) -> None:
    """
    Draw successes by number of atoms, and the error of every structure beside them.

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
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise StoreError("a figure needs matplotlib: pip install 'distdesc[figures]'") from error
    found = summarise_decoding(run)
    if found is None or not found.total.known:
        raise StoreError(
            f"{run.path} has nothing to draw: no decoded structures whose true atoms are known"
        )
    # Not through pyplot, whose global state belongs to the user's program.
    figure = Figure(figsize=(10, 4), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    formats = canvas.get_supported_filetypes()
    if output.suffix[1:] not in formats:
        raise CampaignError(f"figure must end in .{', .'.join(sorted(formats))}, got {output.name}")
    left, middle = figure.subplots(1, 2, width_ratios=(3, 2))
    _draw_successes(left, run)
    _draw_errors(middle, run)
    share = 100 * found.total.species_ok / found.total.known
    figure.suptitle(
        f"{found.total.species_ok:,} of {found.total.known:,} {found.row_kind}s found with every "
        f"element ({share:.4g} %), from fingerprints of {found.n_features:,} numbers"
    )
    figure.savefig(output, dpi=150)


def _draw_successes(axes: Axes, run: Run) -> None:
    """Stacked bars: what became of the structures of each size."""
    rows = decoded_rows(run)
    positions, species = right(rows)
    sizes = np.unique(rows.size)
    bottom = np.zeros(len(sizes))
    totals = np.array([(rows.size == n).sum() for n in sizes])
    for (label, colour), chosen in zip(
        KINDS, (species, positions & ~species, ~positions), strict=True
    ):
        counts = np.array([(chosen & (rows.size == n)).sum() for n in sizes])
        heights = 100 * counts / totals
        axes.bar(sizes, heights, bottom=bottom, color=colour, width=0.85,
                 label=f"{label} ({counts.sum():,})")  # fmt: skip
        bottom += heights
    axes.set(xlabel="atoms of the structure", ylabel="structures (%)", ylim=(0, 100))
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=3, frameon=False)
    axes.set_title("found, by size")


def _draw_errors(axes: Axes, run: Run) -> None:
    """Histogram of the largest error of each structure."""
    rows = decoded_rows(run)
    errors = rows["max_error"][np.isfinite(rows["max_error"])]
    exponents = np.log10(np.clip(errors, 1e-15, 10))
    axes.hist(exponents, bins=np.arange(-15, 1.51, 0.5).tolist(), color=KINDS[0][1])
    axes.axvline(np.log10(FOUND), color="#b03030", linestyle="--", label=f"{FOUND:g} Å")
    axes.set(
        xlabel="largest distance of an atom from its place (Å)",
        ylabel="structures",
        xticks=[-15, -12, -9, -6, -3, 0],
        xticklabels=[f"$10^{{{k}}}$" for k in (-15, -12, -9, -6, -3, 0)],
    )
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), frameon=False)
    axes.set_title(f"errors of the {len(errors):,} with every atom found")
