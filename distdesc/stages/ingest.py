"""The stage that turns any source into a columnar structure store, exactly."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distdesc.errors import CampaignError, StructureError
from distdesc.schema import ArraySpec, Ragged, RowKind
from distdesc.stopwatch import Stopwatch
from distdesc.structures.index import SourceIndex
from distdesc.structures.pack import PER_ATOM, SCALARS, TAGS, Groups, dump_extra, group_of, type_tag
from distdesc.structures.source import Source, Structure, Structures

SAMPLE = 64
"""Structures looked at to choose the columns."""

LARGEST_CELL = 1024
"""Values of a per-structure array that still make a column."""

RECORD_BYTES = 4096
"""Of the Python objects of one record without its arrays; measured on QM9."""


@dataclass(frozen=True)
class Ingest:
    """
    Structures in columns: geometry, labels, info and per-atom arrays, all kept exactly.

    What a sample of structures has in common becomes typed columns; whatever a structure has
    beside them, or differently, goes into the text column ``extra`` as JSON.

    Parameters
    ----------
    columns : tuple of tuple
        ``(array name, group, key, type, dtype, shape)`` of each column; chosen from the data if
        empty. Groups are ``info``, ``key_value_pairs`` (of databases), ``results``, ``arrays``
        (per atom) and ``atom_results`` (results per atom, such as forces).
    """

    columns: tuple[tuple[Any, ...], ...] = ()

    def __post_init__(self) -> None:
        for column in self.columns:
            if not isinstance(column, tuple) or len(column) != 6 or column[3] not in TAGS:
                raise CampaignError(
                    "columns must be left out, or as a plan has them: (array name, group, key, "
                    f"type, dtype, shape), got {column!r}"
                )

    @property
    def row_kind(self) -> RowKind:
        """See Stage."""
        return RowKind.STRUCTURE

    @property
    def reads_records(self) -> bool:
        """See Stage."""
        return True

    @property
    def validates(self) -> bool:
        """See Stage: no, a copy keeps what is odd; only the unreadable is set aside."""
        return False

    @property
    def row_seconds(self) -> float:
        """See Stage.row_seconds."""
        return 0.0

    def outputs(self) -> tuple[ArraySpec, ...]:
        """See Stage.outputs."""
        fixed = (
            ArraySpec("n_atoms", "<i4", description="Atoms of each structure."),
            ArraySpec("cell", "<f8", (3, 3), ("vector", "xyz"), "Å"),
            ArraySpec("pbc", "|b1", (3,), ("vector",), description="Periodic directions."),
            ArraySpec("numbers", "|u1", ragged=Ragged(), description="Atomic numbers."),
            ArraySpec("positions", "<f8", (3,), ("xyz",), "Å", ragged=Ragged()),
            ArraySpec("extra", "string", fill="", description="JSON of all that has no column."),
        )
        return (*fixed, *(_spec(c) for c in self.columns))

    def resolve(self, source: Source, index: SourceIndex) -> Ingest:
        """See Stage.resolve: chooses the columns from a sample spread over the source."""
        if self.columns:
            return self
        picks = np.unique(np.linspace(0, len(index) - 1, SAMPLE).astype(int))
        sample = []
        for k in picks:
            records = source.read(index, int(k), int(k) + 1, records=True).records
            sample += [r for r in records or () if r is not None and len(r.numbers)]
        return Ingest(_common_columns(sample))

    def warm_up(self) -> None:
        """See Stage.warm_up: nothing is compiled."""

    def working_memory(self, n_rows: int, max_atoms: int) -> int:
        """See Stage.working_memory."""
        return n_rows * RECORD_BYTES

    def run(
        self, batch: Structures, first: int, last: int, clock: Stopwatch
    ) -> dict[str, NDArray[Any]]:
        """See Stage.run."""
        with clock("kernel"):
            records = [r for r in (batch.records or ())[first:last] if r is not None]
            _check(records)
            groups = [group_of(r) for r in records]
            absent: list[set[str]] = [set() for _ in records]
            out: dict[str, NDArray[Any]] = {
                "n_atoms": np.array([len(r.numbers) for r in records], dtype=np.int32),
                "cell": np.array([r.cell for r in records]).reshape(-1, 3, 3),
                "pbc": np.array([r.pbc for r in records], dtype=bool).reshape(-1, 3),
                "numbers": _flat([r.numbers for r in records], "|u1", ()),
                "positions": _flat([r.positions for r in records], "<f8", (3,)),
            }
            for column in self.columns:
                out[column[0]] = _column(column, groups, out["n_atoms"], absent)
            out["extra"] = self._extra(groups, absent)
        return out

    def _extra(self, groups: Sequence[Groups], absent: Sequence[set[str]]) -> NDArray[np.object_]:
        extra = np.empty(len(groups), dtype=object)
        every = {(c[1], c[2]) for c in self.columns}
        reasons = {}
        for k, missing in enumerate(absent):
            taken = {(c[1], c[2]) for c in self.columns if c[0] not in missing}
            try:
                extra[k] = dump_extra(groups[k], taken if missing else every, sorted(missing))
            except TypeError as error:
                reasons[k] = str(error)
        if reasons:
            raise StructureError(reasons)
        return extra


def _check(records: Sequence[Structure]) -> None:
    reasons = {
        k: f"atomic number {z} is not within 0 to 255"
        for k, r in enumerate(records)
        for z in r.numbers[(r.numbers < 0) | (r.numbers > 255)][:1]
    }
    if reasons:
        raise StructureError(reasons)


def _spec(column: tuple[Any, ...]) -> ArraySpec:
    name, group, key, _, dtype, shape = column
    ragged = group in PER_ATOM
    fill: float | int = float("nan") if np.dtype(dtype).kind == "f" else 0
    return ArraySpec(
        name,
        dtype,
        tuple(shape),
        tuple(f"{name}_{k}" for k in range(len(shape))),
        fill=fill,
        ragged=Ragged() if ragged else None,
        attributes={"group": group, "key": key},
    )


def _common_columns(sample: Sequence[Structure]) -> tuple[tuple[Any, ...], ...]:
    """Columns for what every structure of a sample has, with one type and shape."""
    found: Counter[tuple[str, str, str, str, tuple[int, ...]]] = Counter()
    for record in sample:
        for group, values in group_of(record).items():
            for key, value in values.items():
                tag = type_tag(value)
                if tag is None or type(key) is not str:
                    continue
                array = np.asarray(value)
                shape = array.shape[1:] if group in PER_ATOM else array.shape
                if np.prod(shape, dtype=int) <= LARGEST_CELL:
                    found[group, key, tag, array.dtype.str, shape] += 1
    names: set[str] = {"n_atoms", "cell", "pbc", "numbers", "positions", "extra", "first_atom"}
    columns = []
    for (group, key, tag, dtype, shape), n in sorted(found.items()):
        if n == len(sample):
            word = re.sub(r"\W", "_", key)
            name = f"{group.removeprefix('atom_')}_{word}"
            while name in names:
                name += "_"
            names.add(name)
            columns.append((name, group, key, tag, dtype, tuple(int(s) for s in shape)))
    return tuple(columns)


def _column(
    column: tuple[Any, ...],
    groups: Sequence[Groups],
    n_atoms: NDArray[np.int32],
    absent: Sequence[set[str]],
) -> NDArray[Any]:
    """Values of one column; where a structure has none, or another kind, it is noted."""
    name, group, key, tag, dtype, shape = column
    ragged = group in PER_ATOM
    fill = _spec(column).fill
    values: list[Any] = []
    for k, n in enumerate(n_atoms.tolist()):
        value: Any = groups[k][group].get(key)
        wanted = (n, *shape) if ragged else shape
        if (
            type_tag(value) != tag
            or np.shape(value) != wanted
            or (tag not in SCALARS and value.dtype.str != dtype)
        ):
            absent[k].add(name)
            value = np.full(wanted, fill, dtype=dtype)
        values.append(value)
    return _flat(values, dtype, shape) if ragged else _stack(values, dtype, shape)


def _flat(arrays: Sequence[NDArray[Any]], dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
    if not arrays:
        return np.empty((0, *shape), dtype=dtype)
    return np.concatenate(arrays).astype(dtype, copy=False)


def _stack(arrays: Sequence[NDArray[Any]], dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
    return np.array(arrays, dtype=dtype).reshape(len(arrays), *shape)
