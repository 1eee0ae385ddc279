"""A run as Dask arrays and as an xarray Dataset: nothing is read until it is computed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from distdesc.errors import StoreError
from distdesc.schema import RowKind

if TYPE_CHECKING:
    import dask.array
    import xarray

    from distdesc.report.reader import Run

DENSE_BYTES = 64 * 2**20
"""Of a block of dense rows that are made from a sparse store."""

BLOCK_ARRAYS = ("blocks", "block_number")
"""What a Dataset has as dense fingerprints instead; their slots are mostly unused."""


def dask_array(run: Run, name: str) -> dask.array.Array:
    """
    See `Run.to_dask`.

    Parameters
    ----------
    run : Run
        The run.
    name : str
        Name of the array.

    Raises
    ------
    StoreError
        If there is no such array.
    """
    import dask.array

    if name == "fingerprint" and run.sparse:
        return _dense_rows(run)
    array = run.array(name)
    return dask.array.from_array(array, chunks=array.shards or array.chunks, name=False)


def dataset(run: Run) -> xarray.Dataset:
    """
    See `Run.to_xarray`.

    Parameters
    ----------
    run : Run
        The run.

    Raises
    ------
    StoreError
        If xarray is not installed.
    """
    try:
        import xarray
    except ModuleNotFoundError as error:
        raise StoreError("to_xarray needs xarray: pip install 'distdesc[xarray]'") from error
    variables: dict[str, Any] = {}
    for name in run.names():
        if name not in BLOCK_ARRAYS:
            array = run.array(name)
            dims = array.metadata.dimension_names  # type: ignore[union-attr]
            variables[name] = (dims, run.to_dask(name), run.reader.attributes(name))
    if run.sparse:
        variables["fingerprint"] = (("environment", "feature"), run.to_dask(), {})
    data = xarray.Dataset(variables, attrs=run.provenance())
    names = data.fingerprint.attrs.get("features") if "fingerprint" in data else None
    if names and len(names) == data.sizes.get("feature"):
        data = data.assign_coords(feature=("feature", list(names)))
    if any(x.row_kind == RowKind.ENVIRONMENT.value for x in run.plan.layouts):
        structure, atom = _row_coordinates(run)
        data = data.assign_coords(structure=("environment", structure), atom=("environment", atom))
    return data


def _dense_rows(run: Run) -> dask.array.Array:
    import dask.array

    array, layout = run.array("blocks"), run.plan.layout("fingerprint")
    width = int(run.reader.attributes("blocks")["block_starts"][-1])
    length = min(max(1, DENSE_BYTES // (width * array.dtype.itemsize)), layout.shard_rows)
    rows = dask.array.arange(layout.n_rows, chunks=length, dtype=np.int64)
    return dask.array.map_blocks(
        run.fingerprints, rows, dtype=array.dtype, new_axis=1,
        chunks=(rows.chunks[0], (width,)), meta=np.empty((0, 0), dtype=array.dtype),
    )  # fmt: skip


def _row_coordinates(run: Run) -> tuple[Any, Any]:
    import dask.array

    layout = next(x for x in run.plan.layouts if x.row_kind == RowKind.ENVIRONMENT.value)
    rows = dask.array.arange(layout.n_rows, chunks=layout.shard_rows, dtype=np.int64)
    structure = rows.map_blocks(lambda r: run.locate(r)[0], dtype=np.int64)
    return structure, rows.map_blocks(lambda r: run.locate(r)[1], dtype=np.int64)
