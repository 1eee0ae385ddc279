"""Singular points searched as a campaign: a census that is the same however it is cut."""

from __future__ import annotations

from pathlib import Path

import ase.build
import ase.io
import numpy as np
import pytest
from reference.families import POINTS, hydrogens

from distdesc.campaign import Campaign
from distdesc.descriptors.make import descriptor
from distdesc.engine.run import run
from distdesc.errors import CampaignError
from distdesc.singular.point import as_environments
from distdesc.singular.reasons import Kind
from distdesc.singular.sight import Sight, focused
from distdesc.singular.zeros import NULL
from distdesc.stages.search import SearchSingular
from distdesc.store.rows import RowReader

SPECTRUM = {"name": "power_spectrum", "cutoff": 4.0, "n_max": 4, "l_max": 6, **POINTS,
            "elements": ["H", "C"]}  # fmt: skip
KINDS = list(Kind)


def census(folder: Path, **options) -> Path:
    path = folder / "ch4.xyz"
    ase.io.write(path, ase.build.molecule("CH4")[[0, 1, 2, 3, 4]])
    fields = {"spreads": [0.1, 0.3], "radius": 3.0, "copies": 3, "seed": 4}
    job = {
        "source": {"name": "variants", "path": str(path), **fields},
        "descriptor": SPECTRUM,
        "stage": [{"name": "search", "kicks": 6}],
        "store": {"path": str(folder / "found.zarr"), **options},
        "execution": {"executor": "serial"},
    }
    run(Campaign.from_dict(job))
    return folder / "found.zarr"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return census(tmp_path_factory.mktemp("whole"), shard_rows=8, chunk_rows=4)


def rows(store):
    reader = RowReader(store)
    n = reader.length("kind")
    edges = np.append(reader.read("first_neighbour", 0, n), 0)
    edges[-1] = edges[-2] + reader.read("n_neighbours", n - 1, n)[0]
    return reader, n


def test_most_searches_end_at_points_that_are_singular(store):
    reader, n = rows(store)
    assert n == 9
    kinds = [KINDS[code] for code in reader.read("kind", 0, n)]
    found = [k for k in range(n) if np.isfinite(reader.read("distance", 0, n)[k])]
    assert len(found) >= 8
    assert {Kind.SYMMETRY, Kind.INCOMPLETENESS} <= set(kinds)
    first, count = (reader.read(name, 0, n) for name in ("first_neighbour", "n_neighbours"))
    counts = reader.read("null_counts", 0, n)
    made = descriptor(**SPECTRUM)
    for k in found:
        own = int(first[k]), int(first[k] + count[k])
        point = hydrogens(reader.read("singular_point", *own))
        seen = Sight(focused(made, point), point).singular(point.vectors.ravel())
        assert seen.n_nulls(NULL) == np.sum(counts[k])
        start = reader.read("neighbour", *own)
        distance = np.linalg.norm(point.vectors - start)
        assert distance == pytest.approx(reader.read("distance", 0, n)[k], abs=1e-5)
        fingerprint = made.compute(as_environments([point]))[0]
        np.testing.assert_allclose(reader.read("point_fingerprint", k, k + 1)[0], fingerprint)
        if np.isfinite(reader.read("pair_residual", 0, n)[k]):
            assert reader.read("pair_residual", 0, n)[k] < 1e-10
            ends = [hydrogens(reader.read(f"pair_{end}", *own)) for end in ("first", "second")]
            one, other = made.compute(as_environments(ends))
            assert np.linalg.norm(one - other) < 1e-9 * np.linalg.norm(one)


def test_the_census_is_the_same_however_it_is_cut(store, tmp_path):
    other = census(tmp_path, shard_rows=5, chunk_rows=5)
    first, second = rows(store)[0], rows(other)[0]
    for name in ("kind", "distance", "point_fingerprint", "null_counts", "pair_misfit", "d_est"):
        assert first.read(name, 0, 9).tobytes() == second.read(name, 0, 9).tobytes(), name


@pytest.mark.parametrize(
    ("field", "value"),
    [("reach", 0), ("kicks", -1), ("core", -1), ("rim", 2), ("pairs", 3), ("seed", -1)],
)
def test_a_search_that_makes_no_sense_is_refused_by_name(field, value):
    with pytest.raises(CampaignError, match=f"{field} must be"):
        SearchSingular(descriptor(**SPECTRUM), **{field: value})
