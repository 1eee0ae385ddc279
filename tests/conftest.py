"""Fixtures for all tests: one small real database, made once."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

import distdesc

# How long an example takes depends on what else the machine does.
settings.register_profile("distdesc", deadline=None)
settings.load_profile("distdesc")

ROOT = Path(__file__).parent.parent
MEMORY = Path("/dev/shm")
ROOM = 4 * 2**30
"""Bytes that must be free in memory for what tests write."""

MANY = 1000
"""Tests, for which it is worth while to compile beforehand."""


def pytest_configure(config: pytest.Config) -> None:
    """Take what tests write to memory, where disks need not be waited for, and cores in turns."""
    if MEMORY.is_dir():
        found = os.statvfs(MEMORY)
        # Some tests run programs that they wrote.
        if found.f_bavail * found.f_frsize > ROOM and not found.f_flag & os.ST_NOEXEC:
            os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))
    if config.getoption("numprocesses", default=None):
        # Of the processes beside each other, started after this, each has a core.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """
    Compile kernels once: each of the processes beside each other compiles its share of them.

    None begins with its tests before all have collected theirs, and so none does a share twice.
    """
    process = getattr(config, "workerinput", None)
    if process is not None and len(items) > MANY:
        from kernels import compile_share

        compile_share(int(process["workerid"].removeprefix("gw")), process["workercount"])


def pytest_report_header() -> str:
    """Say which package is tested: the installed one."""
    return f"distdesc: {Path(distdesc.__file__).parent}"


@pytest.fixture(scope="session")
def molecules() -> Path:
    """60 molecules of QM9 in extended XYZ."""
    return ROOT / "tests" / "data" / "molecules_60.xyz"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the large data sets; the test is skipped where there is none."""
    folder = Path(os.environ.get("DISTDESC_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no large data: set DISTDESC_DATA, or put it in {folder}")
    return folder


@pytest.fixture(scope="session")
def oracle(shared_data) -> Callable[[str], Any]:
    """Known answers about null motions, by the name of a file beside the large data sets."""
    folder = shared_data.parent / "oracle" / "jacobian"
    if not folder.is_dir():
        pytest.skip(f"no known answers in {folder}")
    return lambda name: json.loads((folder / f"{name}.json").read_text())
