"""Rows that hide something, with what they hide, as files that other programs read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
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

MOVED = ("singular_point", "pair_first", "pair_second")
"""Frames beside the row itself, in this order, and arrays that say where its atoms are there."""

TOLD = (
    "structure", "atom", "element", "point_group", "kind", "nulls", "symmetry_nulls",
    "seen_least", "d_est_angstrom", "distance_angstrom", "point_group_there",
    "pair_misfit_angstrom", "reason",
)  # fmt: skip
"""What goes with each frame, where it is known."""


def write_singular(run: Run, output: Path, start: int, stop: int) -> int:
    """
    Write rows that were looked at closely, each with its singular point and its pair.

    Of an environment, the centre is the first atom, at the origin, and there is no cell; of a
    molecule, the centroid is there. The key ``frame`` says what a frame is: the ``environment``
    or the ``structure``; the ``singular_point`` beside it, if that is elsewhere; ``pair_first``
    and ``pair_second``, which have one fingerprint. In the first two the per-atom array
    ``null_motion`` is the motion that is not seen at that point, of length one in all.

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
            f"{run.path} has no motions to export; run [[stage]] singular with classify = true"
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
            f"there is nothing to export: {_nothing(stage, by_atom)} was found in structures "
            f"{start}:{stop}"
        )
    return n


def _nothing(stage: str, by_atom: bool) -> str:
    """What a run has none of that has nothing to export."""
    if stage != "singular":
        return "no environment with neighbours"
    return f"no flagged {'environment' if by_atom else 'structure'}"


def _frames(
    run: Run, stage: str, start: int, stop: int
) -> Iterator[tuple[Structure, dict[str, NDArray[Any]]]]:
    """Frames of some rows, read block by block: their atoms lie together there."""
    item = "atom" if "atom_number" in run.names() else "neighbour"
    names = (*NAMES, f"n_{item}s", f"first_{item}")
    for block in blocks(run, stage, names):
        inside = (block.row >= start) & (block.row < stop)
        rows = block.take(inside & _looked_at(block, f"n_{item}s"))
        for k, told in enumerate(row_dicts(rows)):
            first = int(rows[f"first_{item}"][k])
            atoms = slice(first, first + int(rows[f"n_{item}s"][k]))
            whole = _of_structure if item == "atom" else _of_environment
            yield from _frames_of(whole(run, rows, k, atoms), told)


def _looked_at(rows: Rows, count: str) -> NDArray[np.bool_]:
    """Rows of which atoms are stored, and that are or have a singular point nearby."""
    closely = rows.get("flagged", 1) == 1
    return np.asarray((rows[count] > 0) & closely)


@dataclass(frozen=True)
class _Row:
    """Atoms of a row in the places that `FRAMES` names, and how they move."""

    numbers: NDArray[np.int64]
    places: dict[str, NDArray[np.float64]]
    motion: NDArray[np.float64]
    cell: NDArray[np.float64]
    pbc: NDArray[np.bool_]


def _of_environment(run: Run, rows: Rows, k: int, own: slice) -> _Row:
    """With the centre as the first atom, at the origin."""
    numbers = [int(rows["number"][k]), *run.reader.read("neighbour_number", own.start, own.stop)]
    vectors = {name: np.vstack([np.zeros(3), run.reader.read(name, own.start, own.stop)])
               for name in ("neighbour", *MOVED, "null_motion")}  # fmt: skip
    places = {"environment": vectors["neighbour"], **{name: vectors[name] for name in MOVED}}
    return _Row(
        np.array(numbers, dtype=np.int64), places, vectors["null_motion"],
        np.zeros((3, 3)), np.zeros(3, dtype=bool),
    )  # fmt: skip


def _of_structure(run: Run, rows: Rows, k: int, own: slice) -> _Row:
    row = int(rows.row[k])
    vectors = {name: run.reader.read(name, own.start, own.stop)
               for name in ("position", *MOVED, "null_motion")}  # fmt: skip
    places = {"structure": vectors["position"], **{name: vectors[name] for name in MOVED}}
    numbers = run.reader.read("atom_number", own.start, own.stop).astype(np.int64)
    return _Row(
        numbers, places, vectors["null_motion"],
        run.reader.read("cell", row, row + 1)[0],
        run.reader.read("pbc", row, row + 1)[0].astype(bool),
    )  # fmt: skip


def _frames_of(
    row: _Row, told: dict[str, Any]
) -> Iterator[tuple[Structure, dict[str, NDArray[Any]]]]:
    info = {key: told[key] for key in TOLD if told.get(key) is not None}
    for frame, positions in row.places.items():
        same = frame == "singular_point" and not told["distance_angstrom"]
        if same or not np.all(np.isfinite(positions)):
            continue
        structure = Structure(row.numbers, positions, row.cell, row.pbc, {"frame": frame, **info})
        yield structure, ({} if frame.startswith("pair") else {"null_motion": row.motion})
