"""Options that say where and how, not what: ``[store]`` and ``[execution]`` of a job."""

from __future__ import annotations

from dataclasses import dataclass

from distdesc.checks import check_choice, check_count
from distdesc.errors import CampaignError
from distdesc.place import place

ISOLATION = ("after_crash", "always", "never")
"""When a shard is computed in a process of its own."""


@dataclass(frozen=True)
class StoreOptions:
    """
    Where rows go, and in what pieces.

    Parameters
    ----------
    path : str
        Folder of the store, relative to the current directory, or ``s3://bucket/name``; by
        custom it ends in ``.zarr``. Credentials for a bucket are in the environment.
    shard_rows : int
        Rows of a shard, the unit of work and of writing; 0 chooses about 32 MiB.
    chunk_rows : int
        Rows of a chunk, the unit of reading; divides `shard_rows`; 0 chooses about 2 MiB.
    sync : bool
        Whether rows are on disk before their receipt is, so that receipts hold after a loss of
        power too; without, only after the death of any process.
    """

    path: str
    shard_rows: int = 0
    chunk_rows: int = 0
    sync: bool = True

    def __post_init__(self) -> None:
        place(self.path)
        check_count("shard_rows", self.shard_rows)
        check_count("chunk_rows", self.chunk_rows)
        if self.chunk_rows and self.shard_rows % self.chunk_rows:
            raise CampaignError(
                f"shard_rows must be a multiple of chunk_rows, "
                f"got {self.shard_rows} and {self.chunk_rows}"
            )


@dataclass(frozen=True)
class Execution:
    """
    How the tasks are run; it never changes a result.

    Parameters
    ----------
    executor : str
        ``"dask"`` or ``"serial"``.
    workers : int
        Worker processes of an embedded Dask cluster; 0 means one per core.
    memory : float
        Memory of one worker, in GiB; 0 shares what the machine has.
    scheduler : str
        Address or scheduler file of a running Dask cluster to use instead of an embedded one.
    isolation : str
        When a shard is computed in a process of its own, which may die: ``"after_crash"`` of
        its Dask worker, ``"always"``, or ``"never"``.
    tls : str
        Folder of certificates with which scheduler, workers and client talk TLS only; of an
        embedded cluster also ``"temporary"``; empty for what Dask's configuration says.
    performance_report : bool
        Keep Dask's report of what every worker did when, in the store, at the end of a run.
    """

    executor: str = "dask"
    workers: int = 0
    memory: float = 0.0
    scheduler: str = ""
    isolation: str = "after_crash"
    tls: str = ""
    performance_report: bool = False

    def __post_init__(self) -> None:
        if self.workers < 0:
            raise CampaignError(f"workers must be >= 0, got {self.workers}")
        if self.memory < 0:
            raise CampaignError(f"memory must be >= 0 GiB, got {self.memory}")
        check_choice("isolation", self.isolation, ISOLATION)
