"""Settings of Dask that campaigns need, wherever a scheduler, a worker or a client starts."""

from __future__ import annotations

from typing import Any

ONE_THREAD = dict.fromkeys(
    (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "NUMBA_NUM_THREADS",
        "RAYON_NUM_THREADS",
    ),
    "1",
)
"""Environment of a worker: its one thread is what computes; libraries start none beside it."""

SETTINGS: dict[str, Any] = {
    # Shards are equal and long; moving them between workers only delays them.
    "distributed.scheduler.work-stealing": False,
    # Rows go to the store, not through the workers' memory: nothing to spill.
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": 0.90,
    "distributed.worker.memory.terminate": 0.95,
    "distributed.worker.profile.enabled": False,
    # All tasks of a worker that died are suspected, the innocent too: they are computed in
    # processes of their own, which tells who it was, rather than kill more workers.
    "distributed.scheduler.allowed-failures": 0,
    # A scheduler of a thousand workers, or on a busy machine, may take a while to answer.
    "distributed.comm.timeouts.connect": "60s",
    "distributed.comm.timeouts.tcp": "120s",
    # Of each message, transition and event, the last so many are kept: by default 10^5 of each
    # kind and worker, for whoever looks for faults in Dask, and hundreds of MiB after 10^5 shards.
    "distributed.admin.low-level-log-length": 1000,
    "distributed.scheduler.dashboard.tasks.task-stream-length": 10_000,
    # A worker reuses the memory of one shard for the next, instead of giving it back and
    # having every page cleared again by the kernel.
    "distributed.nanny.pre-spawn-environ": {
        **ONE_THREAD,
        "MALLOC_TRIM_THRESHOLD_": str(2**28),
        "MALLOC_MMAP_THRESHOLD_": str(2**25),
    },
}
