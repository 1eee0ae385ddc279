"""The sample that a reduction is fitted on: which rows, in which tasks, at what cost in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray

from distdesc.campaign import Campaign
from distdesc.engine.memory import PROCESS_BYTES
from distdesc.engine.plan import Task
from distdesc.errors import CampaignError
from distdesc.stages.fingerprint import Fingerprint
from distdesc.store.fits import pass_name
from distdesc.store.written import FitLayout

RUN_ROWS = 16
"""Rows drawn together at the least: about a molecule, so that little is read in vain."""

MIN_RUNS = 64
"""Runs of a sample at the least: atoms of one large structure are much alike."""

SLICE_ROWS = 512
"""Rows sketched at once at the most."""

SLICE_NUMBERS = 2**22
"""Numbers of a slice at the most, whatever the length of a fingerprint."""

PART_ROWS = 256
"""Rows of a part at the least, where there are so many."""

MAX_PARTS = 128
"""Parts of a pass: enough for many workers, few enough for the disk that holds their sketches."""


@dataclass(frozen=True)
class FitPlan:
    """
    What each part of a pass over the sample reads.

    Parameters
    ----------
    layout : FitLayout
        Sizes.
    table : ndarray, shape (n_runs, 5), int64
        Runs of rows: rows start and stop, structures start and stop to read, row of the first
        atom of the first structure.
    """

    layout: FitLayout
    table: NDArray[np.int64]

    def runs(self, part: int) -> NDArray[np.int64]:
        """
        Lines of the table that belong to a part.

        Parameters
        ----------
        part : int
            Its number.
        """
        begin, end = (k * len(self.table) // self.layout.parts for k in (part, part + 1))
        return self.table[begin:end]

    def tasks(self, number: int, parts: Iterable[int]) -> Iterator[Task]:
        """
        Tasks of some parts of a pass, one at a time; each spans its first to its last run.

        Parameters
        ----------
        number : int
            Of the pass.
        parts : iterable of int
            Their numbers.
        """
        for part in parts:
            first, last = (self.runs(part)[k].tolist() for k in (0, -1))
            yield Task(pass_name(number), part, first[0], last[1], first[2], last[3], first[4])


def plan_fit(campaign: Campaign, offsets: NDArray[np.int64]) -> FitPlan | None:
    """
    Plan of the fit of a campaign's reduction; None if it has none.

    Parameters
    ----------
    campaign : Campaign
        The campaign.
    offsets : ndarray, shape (n_structures + 1,), int64
        Atoms before each structure.
    """
    reduction, descriptor = campaign.reduction, campaign.descriptor
    if reduction is None or descriptor is None:
        return None
    n_features = descriptor.n_features
    table = np.empty((0, 5), dtype=np.int64)
    if reduction.passes:
        rows = draw_runs(offsets, reduction.sample, reduction.seed, slice_rows(n_features))
        table = _with_structures(rows, offsets)
    environments = int((table[:, 1] - table[:, 0]).sum())
    parts = min(MAX_PARTS, len(table), max(1, environments // PART_ROWS))
    layout = FitLayout(
        campaign.sections["reduction"]["name"], n_features, reduction.n_components,
        environments, reduction.passes, parts, len(table),
    )  # fmt: skip
    return FitPlan(layout, table)


def check_fit(campaign: Campaign, n_environments: int) -> None:
    """
    Refuse a reduction to more components than the environments of the source can have.

    Parameters
    ----------
    campaign : Campaign
        The campaign.
    n_environments : int
        Of the source.

    Raises
    ------
    CampaignError
        If there are too few environments.
    """
    reduction = campaign.reduction
    if reduction is not None and reduction.passes and n_environments <= reduction.n_components:
        raise CampaignError(
            f"[reduction] n_components must be less than the {n_environments} environments of "
            f"the source, got {reduction.n_components}"
        )


def projected_memory(campaign: Campaign, n_features: int, largest: int) -> int:
    """
    Peak memory of a worker while it sketches, projected, in bytes.

    Parameters
    ----------
    campaign : Campaign
        For its descriptor and reduction.
    n_features : int
        Length of a fingerprint.
    largest : int
        Atoms of the largest structure.
    """
    rows = slice_rows(n_features)
    width = campaign.reduction.width(n_features) if campaign.reduction is not None else 0
    # Rows as computed, waiting and put together, their deviations and the transpose of these;
    # the basis, the sketches of part and slice, both merged, and the correction.
    slices, sketches = 5 * 8 * n_features * rows, 6 * 8 * n_features * width
    stage = unreduced(campaign).working_memory(rows, largest)
    return PROCESS_BYTES + stage + slices + sketches


def sketch_bytes(campaign: Campaign, layout: FitLayout) -> int:
    """
    Bytes of the sketches that lie in the store while a pass goes on.

    Parameters
    ----------
    campaign : Campaign
        For its reduction.
    layout : FitLayout
        Sizes.
    """
    width = campaign.reduction.width(layout.n_features) if campaign.reduction is not None else 0
    return 8 * layout.parts * layout.n_features * (width + 1)


def unreduced(campaign: Campaign) -> Fingerprint:
    """
    Stage whose rows the reduction is fitted on: whole fingerprints, in full precision.

    Parameters
    ----------
    campaign : Campaign
        For its descriptor.

    Raises
    ------
    CampaignError
        If it has none.
    """
    if campaign.descriptor is None:
        raise CampaignError("[descriptor] is missing; [reduction] reduces its fingerprints")
    return Fingerprint(campaign.descriptor)


def slice_rows(n_features: int) -> int:
    """
    Rows that are sketched at once.

    Parameters
    ----------
    n_features : int
        Length of a fingerprint.
    """
    return max(RUN_ROWS, min(SLICE_ROWS, SLICE_NUMBERS // n_features))


def draw_runs(
    offsets: NDArray[np.int64], sample: int, seed: int, longest: int
) -> NDArray[np.int64]:
    """
    Runs of rows drawn without replacement, or all rows if they are not more than the sample.

    Every row is drawn with the same probability. A run has about as many rows as a structure
    has atoms, since a structure is read as a whole, but not so many that there are few runs.

    Parameters
    ----------
    offsets : ndarray, shape (n_structures + 1,), int64
        Atoms before each structure.
    sample : int
        Rows wanted, about; 0 for all.
    seed : int
        Of the draw.
    longest : int
        Rows of a run at the most.

    Returns
    -------
    ndarray, shape (n_runs, 2), int64
        Half-open ranges, by row.
    """
    n_rows = int(offsets[-1])
    atoms = round(n_rows / max(1, len(offsets) - 1))
    length = min(longest, max(RUN_ROWS, min(atoms, sample // MIN_RUNS)))
    wanted, total = ceil(sample / length), ceil(n_rows / length)
    if sample == 0 or wanted >= total:
        length = min(longest, PART_ROWS)
        starts = np.arange(0, n_rows, length, dtype=np.int64)
        return np.stack([starts, np.minimum(starts + length, n_rows)], axis=1)
    drawn = np.random.default_rng(seed).choice(total, wanted, replace=False, shuffle=False)
    starts = np.sort(drawn).astype(np.int64) * length
    return np.stack([starts, np.minimum(starts + length, n_rows)], axis=1)


def _with_structures(rows: NDArray[np.int64], offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    first = np.searchsorted(offsets, rows[:, 0], side="right") - 1
    last = np.searchsorted(offsets, rows[:, 1], side="left")
    return np.column_stack([rows, first, last, offsets[first]])
