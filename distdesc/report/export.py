"""Rows of a store as files that other programs read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distdesc.campaign import Campaign
from distdesc.errors import CampaignError, StoreError
from distdesc.report.reader import Run
from distdesc.structures.index import SourceIndex
from distdesc.structures.records import write_extxyz

BLOCK = 1024
"""Structures held in memory at a time."""


def export(run: Run, output: Path, structures: str = "") -> int:
    """
    Write fingerprints with their structure, atom, element and status.

    Parameters
    ----------
    run : Run
        A store with fingerprints.
    output : pathlib.Path
        ``.npz``, ``.parquet``, ``.xyz`` or ``.extxyz``.
    structures : str
        ``"a:b"``, half-open; all if empty.

    Returns
    -------
    int
        Rows written.

    Raises
    ------
    CampaignError
        If suffix or range are not of these forms.
    StoreError
        If the store has no fingerprints, or a package is missing.
    SourceError
        If extended XYZ is asked for and the source cannot be read.
    """
    writers = {
        ".npz": _npz,
        ".parquet": _parquet,
        ".xyz": _extxyz,
        ".extxyz": _extxyz,
    }
    if output.suffix not in writers:
        raise CampaignError(f"output must end in {', '.join(writers)}, got {output.name}")
    if "fingerprint" not in run.names():
        raise StoreError(
            f"{run.path} has no fingerprints to export; it has: {', '.join(run.names())}"
        )
    start, stop = _range(structures, run.n_structures)
    index = SourceIndex.load(run.path / "run" / "index")
    if str(output.absolute()) in {stamp.path for stamp in index.files}:
        raise CampaignError(f"output must not be the source itself, got {output}")
    partial = output.with_name(f".{output.stem}.partial{output.suffix}")
    try:
        writers[output.suffix](run, partial, start, stop)
        partial.rename(output)
    finally:
        partial.unlink(missing_ok=True)
    return _rows(run, start, stop)[1] - _rows(run, start, stop)[0]


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
    return run.rows_of(start).start, run.rows_of(stop - 1).stop


def _columns(run: Run, start: int, stop: int) -> dict[str, NDArray[Any]]:
    first, last = _rows(run, start, stop)
    structure, atom = run.locate(np.arange(first, last))
    return {
        "fingerprint": run.reader.read("fingerprint", first, last),
        "status": run.status("fingerprint", first, last),
        "number": run.reader.read("number", first, last),
        "structure": structure,
        "atom": atom,
    }


def _npz(run: Run, output: Path, start: int, stop: int) -> None:
    np.savez(output, **_columns(run, start, stop))  # type: ignore[arg-type]


def _parquet(run: Run, output: Path, start: int, stop: int) -> None:
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        raise StoreError("parquet needs pyarrow: pip install 'distdesc[parquet]'") from error
    names = run.reader.attributes("fingerprint").get("features")
    writer = None
    for begin in range(start, stop, BLOCK):
        columns = _columns(run, begin, min(begin + BLOCK, stop))
        values = columns.pop("fingerprint")
        labels = names or [f"feature_{k}" for k in range(values.shape[1])]
        table = pyarrow.table({**columns, **{str(n): values[:, k] for k, n in enumerate(labels)}})
        if writer is None:
            writer = pyarrow.parquet.ParquetWriter(output, table.schema, compression="zstd")
        writer.write_table(table)
    if writer is not None:
        writer.close()


def _extxyz(run: Run, output: Path, start: int, stop: int) -> None:
    """Structures that could not be read are left out of the file; `status` lists them."""
    campaign = Campaign.from_dict(run.plan.campaign)
    index = SourceIndex.load(run.path / "run" / "index")
    changed = index.changed_file()
    if changed is not None:
        raise StoreError(f"{changed}: its structures are not those of {run.path}")
    with output.open("w") as file:
        for begin in range(start, stop, BLOCK):
            end = min(begin + BLOCK, stop)
            batch = campaign.source.read(index, begin, end, records=True)
            for k, record in enumerate(batch.records or ()):
                if record is not None and len(record.numbers):
                    rows = run.rows_of(begin + k)
                    extra = {
                        "fingerprint": run.reader.read("fingerprint", rows.start, rows.stop),
                        "status": run.status("fingerprint", rows.start, rows.stop).astype(int),
                    }
                    write_extxyz(file, record, extra)
