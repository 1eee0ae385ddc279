"""What the fuzz once found stays mended; seeds of the next one."""

from __future__ import annotations

from pathlib import Path

import pytest
from reference.extxyz_index import assert_index_is_right, assert_reading_is_safe

CORPUS = Path(__file__).parent.parent / "data" / "fuzz"


@pytest.mark.parametrize("file", sorted(CORPUS.iterdir()), ids=lambda f: f.stem)
def test_what_a_fuzz_found_is_indexed_and_read_as_it_should(file, tmp_path):
    assert_index_is_right(file.read_bytes(), tmp_path / "x.xyz")
    assert_reading_is_safe(file.read_bytes(), tmp_path / "x.xyz")
