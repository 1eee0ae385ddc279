"""What figures have in common: a canvas, and how it is saved."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from distdesc.errors import CampaignError, StoreError

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

GRID_COLOUR = "#dddddd"
"""Of lines behind the data."""


def canvas(output: Path, width: float, height: float) -> Figure:
    """
    Empty figure for a file, whose suffix is of a format that can be written.

    Parameters
    ----------
    output : pathlib.Path
        Image to write later.
    width, height : float
        In inches.

    Raises
    ------
    CampaignError
        If the suffix is of no format that can be written, or there is no such folder.
    StoreError
        If matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise StoreError("a figure needs matplotlib: pip install 'distdesc[figures]'") from error
    # Not through pyplot, whose global state belongs to the user's program.
    figure = Figure(figsize=(width, height), layout="constrained")
    formats = FigureCanvasAgg(figure).get_supported_filetypes()
    if output.suffix[1:] not in formats:
        raise CampaignError(f"figure must end in .{', .'.join(sorted(formats))}, got {output.name}")
    if not output.parent.is_dir():
        raise CampaignError(f"figure must be in a folder that exists, got {output}")
    return figure


def patch(colour: str) -> Patch:
    """
    Entry of a legend for a ground of some colour.

    Parameters
    ----------
    colour : str
        As matplotlib takes it.
    """
    from matplotlib.patches import Patch

    return Patch(color=colour)
