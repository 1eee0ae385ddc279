"""What a task reads: the structures of a range, and why some of them cannot be used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from distdesc.engine.workspace import Workspace
from distdesc.errors import SourceError
from distdesc.stages.stage import Stage
from distdesc.structures.batches import BatchBuilder, joined
from distdesc.structures.source import Structures
from distdesc.structures.validate import find_problems

NOTHING: Mapping[int, str] = {}


def read_structures(
    workspace: Workspace,
    start: int,
    stop: int,
    records: bool,
    without: Mapping[int, str] = NOTHING,
) -> Structures:
    """
    Read a range of structures, and make sure that they are those that were indexed.

    Parameters
    ----------
    workspace : Workspace
        For its source and index.
    start, stop : int
        Half-open range of structures.
    records : bool
        With all their data.
    without : mapping of int to str
        Structures that must not be touched, and why; they come as unreadable.

    Raises
    ------
    SourceError
        If the source cannot be read or has changed.
    """
    source, index = workspace.campaign.source, workspace.index
    batches = []
    for first, last in _between(start, stop, [k for k in sorted(without) if start <= k < stop]):
        if last == first:
            builder = BatchBuilder(index, first, first + 1, records)
            builder.add_problem(without[first])
            batches.append(builder.finish())
        else:
            batches.append(source.read(index, first, last, records=records))
    batch = batches[0] if len(batches) == 1 else joined(batches)
    if not np.array_equal(np.diff(batch.offsets), index.atom_counts[start:stop]):
        raise SourceError(
            f"structures {start} to {stop} of the source do not have the atoms that its index "
            f"says; it changed after it was indexed"
        )
    return batch


def problems_of(workspace: Workspace, stage: Stage, batch: Structures) -> dict[int, str]:
    """
    Structures of a batch that a stage cannot use, and why.

    Parameters
    ----------
    workspace : Workspace
        For its limits and descriptor.
    stage : Stage
        The stage.
    batch : Structures
        As read.

    Returns
    -------
    dict of int to str
        Reason, by position in the batch.
    """
    descriptor = workspace.campaign.descriptor
    if not stage.validates or descriptor is None:
        return dict(batch.problems)
    return find_problems(
        batch, workspace.campaign.limits, descriptor.accepted_numbers, descriptor.cutoff
    )


def _between(start: int, stop: int, without: Sequence[int]) -> Iterator[tuple[int, int]]:
    """
    Ranges that cover ``start:stop``, in order, but for what is left out.

    Each structure left out stands as an empty range in its place; an empty whole is one range.
    """
    first = start
    for k in without:
        if k > first:
            yield first, k
        yield k, k
        first = k + 1
    if first < stop or start == stop:
        yield first, stop
