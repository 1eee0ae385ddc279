"""Examples of the documentation that need no store do what they say."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

DOCS = Path(__file__).parent.parent / "docs"


def examples(page: str) -> list[str]:
    return re.findall("```python\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)


def test_the_example_of_descriptors_runs():
    (block,) = examples("descriptors.md")
    names: dict[str, Any] = {}
    exec(block, names)
    found = names["spectrum"].compute(names["environments"])
    assert found.shape == (9, len(names["spectrum"].feature_names()))
    assert np.isfinite(found).all()


def test_the_example_of_symmetry_says_what_its_comments_say():
    (block,) = (b for b in examples("singular.md") if "find_symmetry" in b)
    names: dict[str, Any] = {}
    exec(block, names)
    symmetry = names["symmetry"]
    assert f"# {symmetry.name!r}" in block
    assert f"# {symmetry.expected_nulls()} of the 9 motions" in block
    assert f"# {symmetry.proper().name!r}" in block
    assert "# {} × {}: all".format(*symmetry.motions().shape) in block
