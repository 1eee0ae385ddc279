"""Tallies of stores: what was done before, from plan and receipts."""

from __future__ import annotations

from math import ceil

import numpy as np

from distdesc.errors import StoreError
from distdesc.monitor.stage_tally import StageTally
from distdesc.monitor.tally import Tally
from distdesc.place import Place
from distdesc.store.fits import pass_name, read_fitted
from distdesc.store.written import WrittenPlan, read_shard_table


def tally_of(path: Place, plan: WrittenPlan) -> Tally:
    """
    Tally of a store, in which nothing is done yet.

    Parameters
    ----------
    path : Place
        The store.
    plan : WrittenPlan
        Its written plan.

    Raises
    ------
    StoreError
        If a shard table cannot be read.
    """
    stages = []
    if plan.fit is not None and plan.fit.passes and not _is_fitted(path):
        parts, rows = max(1, plan.fit.parts), plan.fit.environments
        stages += [
            StageTally(pass_name(k), ceil(rows / parts), rows, np.ones(parts, np.int64))
            for k in range(plan.fit.passes)
        ]
    for layout in plan.layouts:
        table = read_shard_table(path, layout.stage)
        stages.append(StageTally(layout.stage, layout.shard_rows, layout.n_rows, table[:, 3]))
    question = str(plan.campaign.get("question", ""))
    return Tally(plan.digest, str(path), question, plan.n_structures, stages)


def _is_fitted(path: Place) -> bool:
    """Whether there is a record of the fit; with one that is damaged, a run fits again."""
    try:
        return read_fitted(path) is not None
    except StoreError:
        return False
