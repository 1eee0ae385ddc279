"""Environments that hide something, with what they hide, as files that other programs read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distdesc.errors import CampaignError, StoreError
from distdesc.report.reader import Run
from distdesc.report.singular_records import NAMES, row_dicts
from distdesc.report.singular_rows import Rows, blocks, stage_of
from distdesc.schema import RowKind
from distdesc.structures.records import write_extxyz
from distdesc.structures.source import Structure

SUFFIXES = (".xyz", ".extxyz")

VECTORS = ("neighbour", "singular_point", "null_motion", "pair_first", "pair_second")
"""Arrays with an entry a neighbour, each a vector."""

FRAMES = {
    "environment": "neighbour",
    "singular_point": "singular_point",
    "pair_first": "pair_first",
    "pair_second": "pair_second",
}
"""Frames of an environment, in this order, and the array that says where its neighbours are."""

TOLD = (
    "structure", "atom", "element", "point_group", "kind", "nulls", "symmetry_nulls",
    "seen_least", "d_est_angstrom", "distance_angstrom", "point_group_there",
    "pair_misfit_angstrom", "reason",
)  # fmt: skip
"""What goes with each frame, where it is known."""


def write_singular(run: Run, output: Path, start: int, stop: int) -> int:
    """
    Write environments that were looked at closely, each with its singular point and its pair.

    The centre is the first atom, at the origin; there is no cell. The key ``frame`` says what a
    frame is: the ``environment``; the ``singular_point`` beside it, if it is not the environment
    itself; ``pair_first`` and ``pair_second``, which have one fingerprint. In the first two the
    per-atom array ``null_motion`` is the motion that is not seen at that point, of length one in
    all.

    Parameters
    ----------
    run : Run
        With the stage ``singular`` and ``classify = true``, or ``search``.
    output : pathlib.Path
        ``.xyz`` or ``.extxyz``.
    start, stop : int
        Half-open range of structures of the source.

    Returns
    -------
    int
        Frames written.

    Raises
    ------
    CampaignError
        If the suffix is another.
    StoreError
        If nothing was looked at closely or nothing was flagged, or an object of the store is
        damaged.
    """
    if output.suffix not in SUFFIXES:
        raise CampaignError(
            f"output must end in {', '.join(SUFFIXES)} for singular points, "
            f"got {output.suffix or 'none'}"
        )
    stage = stage_of(run)
    if stage is None or "null_motion" not in run.names():
        raise StoreError(
            f"{run.path} has no motions to export; run [[stage]] singular with map = "
            f'"env" and classify = true'
        )
    by_atom = run.plan.layout(stage).row_kind == RowKind.ENVIRONMENT.value
    rows = (run.rows_of(start).start, run.rows_of(stop - 1).stop) if by_atom else (start, stop)
    n = 0
    with output.open("w") as file:
        for structure, arrays in _frames(run, stage, *rows):
            write_extxyz(file, structure, arrays)
            n += 1
    if not n:
        raise StoreError(
            f"there is nothing to export: {_nothing(stage)} was found in structures {start}:{stop}"
        )
    return n


def _nothing(stage: str) -> str:
    """What a run has none of that has nothing to export."""
    return "no flagged environment" if stage == "singular" else "no environment with neighbours"


def _frames(
    run: Run, stage: str, start: int, stop: int
) -> Iterator[tuple[Structure, dict[str, NDArray[Any]]]]:
    """Frames of some rows, read block by block: their neighbours lie together there."""
    names = (*NAMES, "n_neighbours", "first_neighbour")
    for block in blocks(run, stage, names):
        inside = (block.row >= start) & (block.row < stop)
        rows = block.take(inside & _looked_at(block))
        for k, told in enumerate(row_dicts(rows)):
            yield from _frames_of(run, rows, k, told)


def _looked_at(rows: Rows) -> NDArray[np.bool_]:
    """Rows of which neighbours are stored, and that are or have a singular point nearby."""
    closely = rows.get("flagged", 1) == 1
    return np.asarray((rows["n_neighbours"] > 0) & closely)


def _frames_of(
    run: Run, rows: Rows, k: int, told: dict[str, Any]
) -> Iterator[tuple[Structure, dict[str, NDArray[Any]]]]:
    first = int(rows["first_neighbour"][k])
    last = first + int(rows["n_neighbours"][k])
    arrays = {name: run.reader.read(name, first, last) for name in VECTORS}
    numbers = [int(rows["number"][k]), *run.reader.read("neighbour_number", first, last)]
    info = {key: told[key] for key in TOLD if told.get(key) is not None}
    for frame, name in FRAMES.items():
        same = frame == "singular_point" and not told["distance_angstrom"]
        if same or not np.all(np.isfinite(arrays[name])):
            continue
        motion = np.vstack([np.zeros(3), arrays["null_motion"]])
        structure = Structure(
            np.array(numbers, dtype=np.int64),
            np.vstack([np.zeros(3), arrays[name]]),
            np.zeros((3, 3)),
            np.zeros(3, dtype=bool),
            {"frame": frame, **info},
        )
        yield structure, ({} if frame.startswith("pair") else {"null_motion": motion})
