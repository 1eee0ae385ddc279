"""The scan over descriptors: what they see of environments, and which ones are refused."""

from __future__ import annotations

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from reference.structures import batch_of

from distdesc.campaign import Campaign
from distdesc.descriptors.power_spectrum import PowerSpectrum
from distdesc.engine.run import run
from distdesc.errors import CampaignError
from distdesc.report.reader import open_run
from distdesc.singular.point import Point
from distdesc.singular.sensitivity import configurations, sensitivity
from distdesc.stages.sensitivity import SensitivityScan
from distdesc.stopwatch import Stopwatch

DESCRIPTOR = PowerSpectrum(
    cutoff=3.0, n_max=3, l_max=4, elements=("H", "C", "O"), radial="laplacian", sigma=0.0
)
MOLECULES = [molecule("CH3CH2OH"), molecule("CH4"), Atoms("H"), molecule("H2O")]


def shell(n, seed=0):
    """Like neighbours at one distance, in general directions."""
    directions = np.random.default_rng(seed).normal(size=(n, 3))
    vectors = 1.2 * directions / np.linalg.norm(directions, axis=1)[:, None]
    return Point(vectors, np.full(n, 1, dtype=np.int32), 6)


def looked(scan, point):
    return sensitivity(scan, dict.fromkeys({c.descriptor.cutoff for c in scan}, point))


@pytest.mark.parametrize("n", [4, 5, 6])
def test_neighbours_at_one_distance_need_as_many_momenta_as_the_rule_says(n):
    scan = configurations(DESCRIPTOR, {"l_max": [2, 3, 5, 7, 9], "n_max": [2, 4]})
    found = looked(scan, shell(n))
    for k, configuration in enumerate(scan):
        l_max = configuration.descriptor.l_max
        assert found.extra_nulls[k] == max(0, 2 * n - 3 - l_max) + max(0, n - 1 - l_max)
        assert (found.ratios[k] < 1e-12) == (found.extra_nulls[k] > 0)


def test_nulls_of_symmetry_are_not_counted():
    methane = molecule("CH4")
    vectors = methane.positions[1:] - methane.positions[0]
    found = looked(configurations(DESCRIPTOR, {"l_max": [5, 6]}), Point(vectors, [1] * 4, 6))
    assert found.extra_nulls.tolist() == [0, 0, 0]
    np.testing.assert_array_equal(found.ratios, 1.0)  # it can only breathe


def test_a_scan_has_the_given_descriptor_and_each_change_once():
    vary = {"n_max": [2, 3], "descriptor": ["radial_spectrum", {"name": "bispectrum", "n_max": 2}]}
    labels = [c.label for c in configurations(DESCRIPTOR, vary)]
    assert labels == ["as given", "n_max 2", "radial_spectrum", "bispectrum, n_max 2"]
    grid = [c.label for c in configurations(DESCRIPTOR, {"n_max": [2, 3], "l_max": [3]}, grid=True)]
    assert grid == ["as given", "n_max 2, l_max 3", "n_max 3, l_max 3"]


def test_environments_are_looked_at_wherever_they_are_and_a_share_of_them_is_the_same_share():
    batch = batch_of(MOLECULES)
    whole = SensitivityScan(DESCRIPTOR, vary={"n_max": [2], "cutoff": [2.0]})
    found = whole.run(batch, 0, len(batch.numbers), Stopwatch())
    assert found["sensitivity"].shape == (18, 3)
    assert np.isnan(found["sensitivity"][14]).all()  # a single atom has no motions
    assert found["extra_nulls"][14].tolist() == [0, 0, 0]
    assert found["number"].tolist() == batch.numbers.tolist()
    half = SensitivityScan(DESCRIPTOR, vary=whole.vary, share=0.5)
    first = half.run(batch, 0, 9, Stopwatch())
    second = half.run(batch, 9, 18, Stopwatch())
    extra = np.concatenate([first["extra_nulls"], second["extra_nulls"]])
    ratios = np.concatenate([first["sensitivity"], second["sensitivity"]])
    chosen = extra[:, 0] >= 0
    assert 4 < np.sum(chosen) < 14
    np.testing.assert_array_equal(ratios[chosen], found["sensitivity"][chosen])
    assert np.isnan(ratios[~chosen]).all()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"vary": {"n_maxx": [1]}}, 'vary key "n_maxx" is unknown'),
        ({"vary": {"n_max": 3}}, "vary n_max must be a list of values, got 3"),
        ({"vary": {"n_max": []}}, "vary n_max must be a list"),
        ({"vary": {"n_max": [99]}}, "vary n_max = 99: n_max must be"),
        ({"vary": {"descriptor": ["soap"]}}, 'descriptor "soap" is unknown'),
        ({"vary": {"descriptor": [{"name": "bispectrum", "lmax": 2}]}}, 'vary key "lmax"'),
        ({"vary": {"n_max": [1, 2] * 100}}, "fewer than 200 descriptors, got 200"),
        ({"vary": [1]}, "vary must be a table"),
        ({"share": 0}, "share must be above 0"),
        ({"share": "all"}, "share must be above 0"),
        ({"grid": 1}, "grid must be true or false"),
        ({"seed": -1}, "seed must be"),
        ({"symmetry_tolerance": 0.0}, "symmetry_tolerance must be"),
    ],
)
def test_what_cannot_be_scanned_is_refused(fields, message):
    with pytest.raises(CampaignError, match=message):
        SensitivityScan(DESCRIPTOR, **fields)


def test_a_scan_is_a_campaign(tmp_path):
    ase.io.write(tmp_path / "some.xyz", MOLECULES[:2], format="extxyz")
    job = {
        "source": {"name": "extxyz", "path": str(tmp_path / "some.xyz")},
        "descriptor": {"name": "power_spectrum", "cutoff": 2.5, "n_max": 3, "l_max": 3,
                       "elements": ["H", "C", "O"]},
        "stage": {"name": "sensitivity", "vary": {"l_max": [1, 2]}},
        "store": {"path": str(tmp_path / "scan.zarr")},
        "execution": {"executor": "serial"},
    }  # fmt: skip
    run(Campaign.from_dict(job))
    found = open_run(tmp_path / "scan.zarr")
    array = found.array("sensitivity")
    assert array.shape == (14, 3)
    scan = array.attrs["configurations"]
    assert [c["label"] for c in scan] == ["as given", "l_max 1", "l_max 2"]
    assert scan[1]["changes"] == {"l_max": 1}
    assert scan[0]["n_features"] > scan[2]["n_features"] > scan[1]["n_features"]
    nulls = found.array("extra_nulls")[:]
    assert nulls[9].tolist() == [0, 0, 0]  # methane's carbon
    assert np.all(nulls[:, 1] >= nulls[:, 2])
