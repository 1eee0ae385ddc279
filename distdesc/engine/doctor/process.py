"""What a process says about itself and its machine; runs in client, scheduler and workers."""

from __future__ import annotations

import os
import resource
import shutil
import socket
import sys
import sysconfig
import tempfile
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import threadpoolctl

from distdesc.engine.versions import versions

CLUSTER_PACKAGES = ("dask", "distributed", "cloudpickle", "msgpack", "tornado")
"""With which client, scheduler and workers understand each other."""

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
)


def process_facts(folder: str = "") -> dict[str, Any]:
    """
    Facts of this process, JSON-compatible; what is right is judged elsewhere.

    Parameters
    ----------
    folder : str
        Where it keeps what is temporary; by default where Python does.
    """
    folder = folder or tempfile.gettempdir()
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "time": time.time(),
        "python": sys.version.split()[0],
        "versions": {**versions(), **{name: _version(name) for name in CLUSTER_PACKAGES}},
        "cores": len(os.sched_getaffinity(0)),
        "memory": pages,
        "variables": {name: os.environ.get(name, "") for name in THREAD_VARIABLES},
        "pools": {
            f"{pool['user_api']} ({Path(pool['filepath']).name})": pool["num_threads"]
            for pool in threadpoolctl.threadpool_info()
        },
        "files": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        "folder": folder,
        "free": shutil.disk_usage(folder).free if os.path.isdir(folder) else -1,
        "cache": compile_cache(),
    }


def compile_cache() -> dict[str, Any]:
    """Where compiled kernels are kept, and whether they can be."""
    import distdesc

    given = os.environ.get("NUMBA_CACHE_DIR")
    folder = Path(given) if given else Path(distdesc.__file__).parent
    there = next((f for f in (folder, *folder.parents) if f.is_dir()), folder)
    fallback = Path.home() / ".cache"
    return {
        "folder": str(folder),
        "writable": os.access(there, os.W_OK),
        "fallback": not given
        and os.access(fallback if fallback.is_dir() else Path.home(), os.W_OK),
        "platform": sysconfig.get_platform(),
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
