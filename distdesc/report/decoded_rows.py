"""Rows that a run decoded, read back as columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distdesc.report.reader import Run
from distdesc.schema import Status

STAGE = "decode"

FOUND = 0.01
"""Largest distance of an atom from its place, in Å, up to which positions count as right."""

COLUMNS = (
    "n_atoms", "n_true", "verdict", "max_error", "rms_error", "species_ok", "residual", "seconds",
    "condition", "road", "reason", "point_group",
)  # fmt: skip


@dataclass(frozen=True)
class Rows:
    """
    Rows that were decoded, as columns.

    Parameters
    ----------
    row : ndarray, shape (n,), int64
        Number of each row.
    columns : dict of str to ndarray
        Arrays of the stage, by name.
    """

    row: NDArray[np.int64]
    columns: dict[str, NDArray[Any]]

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.columns[name]

    @property
    def size(self) -> NDArray[np.int32]:
        """Atoms of each structure: those that there are, or those found if that is not known."""
        return np.asarray(np.where(self["n_true"] > 0, self["n_true"], self["n_atoms"]))

    @property
    def known(self) -> NDArray[np.bool_]:
        """Whether the true atoms are known."""
        return np.asarray(self["n_true"] > 0)

    @property
    def tells_elements(self) -> NDArray[np.bool_]:
        """Whether they are, and the fingerprint tells their elements."""
        return np.asarray(self.known & (self["species_ok"] >= 0))


def decoded_rows(run: Run) -> Rows:
    """
    Rows of a run that were decoded, without those set aside.

    Parameters
    ----------
    run : Run
        With a stage ``decode``, finished or not.

    Raises
    ------
    StoreError
        If an object is damaged.
    """
    chosen = [np.empty(0, dtype=np.int64)]
    for start, stop in run.done_rows(STAGE):
        chosen.append(np.flatnonzero(run.status(STAGE, start, stop) == Status.OK) + start)
    rows = np.concatenate(chosen)
    return Rows(rows, {name: run.reader.take(name, rows) for name in COLUMNS})


def verdict_names(run: Run) -> tuple[str, ...]:
    """
    Names of the verdicts, by code.

    Parameters
    ----------
    run : Run
        With a stage ``decode``.
    """
    codes = run.reader.attributes("verdict")["codes"]
    return tuple(sorted(codes, key=codes.__getitem__))


def right(rows: Rows) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """
    Which rows have all atoms in their places, and which the right elements there too.

    Parameters
    ----------
    rows : Rows
        Decoded.

    Returns
    -------
    positions, species : ndarray, shape (n,), bool
        False where the true atoms are not known, or their elements are not asked.
    """
    positions = (rows["max_error"] <= FOUND) & rows.known
    return positions, positions & (rows["species_ok"] == 1)
