"""What ``import distdesc`` offers."""

from __future__ import annotations

import subprocess
import sys

import pytest

import distdesc


@pytest.mark.parametrize("name", distdesc.__all__)
def test_every_public_name_exists_and_is_documented(name):
    assert getattr(distdesc, name).__doc__


def test_there_are_few_public_names_and_no_others():
    assert sorted(distdesc.__all__) == distdesc.__all__
    assert len(distdesc.__all__) <= 15
    assert set(dir(distdesc)) - {"__version__"} == set(distdesc.__all__)
    with pytest.raises(AttributeError, match="has no attribute nonsense"):
        distdesc.nonsense  # noqa: B018


def test_importing_the_package_and_its_command_line_loads_nothing_heavy():
    code = (
        "import sys, distdesc, distdesc.cli;"
        "print([m for m in ('numba', 'zarr', 'dask', 'ase', 'distributed') if m in sys.modules])"
    )
    assert printed(code) == "[]"


def test_workers_that_read_plain_text_do_not_wait_for_the_parsers_of_ase():
    code = (
        "import sys, distdesc.structures.extxyz, distdesc.engine.task, distdesc.stages.fingerprint;"
        "print([m for m in ('ase.io', 'ase.db', 'scipy.integrate') if m in sys.modules])"
    )
    assert printed(code) == "[]"


def printed(code: str) -> str:
    """Output of a new interpreter."""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return found.stdout.strip()
