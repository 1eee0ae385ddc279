"""The frame of a store: all that is in it before any row is; made anew to check or restore it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from math import ceil
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

from distdesc.engine.plan import BLOCK, shard_table
from distdesc.engine.sample import plan_fit
from distdesc.engine.scan import count_offsets
from distdesc.engine.workspace import rebuild, version_differences
from distdesc.errors import StoreError
from distdesc.place import Place
from distdesc.store.arrays import consolidate, create_array, create_group, create_offsets
from distdesc.store.checked import UNREADABLE
from distdesc.store.fits import TABLE
from distdesc.store.layout import system_specs
from distdesc.store.objects import parsed
from distdesc.store.projection import GROUP, fitted_metadata
from distdesc.store.rows import digest_rows
from distdesc.store.storage import files, read, replace
from distdesc.store.written import WrittenPlan, read_shard_table, write_shard_table
from distdesc.structures.index import SourceIndex

log = logging.getLogger(__name__)

ROOT = Path("zarr.json")
OFFSETS = Path("offsets")
CONSOLIDATED = "consolidated_metadata"


def lay_out(path: Place, plan: WrittenPlan, index: SourceIndex | None) -> None:
    """
    Write groups, empty arrays, offsets and shard tables: the same bytes every time.

    Parameters
    ----------
    path : Place
        The store.
    plan : WrittenPlan
        What it is for.
    index : SourceIndex or None
        Of its source; None leaves out offsets and shard tables, which take long if it is large.
    """
    campaign = rebuild(plan)
    create_group(path, provenance(plan))
    for layout, stage in zip(plan.layouts, campaign.stages, strict=True):
        outputs = stage.outputs()
        for spec in (*outputs, *system_specs(layout.stage, outputs)):
            create_array(path, layout, spec)
    if index is not None:
        offsets = count_offsets(index)
        for layout in plan.layouts:
            write_shard_table(path, layout.stage, shard_table(offsets, layout))
        fit = plan_fit(campaign, offsets)
        if fit is not None:
            write_shard_table(path, TABLE, fit.table)
        create_offsets(path, offsets, BLOCK)
    consolidate(path)


def provenance(plan: WrittenPlan) -> dict[str, Any]:
    """
    Attributes of the root group: what the store holds and what it was made from.

    Times and machines are in ``run/plan.json`` and in the receipts, so that two runs of one
    campaign give the same bytes here.

    Parameters
    ----------
    plan : WrittenPlan
        What the store is for.
    """
    return {
        "distdesc": {
            "campaign": plan.identity,
            "digest": plan.digest,
            "source_digest": plan.source_digest,
            "structures": plan.n_structures,
            "atoms": plan.n_atoms,
            "stages": [x.stage for x in plan.layouts],
            "versions": plan.versions,
        }
    }


def frame_faults(
    path: Place, plan: WrittenPlan, index: SourceIndex, whole: bool = True
) -> dict[Path, str]:
    """
    Files of the frame that are not as they were written, and how.

    Parameters
    ----------
    path : Place
        The store.
    plan : WrittenPlan
        What it is for.
    index : SourceIndex
        Of its source.
    whole : bool
        See `restore_frame`.

    Returns
    -------
    dict of pathlib.Path to str
        What is wrong, by path within the store.
    """
    whole = whole or not (_has_offsets(path, plan) and _has_tables(path, plan))
    with _scratch(plan, index if whole else None) as scratch:
        return dict(_differences(scratch, path, plan))


def restore_frame(
    path: Place, plan: WrittenPlan, index: SourceIndex, whole: bool = False
) -> dict[Path, str]:
    """
    Write again what a loss of power, a deletion or a bad disk took from the frame.

    Parameters
    ----------
    path : Place
        The store.
    plan : WrittenPlan
        What it is for.
    index : SourceIndex
        Of its source.
    whole : bool
        Compare offsets and shard tables too, which takes long if there are many structures;
        otherwise, they are looked at only if one of them is missing, or a table is damaged.

    Returns
    -------
    dict of pathlib.Path to str
        What was wrong, by path within the store.
    """
    whole = whole or not (_has_offsets(path, plan) and _has_tables(path, plan))
    with _scratch(plan, index if whole else None) as scratch:
        faults = dict(_differences(scratch, path, plan))
        for name, what in faults.items():
            log.warning("%s %s; it is written again", path / name, what)
            replace(path / name, (scratch / name).read_bytes())
    if faults:
        consolidate(path)
    return faults


@contextmanager
def _scratch(plan: WrittenPlan, index: SourceIndex | None) -> Iterator[Path]:
    with TemporaryDirectory() as scratch:
        lay_out(Path(scratch), plan, index)
        yield Path(scratch)


def _differences(scratch: Path, path: Place, plan: WrittenPlan) -> Iterator[tuple[Path, str]]:
    """Files that should be as in another folder, and are not."""
    comparable = not version_differences(plan)
    for file in sorted(scratch.rglob("*")):
        name = file.relative_to(scratch)
        if not file.is_file():
            continue
        try:
            found = read(path / name)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            yield name, "is missing"
            continue
        if comparable and not (_same_root if name == ROOT else _same)(file, found, path):
            yield name, "has other bytes than were written"


def _same(file: Path, data: bytes, path: Place) -> bool:
    return data == file.read_bytes()


def _same_root(file: Path, data: bytes, path: Place) -> bool:
    """Whether the root is as it was written; it lists a projection too, once that is fitted."""
    expected = json.loads(file.read_bytes())
    try:
        root_now = parsed(data)
        listed = root_now.pop(CONSOLIDATED)["metadata"]
    except (ValueError, KeyError, TypeError, AttributeError):
        return False
    mine = expected.pop(CONSOLIDATED)["metadata"] | _projection(file.parent, path)
    return bool(root_now == expected and all(listed.get(k) == v for k, v in mine.items()))


def _projection(scratch: Path, path: Place) -> dict[str, Any]:
    """
    What the root has to list of a projection, made from its own metadata; nothing until it is
    fitted, nor of metadata that are damaged themselves: the next fit writes these and the root.
    """
    metadata = fitted_metadata(path)
    for name, data in metadata.items():
        replace(scratch / GROUP / name, data)
    if not metadata:
        return {}
    with suppress(*UNREADABLE):
        consolidate(scratch)
    listed = json.loads((scratch / ROOT).read_bytes())[CONSOLIDATED]["metadata"]
    return {k: v for k, v in listed.items() if PurePosixPath(k).parts[0] == GROUP}


def _has_offsets(path: Place, plan: WrittenPlan) -> bool:
    chunks = {f"c/{k}" for k in range(ceil((plan.n_structures + 1) / BLOCK))}
    return {"zarr.json", *chunks} <= set(files(path / OFFSETS))


def _has_tables(path: Place, plan: WrittenPlan) -> bool:
    """Whether shard tables are as they were planned: rows would be computed at wrong places."""
    names = [layout.stage for layout in plan.layouts]
    names += [] if plan.fit is None else [TABLE]
    try:
        return all(digest_rows(read_shard_table(path, k)) == plan.tables.get(k) for k in names)
    except StoreError:
        return False
