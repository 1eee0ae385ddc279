"""How the shards of a run, and the parts of its fit, are tried: in the worker, or in a child."""

from __future__ import annotations

from functools import partial

from distdesc.campaign import Campaign
from distdesc.engine.child_process import Bounds
from distdesc.engine.executors.executor import TaskFunction
from distdesc.engine.isolation import run_isolated
from distdesc.engine.sketching import sketch_part
from distdesc.engine.task import run_task
from distdesc.engine.versions import versions

SHARE = 0.95
"""Of a worker's memory, that a shard may use: what Dask's nannies let a worker use."""


class Tries:
    """
    Attempts of a campaign, to be handed to an executor.

    Parameters
    ----------
    campaign : Campaign
        For its store, limits and isolation.
    digest : str
        Of the campaign as planned.
    memory : int
        Of a worker, in bytes.
    """

    def __init__(self, campaign: Campaign, digest: str, memory: int) -> None:
        self.path, self.digest = campaign.path, digest
        self.isolation = campaign.execution.isolation
        self.bounds = Bounds(int(SHARE * memory), campaign.limits.structure_seconds)

    def of_shards(self) -> tuple[TaskFunction, TaskFunction | None]:
        """Attempt of a shard, and the one that follows when it killed its worker."""
        attempt = partial(run_task, self.path, self.digest, versions(), memory=self.bounds.memory)
        return self._pair(attempt, None)

    def of_parts(self, number: int, basis: str) -> tuple[TaskFunction, TaskFunction | None]:
        """
        Attempt of a part of a pass of the fit, and the one that follows.

        Parameters
        ----------
        number : int
            Of the pass.
        basis : str
            XXH3-128 of the file of its basis.
        """
        attempt = partial(sketch_part, self.path, self.digest, versions(), number, basis)
        return self._pair(attempt, (number, basis))

    def _pair(
        self, attempt: TaskFunction, fit: tuple[int, str] | None
    ) -> tuple[TaskFunction, TaskFunction | None]:
        isolated = partial(run_isolated, self.path, self.digest, versions(), self.bounds, fit)
        if self.isolation == "always":
            return isolated, isolated
        return attempt, None if self.isolation == "never" else isolated
