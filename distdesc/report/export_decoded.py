"""Decoded structures as files that other programs read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distdesc.errors import CampaignError
from distdesc.report.decoded_rows import STAGE, verdict_names
from distdesc.report.reader import Run
from distdesc.schema import RowKind, Status
from distdesc.structures.records import write_database, write_extxyz
from distdesc.structures.source import Structure

SUFFIXES = (".xyz", ".extxyz", ".db")

TOLD = ("residual", "max_error", "rms_error", "radius")
"""Numbers that go with each structure, if they are finite."""


def write_decoded(run: Run, output: Path, start: int, stop: int) -> int:
    """
    Write the structures that were found, each in a frame of its own.

    Rows of which nothing was found are left out; each structure says which it is (``structure``
    and, of an environment, ``atom``), with its verdict, residual, errors and road.

    Parameters
    ----------
    run : Run
        With a stage ``decode``.
    output : pathlib.Path
        ``.xyz``, ``.extxyz``, or ``.db`` for a database of ASE.
    start, stop : int
        Half-open range of structures of the source.

    Returns
    -------
    int
        Structures written.

    Raises
    ------
    CampaignError
        If the suffix is another.
    StoreError
        If an object of the store is damaged.
    """
    if output.suffix not in SUFFIXES:
        raise CampaignError(
            f"output must end in {', '.join(SUFFIXES)} for decoded structures, "
            f"got {output.suffix or 'none'}"
        )
    by_atom = run.plan.layout(STAGE).row_kind == RowKind.ENVIRONMENT.value
    rows = (run.rows_of(start).start, run.rows_of(stop - 1).stop) if by_atom else (start, stop)
    if output.suffix == ".db":
        return write_database(output, _structures(run, *rows, by_atom))
    n = 0
    with output.open("w") as file:
        for structure in _structures(run, *rows, by_atom):
            write_extxyz(file, structure, {})
            n += 1
    return n


def _structures(run: Run, start: int, stop: int, by_atom: bool) -> Iterator[Structure]:
    """Structures of some rows, read shard by shard: their atoms lie together there."""
    layout, names = run.plan.layout(STAGE), verdict_names(run)
    for shard in range(start // layout.shard_rows, (stop - 1) // layout.shard_rows + 1):
        first, last = layout.rows(shard)
        rows = np.arange(max(first, start), min(last, stop))
        counts = np.where(
            run.status(STAGE, int(rows[0]), int(rows[-1]) + 1) == Status.OK,
            run.reader.take("n_atoms", rows), 0,
        )  # fmt: skip
        places = run.reader.take("first_atom", rows)
        if not counts.any():
            continue
        low = int(places[counts > 0].min())
        high = int((places + counts).max())
        numbers, positions = (run.reader.read(name, low, high) for name in ("numbers", "positions"))
        told = {name: run.reader.take(name, rows) for name in (*TOLD, "verdict", "road")}
        for k in np.flatnonzero(counts):
            info = _info(run, int(rows[k]), by_atom, {n: v[k] for n, v in told.items()})
            atoms = slice(int(places[k]) - low, int(places[k]) - low + int(counts[k]))
            yield _structure(
                numbers[atoms], positions[atoms], {**info, "verdict": names[told["verdict"][k]]}
            )


def _info(run: Run, row: int, by_atom: bool, told: dict[str, Any]) -> dict[str, Any]:
    place = {"structure": row}
    if by_atom:
        structure, atom = run.locate([row])
        place = {"structure": int(structure[0]), "atom": int(atom[0])}
    numbers = {name: float(told[name]) for name in TOLD if np.isfinite(told[name])}
    return {**place, **numbers, "road": str(told["road"])}


def _structure(
    numbers: NDArray[Any], positions: NDArray[np.float64], info: dict[str, Any]
) -> Structure:
    return Structure(
        numbers.astype(np.int64), positions, np.zeros((3, 3)), np.zeros(3, dtype=bool), info
    )
