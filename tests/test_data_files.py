"""Committed data stays small and has a provenance."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = [ROOT / "tests" / "data", ROOT / "jobs" / "data"]
FILES = [
    f
    for folder in FOLDERS
    for f in sorted(folder.rglob("*"))
    if f.is_file() and f.name != "README.md"
]


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.relative_to(ROOT).as_posix())
def test_a_data_file_is_small_and_its_readme_names_it(file):
    assert file.stat().st_size <= 200 * 1024
    folder = next(f for f in FOLDERS if file.is_relative_to(f))
    assert file.name in (folder / "README.md").read_text()
