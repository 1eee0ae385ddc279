"""Rows of a run that looks for singular points, read back block by block as columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distdesc.elements import symbol_of
from distdesc.report.reader import Run
from distdesc.schema import RowKind, Status

STAGES = ("singular", "search")
"""Stages that look at single environments or structures and tell a kind."""

NOT_TOLD = "flagged"
"""Kind, for people, of a row that takes a close look, if none was taken."""

BLOCK = 2**16
"""Rows that are read at a time, at least a shard."""


@dataclass(frozen=True)
class Rows:
    """
    Some rows, as columns.

    Parameters
    ----------
    run : Run
        Where they are from.
    stage : str
        That made them.
    row : ndarray, shape (n,), int64
        Number of each row.
    columns : dict of str to ndarray
        Arrays of the stage, by name.
    """

    run: Run
    stage: str
    row: NDArray[np.int64]
    columns: dict[str, NDArray[Any]]

    def __len__(self) -> int:
        return len(self.row)

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.columns[name]

    def get(self, name: str, missing: Any) -> NDArray[Any]:
        """
        Column, or the same value for each row if the stage has none of that name.

        Parameters
        ----------
        name : str
            Of an array.
        missing : object
            That value.
        """
        return self.columns.get(name, np.full(len(self), missing))

    @property
    def kinds(self) -> NDArray[np.str_]:
        """Kind of each row in words; ``"flagged"`` where it takes a close look."""
        names = kind_names(self.run)
        return np.asarray(np.array([*names, NOT_TOLD])[self["kind"]])

    @property
    def seen_least(self) -> NDArray[np.float64]:
        """
        Smallest singular value to the largest, but for those that symmetry makes zero.

        Shape (n,); NaN where no such motion is left. Of a search, that of its start.
        """
        if self.stage == "search":
            return self["ratio"]
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(self["s_min_symmetric"] / self["s_max"])

    @property
    def distances(self) -> NDArray[np.float64]:
        """
        Distance of the nearest singular point in Å: the one found, or else the estimate.

        Shape (n,); NaN where none was looked for, or is in sight.
        """
        found, guess = self.get("distance", np.nan), self.get("d_est", np.nan)
        best = np.where(np.isfinite(found), found, guess)
        return np.where(np.isfinite(best), best, np.nan)

    @property
    def elements(self) -> list[str]:
        """Symbol of each centre; empty of whole structures."""
        return [symbol_of(int(z)) if z else "" for z in self.get("number", 0)]

    def places(self) -> tuple[NDArray[np.int64], NDArray[np.int64] | None]:
        """Structure of each row, and atom in it; None for the atoms of whole structures."""
        if self.stage == "search":  # the first atom of each
            return self.row, np.zeros_like(self.row)
        if self.run.plan.layout(self.stage).row_kind == RowKind.STRUCTURE.value:
            return self.row, None
        return self.run.locate(self.row)

    def take(self, keep: NDArray[Any] | slice) -> Rows:
        """
        Some of these rows.

        Parameters
        ----------
        keep : ndarray, int64 or bool, or slice
            Which.
        """
        chosen = {name: values[keep] for name, values in self.columns.items()}
        return Rows(self.run, self.stage, self.row[keep], chosen)


def stage_of(run: Run) -> str | None:
    """
    Stage of a run that tells kinds; None if it has none.

    Parameters
    ----------
    run : Run
        Finished or not.
    """
    return next((stage for stage in STAGES if stage in run.stages), None)


def kind_names(run: Run) -> tuple[str, ...]:
    """
    Names of the kinds, by code.

    Parameters
    ----------
    run : Run
        With one of `STAGES`.
    """
    codes = run.reader.attributes("kind")["codes"]
    return tuple(sorted(codes, key=codes.__getitem__))


def blocks(run: Run, stage: str, names: Sequence[str]) -> Iterator[Rows]:
    """
    Rows that are computed, without those set aside, a block at a time.

    Parameters
    ----------
    run : Run
        Finished or not.
    stage : str
        One of its stages.
    names : sequence of str
        Arrays with one value a row; those that the run does not have are left out.

    Yields
    ------
    Rows
        At least one, perhaps empty.

    Raises
    ------
    StoreError
        If an object is damaged.
    """
    shard = run.plan.layout(stage).shard_rows
    step = shard * max(1, BLOCK // shard)
    present = [name for name in names if name in run.names()]
    ranges = [(k, min(k + step, last)) for first, last in run.done_rows(stage)
              for k in range(first, last, step)]  # fmt: skip
    for start, stop in ranges or [(0, 0)]:
        good = np.flatnonzero(run.status(stage, start, stop) == Status.OK)
        columns = {name: run.reader.read(name, start, stop)[good] for name in present}
        yield Rows(run, stage, good + start, columns)


def all_rows(run: Run, stage: str, names: Sequence[str]) -> Rows:
    """
    All rows that are computed, in one piece.

    Parameters
    ----------
    run : Run
        Finished or not.
    stage : str
        One of its stages.
    names : sequence of str
        Arrays with one value a row; those that the run does not have are left out.

    Raises
    ------
    StoreError
        If an object is damaged.
    """
    parts = list(blocks(run, stage, names))
    columns = {name: np.concatenate([p[name] for p in parts]) for name in parts[0].columns}
    return Rows(run, stage, np.concatenate([p.row for p in parts]), columns)
