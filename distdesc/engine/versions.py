"""Versions of everything that decides the stored bytes."""

from __future__ import annotations

import os
import platform
import socket
from functools import cache
from importlib.metadata import version
from typing import Any

import distdesc

PACKAGES = ("numpy", "numba", "llvmlite", "zarr", "numcodecs", "ase", "extxyz")


@cache
def versions() -> dict[str, str]:
    """Versions of Python, of distdesc and of the packages that decide the stored bytes."""
    python = ".".join(platform.python_version_tuple()[:2])
    return {
        "distdesc": distdesc.__version__,
        "python": python,
        **{name: version(name) for name in PACKAGES},
    }


def machine() -> dict[str, Any]:
    """Host, process, processor type and cores of this process."""
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "processor": platform.machine(),
        "cores": os.cpu_count(),
    }
