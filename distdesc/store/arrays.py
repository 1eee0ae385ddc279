"""Arrays of a store, created empty by the client before any row is computed."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import BloscCodec, Crc32cCodec, ZstdCodec
from zarr.errors import ZarrUserWarning

from distdesc.place import Place
from distdesc.schema import ArraySpec
from distdesc.store.layout import StageLayout
from distdesc.store.storage import zarr_store

ROW_DIMS = {"environment": "environment", "structure": "structure"}


def create_group(path: Place, attributes: Mapping[str, Any]) -> None:
    """
    Create the root group of a store, and the group ``run`` that holds plan and receipts.

    Parameters
    ----------
    path : Place
        The store.
    attributes : mapping
        JSON-compatible attributes of the root.
    """
    store = zarr_store(path)
    zarr.create_group(store, attributes=dict(attributes))
    zarr.create_group(store, path="run", attributes={"purpose": "plan, index and receipts"})


def create_array(path: Place, layout: StageLayout, spec: ArraySpec) -> None:
    """
    Create one empty array.

    Parameters
    ----------
    path : Place
        The store.
    layout : StageLayout
        Of the stage that writes the array.
    spec : ArraySpec
        The array.
    """
    shape, shards, chunks = layout.geometry(spec)
    text = spec.dtype == "string"
    lead = spec.ragged.item if spec.ragged else ROW_DIMS[layout.row_kind]
    zarr.create_array(
        zarr_store(path),
        name=spec.name,
        shape=shape,
        shards=shards,
        chunks=chunks,
        dtype=str if text else np.dtype(spec.dtype),
        fill_value=spec.fill,
        compressors=[
            ZstdCodec(level=1) if text else BloscCodec(cname="lz4", clevel=5, shuffle="shuffle"),
            Crc32cCodec(),
        ],
        dimension_names=(lead, *spec.dims),
        attributes={"unit": spec.unit, "description": spec.description, **spec.attributes},
    )


def create_offsets(path: Place, offsets: NDArray[np.int64], block: int) -> None:
    """
    Create and fill the array ``offsets``: atoms before each structure.

    Structure i has the environments ``offsets[i]:offsets[i + 1]``.

    Parameters
    ----------
    path : Place
        The store.
    offsets : ndarray, shape (n_structures + 1,), int64
        The values.
    block : int
        Entries of a chunk.
    """
    array = zarr.create_array(
        zarr_store(path),
        name="offsets",
        shape=offsets.shape,
        chunks=(min(block, len(offsets)),),
        dtype=offsets.dtype,
        compressors=[BloscCodec(cname="lz4", clevel=5, shuffle="shuffle"), Crc32cCodec()],
        dimension_names=("edge",),
        attributes={
            "unit": "1",
            "description": "Environments of structure i are rows offsets[i] to offsets[i + 1].",
        },
    )
    for start in range(0, len(offsets), block):
        array[start : start + block] = offsets[start : start + block]


def consolidate(path: Place) -> None:
    """
    Write consolidated metadata, so that opening a store needs one read.

    Parameters
    ----------
    path : Place
        The store; no array is created or changed in shape after this.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ZarrUserWarning)
        zarr.consolidate_metadata(zarr_store(path))
