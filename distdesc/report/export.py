"""Rows of a store as files that other programs read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distdesc.errors import CampaignError, StoreError
from distdesc.report.export_decoded import SUFFIXES, write_decoded
from distdesc.report.export_singular import write_singular
from distdesc.report.mixed import check_projection
from distdesc.report.reader import Run
from distdesc.report.singular_rows import stage_of
from distdesc.schema import RowKind
from distdesc.structures.index import INDEX, SourceIndex
from distdesc.structures.records import write_extxyz

Writer = Callable[[Run, Path, int, int], int]
"""Writes some structures of a run to a file, and says how many rows that were."""

BLOCK = 1024
"""Structures held in memory at a time."""


def export(run: Run, output: Path, structures: str = "") -> int:
    """
    Write fingerprints with their structure, atom, element and status.

    Sparse fingerprints are written as such: in ``.npz`` the parts of a compressed matrix, in
    ``.parquet`` lists of features and values. Of a run that decodes, the structures found; of one
    that looks for singular points, those.

    Parameters
    ----------
    run : Run
        A store with fingerprints, decoded structures or singular points.
    output : pathlib.Path
        ``.npz``, ``.parquet``, ``.xyz`` or ``.extxyz``; or see `write_decoded`, `write_singular`.
    structures : str
        ``"a:b"``, half-open; all if empty.

    Returns
    -------
    int
        Rows written.

    Raises
    ------
    CampaignError
        If suffix or range are not of these forms, or the suffix does not suit the store.
    StoreError
        If the store has no fingerprints, they are of several projections, or a package is missing.
    SourceError
        If extended XYZ is asked for and the source cannot be read.
    """
    decodes = "decode" in run.stages
    if decodes and (output.suffix in SUFFIXES or "fingerprint" not in run.stages):
        write: Writer = write_decoded
    elif stage_of(run) is not None and "fingerprint" not in run.stages:
        write = write_singular
    else:
        write = _writer(run, output)
    start, stop = _range(structures, run.n_structures)
    index = SourceIndex.load(run.path / INDEX)
    if str(output.absolute()) in {stamp.path for stamp in index.files}:
        raise CampaignError(f"output must not be the source itself, got {output}")
    if "fingerprint" in run.stages:
        check_projection(run, *_rows(run, start, stop))
    if not output.parent.is_dir():
        raise CampaignError(f"output must be in a folder that exists, got {output}")
    partial = output.with_name(f".partial-{output.name}")
    try:
        written = write(run, partial, start, stop)
        partial.rename(output)
    finally:
        partial.unlink(missing_ok=True)
    return written


def _writer(run: Run, output: Path) -> Writer:
    """Writer of fingerprints for a suffix."""
    writers: dict[str, Writer] = {
        ".npz": _npz,
        ".parquet": _parquet,
        ".xyz": _extxyz,
        ".extxyz": _extxyz,
    }
    if output.suffix not in writers:
        raise CampaignError(f"output must end in {', '.join(writers)}, got {output.name}")
    if "fingerprint" not in run.stages:
        raise StoreError(
            f"{run.path} has no fingerprints to export; it has: {', '.join(run.names())}"
        )
    if writers[output.suffix] is _extxyz and (run.sparse or _pooled(run)):
        raise CampaignError(
            f"output must be .npz or .parquet: {run.path} has no dense fingerprint of each atom, "
            f"got {output.name}"
        )
    return writers[output.suffix]


def _range(text: str, n: int) -> tuple[int, int]:
    first, colon, last = text.partition(":")
    if text and not colon:
        last = str(int(first) + 1) if first.isdigit() else "?"
    try:
        start, stop = int(first or 0), int(last or n)
    except ValueError as error:
        raise CampaignError(f"structures must be A:B, got {text}") from error
    if not 0 <= start < stop <= n:
        raise CampaignError(f"structures must lie in 0:{n}, got {text or f'0:{n}'}")
    return start, stop


def _rows(run: Run, start: int, stop: int) -> tuple[int, int]:
    """Rows of some structures: their own, or those of their environments."""
    if _pooled(run):
        return start, stop
    return run.rows_of(start).start, run.rows_of(stop - 1).stop


def _pooled(run: Run) -> bool:
    return run.plan.layout("fingerprint").row_kind == RowKind.STRUCTURE.value


def _columns(run: Run, start: int, stop: int) -> dict[str, NDArray[Any]]:
    """What every format has beside the fingerprints."""
    first, last = _rows(run, start, stop)
    columns = {"status": run.status("fingerprint", first, last)}
    if not _pooled(run):
        structure, atom = run.locate(np.arange(first, last))
        number = run.reader.read("number", first, last)
        return {**columns, "number": number, "structure": structure, "atom": atom}
    for name in ("n_centres", "composition", "radius"):
        if name in run.names():
            columns[name] = run.reader.read(name, first, last)
    return {**columns, "structure": np.arange(first, last)}


def _npz(run: Run, output: Path, start: int, stop: int) -> int:
    first, last = _rows(run, start, stop)
    if run.sparse:
        found = run.sparse_fingerprints(range(first, last))
        values = {f"fingerprint_{k}": getattr(found, k) for k in ("data", "indices", "indptr")}
        values["fingerprint_shape"] = np.array(found.shape)
    else:
        values = {"fingerprint": run.reader.read("fingerprint", first, last)}
    np.savez(output, **values, **_columns(run, start, stop))  # type: ignore[arg-type]
    return last - first


def _parquet(run: Run, output: Path, start: int, stop: int) -> int:
    try:
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        raise StoreError("parquet needs pyarrow: pip install 'distdesc[parquet]'") from error
    writer = None
    for begin in range(start, stop, BLOCK):
        table = _table(run, begin, min(begin + BLOCK, stop))
        if writer is None:
            writer = pyarrow.parquet.ParquetWriter(output, table.schema, compression="zstd")
        writer.write_table(table)
    if writer is not None:
        writer.close()
    first, last = _rows(run, start, stop)
    return last - first


def _table(run: Run, start: int, stop: int) -> Any:
    """Rows of some structures as a table of pyarrow: one column a feature, or lists if sparse."""
    import pyarrow

    first, last = _rows(run, start, stop)
    columns: dict[str, Any] = _columns(run, start, stop)
    counts = columns.pop("composition", None)
    if counts is not None:
        elements = run.reader.attributes("composition")["elements"]
        columns |= {f"n_{name}": counts[:, k] for k, name in enumerate(elements)}
    if run.sparse:
        found = run.sparse_fingerprints(range(first, last))
        for name, values in (("features", found.indices), ("values", found.data)):
            columns[name] = pyarrow.LargeListArray.from_arrays(
                found.indptr.astype(np.int64), values
            )
        return pyarrow.table(columns)
    values = run.reader.read("fingerprint", first, last)
    names = run.reader.attributes("fingerprint").get("features")
    labels = names or [f"feature_{k}" for k in range(values.shape[1])]
    return pyarrow.table({**columns, **{str(n): values[:, k] for k, n in enumerate(labels)}})


def _extxyz(run: Run, output: Path, start: int, stop: int) -> int:
    """Structures that could not be read are left out of the file; `status` lists them."""
    with output.open("w") as file:
        for begin in range(start, stop, BLOCK):
            records = run.source.records(begin, min(begin + BLOCK, stop))
            for k, record in enumerate(records):
                if record is not None and len(record.numbers):
                    rows = run.rows_of(begin + k)
                    extra = {
                        "fingerprint": run.reader.read("fingerprint", rows.start, rows.stop),
                        "status": run.status("fingerprint", rows.start, rows.stop).astype(int),
                    }
                    write_extxyz(file, record, extra)
    first, last = _rows(run, start, stop)
    return last - first
