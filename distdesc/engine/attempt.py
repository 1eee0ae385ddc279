"""What every attempt of a task does alike: refuse other versions, keep time, fill in a receipt."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from distdesc.engine.memory import peak_rss, reset_peak
from distdesc.engine.plan import Task
from distdesc.engine.versions import machine, versions
from distdesc.engine.workspace import Workspace, open_workspace
from distdesc.errors import LastingError
from distdesc.place import Place
from distdesc.stopwatch import Stopwatch
from distdesc.store.receipts import Receipt


@dataclass(frozen=True)
class Attempt:
    """
    One try of a task in this process, from when it is made.

    Parameters
    ----------
    path : Place
        The store.
    digest : str
        Of the campaign.
    task : Task
        What is tried.
    clock : Stopwatch
        Told what the time is spent on.
    """

    path: Place
    digest: str
    task: Task
    clock: Stopwatch = field(default_factory=Stopwatch)
    _begun: float = field(default_factory=time.perf_counter, init=False)

    def __post_init__(self) -> None:
        reset_peak()

    def workspace(self, wanted: Mapping[str, str], reduced: bool = True) -> Workspace:
        """
        Open the store, with the versions that the client has.

        Parameters
        ----------
        wanted : mapping of str to str
            Versions that the client runs with.
        reduced : bool
            Whether stages get the projection of the store, if it has one.

        Raises
        ------
        DistdescError
            If the store, the source or the versions are not what the campaign was planned with.
        """
        _check_versions(wanted)
        return open_workspace(self.path, self.digest, reduced=reduced)

    def receipt(
        self,
        structures: int,
        counts: dict[str, int],
        problems: Mapping[int, str],
        untouched: Collection[int],
        digests: dict[str, str],
        objects: dict[str, tuple[int, str]],
        projection: str = "",
    ) -> Receipt:
        """
        Receipt of what was done, at the end; the arguments are those of `Receipt`.

        Parameters
        ----------
        structures : int
            That begin in the shard.
        counts : dict of str to int
            Rows by outcome.
        problems : mapping of int to str
            Structures set aside, and why.
        untouched : collection of int
            Those of them that must not be touched.
        digests : dict of str to str
            Of the values of each array.
        objects : dict of str to tuple of int and str
            Size and digest of each object.
        projection : str
            Digest of the projection that reduced the rows.
        """
        task = self.task
        self.clock.seconds["total"] = time.perf_counter() - self._begun
        return Receipt(
            campaign=self.digest,
            stage=task.stage,
            shard=task.shard,
            rows=(task.row_start, task.row_stop),
            structures=structures,
            counts=counts,
            quarantined=sorted(problems.items()),
            crashed=sorted(untouched),
            digests=digests,
            objects=objects,
            seconds={k: round(v, 6) for k, v in self.clock.seconds.items()},
            where={**machine(), "versions": versions(), "peak_rss": peak_rss()},
            finished=time.time(),
            projection=projection,
        )


def _check_versions(wanted: Mapping[str, str]) -> None:
    """Refuse to compute with other versions than the client's, naming each and this host."""
    here = versions()
    differing = [f"{k} {v} → {here.get(k)}" for k, v in wanted.items() if here.get(k) != v]
    if differing:
        raise LastingError(
            f"the worker on {machine()['host']} has other versions than the client: "
            f"{', '.join(differing)}; install the same on all machines"
        )
