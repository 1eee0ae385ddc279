"""Variants of structures: seeded, apart, and where they should be."""

from __future__ import annotations

import ase.build
import ase.io
import numpy as np
import pytest

from distdesc.errors import CampaignError
from distdesc.structures.variants import LEAST, Variants


@pytest.fixture
def file(tmp_path):
    images = [ase.build.molecule(name) for name in ("CH4", "H2O", "NH3")]
    ase.io.write(tmp_path / "some.xyz", images, format="extxyz")
    return str(tmp_path / "some.xyz")


def everything(source):
    index = source.scan()
    return source.read(index, 0, len(index))


def test_each_structure_has_its_variants_one_way_after_the_other(file):
    source = Variants(file, spreads=(0.0, 0.2), radius=2.0, copies=3, seed=1)
    batch = everything(source)
    assert len(batch) == 3 * 9
    assert np.diff(batch.offsets).tolist() == [5] * 9 + [3] * 9 + [4] * 9
    methane = ase.io.read(file, 0).positions
    for k in range(9):
        found = batch.positions[5 * k : 5 * k + 5]
        np.testing.assert_allclose(found[0], methane[0], atol=1e-8)
        off = np.linalg.norm(found - methane, axis=1)[1:]
        assert np.all(off < 1e-8) if k < 3 else np.all(off > 1e-3)
        if k >= 6:
            distances = np.linalg.norm(found[:, None] - found, axis=2) + np.eye(5)
            assert np.max(distances[0]) <= 2.0
            assert np.min(distances) >= LEAST


def test_displacements_have_the_spread_that_is_asked_for(file):
    source = Variants(file, spreads=(0.1,), copies=300)
    batch = everything(source)
    moved = batch.positions[: 5 * 300].reshape(300, 5, 3) - ase.io.read(file, 0).positions
    assert np.std(moved[:, 1:]) == pytest.approx(0.1, rel=0.03)
    assert abs(np.mean(moved[:, 1:])) < 0.01


def test_scattered_atoms_fill_the_ball_evenly(file):
    batch = everything(Variants(file, spreads=(), radius=3.0, copies=400))
    radii = np.linalg.norm(batch.positions[5 * np.arange(400) + 1], axis=1)
    assert np.mean(radii**3) / 27 == pytest.approx(0.5, abs=0.05)


def test_a_variant_depends_on_its_number_and_the_seed_only(file):
    source = Variants(file, spreads=(0.1,), copies=4, seed=3)
    index = source.scan()
    whole = source.read(index, 0, 12)
    part = source.read(index, 5, 7, records=True)
    assert (
        part.positions.tobytes() == whole.positions[whole.offsets[5] : whole.offsets[7]].tobytes()
    )
    assert part.records[1].positions.tobytes() == part.positions[3:].tobytes()
    assert part.indices.tolist() == [5, 6]
    other = everything(Variants(file, spreads=(0.1,), copies=4, seed=4))
    assert not np.allclose(other.positions, whole.positions)
    assert Variants(file, spreads=(0.1,), copies=4, seed=4).scan().digest != index.digest


def test_a_ball_without_room_is_a_problem_of_the_structure(file):
    batch = everything(Variants(file, spreads=(), radius=0.3, copies=1))
    assert sorted(batch.problems) == [0, 1, 2]
    assert "no room for 5 atoms" in batch.problems[0]


@pytest.mark.parametrize(
    ("field", "value"),
    [("spreads", (-1.0,)), ("spreads", 0.1), ("radius", -1.0), ("copies", 0), ("seed", -1),
     ("spreads", ()), ("spreads", (float("nan"),))],
)  # fmt: skip
def test_variants_that_make_no_sense_are_refused_by_name(file, field, value):
    with pytest.raises(CampaignError, match=f"{field}.* must be"):
        Variants(file, **{field: value})
