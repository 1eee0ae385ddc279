"""The singular stage and campaigns of it: what is stored of what a fingerprint does not see."""

from __future__ import annotations

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from reference.structures import batch_of
from support import contents
from threadpoolctl import threadpool_limits

from distdesc.campaign import Campaign
from distdesc.descriptors.moment_invariants import MomentInvariants
from distdesc.descriptors.power_spectrum import PowerSpectrum
from distdesc.engine.run import run
from distdesc.engine.verify import verify
from distdesc.errors import CampaignError, RunError, StructureError
from distdesc.report.reader import open_run
from distdesc.schema import RowKind
from distdesc.singular.reasons import Kind
from distdesc.singular.spectrum import environment_spectra, structure_spectra
from distdesc.stages import singular_rows
from distdesc.stages.singular import Singular
from distdesc.stages.singular_closely import KINDS
from distdesc.stopwatch import Stopwatch
from distdesc.structures.neighbours import build_environments

DESCRIPTOR = PowerSpectrum(
    cutoff=2.5, n_max=4, l_max=6, elements=("H", "C", "N", "O"), radial="laplacian", sigma=0.0,
    smoothing=0.3,
)  # fmt: skip
MOLECULES = [molecule("CH4"), molecule("CH3CH2OH"), Atoms("H"), molecule("CO2"), molecule("H2O")]


def folded():
    """A carbon with four hydrogens where two environments of one power spectrum meet, almost."""
    first, second = np.array([0.8, 0.5, 0.3]), np.array([0.2, -0.7, 0.69])
    second *= np.linalg.norm(first) / np.linalg.norm(second)
    third = 0.6 * (first + second) + 0.9 * np.cross(first, second)
    fourth = 0.9 * first - 1.3 * second + 0.004 * np.cross(first, second)
    places = [np.zeros(3), first, second, third, fourth]
    return Atoms("CH4", np.round(places, 8))  # as they are written to a file


def ran(structures=MOLECULES, descriptor=DESCRIPTOR, **fields):
    stage = Singular(descriptor, **fields)
    batch = batch_of(structures)
    last = len(batch.numbers) if stage.row_kind is RowKind.ENVIRONMENT else len(batch)
    return stage, stage.run(batch, 0, last, Stopwatch())


@pytest.mark.parametrize("keep", ["summary", "full"])
@pytest.mark.parametrize(
    "fields",
    [{}, {"classify": True}, {"map": "sum"}, {"map": "stack"}, {"classify": True, "map": "sum"}],
)
def test_outputs_are_as_announced(fields, keep):
    stage, found = ran(keep=keep, **fields)
    specs = stage.outputs()
    assert [spec.name for spec in specs if spec.ragged] == [
        *(["singular_values"] if keep == "full" else []),
        *([] if "classify" not in fields else ["atom_number", "position"] if "map" in fields
          else ["neighbour_number", "neighbour"]),
        *(["singular_point", "null_motion", "pair_first", "pair_second"]
          if "classify" in fields else []),
    ]  # fmt: skip
    assert set(found) == {spec.name for spec in specs}
    for spec in specs:
        values = found[spec.name]
        n = int(np.sum(found[spec.ragged.count])) if spec.ragged else len(found["s_min"])
        assert values.shape == (n, *spec.shape), spec.name
        assert spec.dtype == "string" or values.dtype == np.dtype(spec.dtype), spec.name


def test_environments_have_their_symmetry_and_its_nulls():
    _, found = ran(keep="full")
    starts = [0, 5, 14, 15, 18]
    assert [found["point_group"][k] for k in starts] == ["Td", "Cs", "Kh", "D*h", "C2v"]
    assert [found["symmetry_nulls"][k] for k in starts] == [8, 7, 0, 3, 1]
    np.testing.assert_array_equal(found["n_nulls"], found["symmetry_nulls"])
    assert [found["n_motions"][k] for k in starts] == [3, 3, 0, 2, 3]
    kinds = {code: kind for kind, code in KINDS.items()}
    assert [kinds[found["kind"][k]] for k in starts] == [
        Kind.SYMMETRY, Kind.SYMMETRY, Kind.REGULAR, Kind.SYMMETRY, Kind.SYMMETRY,
    ]  # fmt: skip
    assert np.isnan(found["ratio"][14])
    assert found["ratio"][0] < 1e-14
    assert found["s_min_symmetric"][0] == pytest.approx(found["s_max"][0])
    assert found["number"].tolist() == [z for atoms in MOLECULES for z in atoms.numbers]


def test_all_singular_values_can_be_kept():
    batch = batch_of(MOLECULES)
    for features in ("env", "sum", "stack"):
        _, found = ran(keep="full", map=features)
        if features == "env":
            environments = build_environments(batch, 0, len(batch.numbers), DESCRIPTOR.cutoff)
            spectra = environment_spectra(DESCRIPTOR, environments)
            counts = found["n_neighbours"]
        else:
            spectra = structure_spectra(DESCRIPTOR, batch, features)
            counts = found["n_atoms"]
        ends = np.cumsum(counts)
        for k, (end, count) in enumerate(zip(ends, counts, strict=True)):
            values = found["singular_values"][end - count : end].ravel()
            n = len(spectra.row(k))
            np.testing.assert_array_equal(values[:n], spectra.row(k))
            assert np.isnan(values[n:]).all()


def test_molecules_have_the_nulls_of_their_symmetry():
    wide = PowerSpectrum(cutoff=6.0, n_max=4, l_max=6, elements=("H", "C", "N", "O"))
    for features, nulls in (("sum", [8, 8, 0, 3, 1]), ("stack", [2, 0, 0, 2, 0])):
        _, found = ran(descriptor=wide, map=features)
        assert found["point_group"].tolist() == ["Td", "Cs", "Kh", "D*h", "C2v"]
        assert found["n_nulls"].tolist() == found["symmetry_nulls"].tolist() == nulls
        assert found["n_motions"].tolist() == [6, 6, 3, 5, 6]
        assert found["flagged"].tolist() == [0] * 5


def test_nulls_are_those_of_molecules_as_symmetric_as_they_nearly_are():
    rough = molecule("CH4")
    rough.rattle(3e-4, seed=1)
    _, found = ran([rough])
    assert found["point_group"][0] == "Td"
    assert found["n_nulls"][0] == found["symmetry_nulls"][0] == 8
    assert found["ratio"][0] > 1e-9, "as it is, it is not quite singular"
    assert found["s_min_symmetric"][0] > 0.5 * found["s_max"][0]
    _, found = ran([rough], symmetry_tolerance=1e-7)
    assert found["point_group"][0] == "C1"
    assert found["n_nulls"][0] == found["symmetry_nulls"][0] == 0


def test_what_is_flagged_is_followed_to_its_singular_point_and_to_a_degenerate_pair():
    _, unseen = ran([folded()])
    assert unseen["flagged"][0] == 1
    assert unseen["kind"][0] == -1
    assert 0 < unseen["d_est"][0] < 0.01
    _, found = ran([folded()], classify=True)
    assert found["kind"][0] == KINDS[Kind.INCOMPLETENESS]
    assert found["point_group"][0] == "C1"
    assert found["null_counts"][0].tolist() == [
        int(kind is Kind.INCOMPLETENESS) for kind in Kind
    ]  # fmt: skip
    assert found["distance"][0] == pytest.approx(found["d_est"][0], rel=0.5)
    assert found["n_neighbours"][0] == 4
    assert found["neighbour_number"][:4].tolist() == [1] * 4
    here, there = found["neighbour"][:4], found["singular_point"][:4]
    assert np.linalg.norm(there - here) == pytest.approx(found["distance"][0], rel=1e-6)
    assert np.linalg.norm(found["null_motion"][:4]) == pytest.approx(1)
    assert found["pair_residual"][0] < 1e-10
    assert found["pair_misfit"][0] > 0.01
    pair = [Atoms("CH4", np.vstack([np.zeros(3), found[f"pair_{k}"][:4]])) for k in
            ("first", "second")]  # fmt: skip
    batch = batch_of(pair)
    rows = DESCRIPTOR.compute(build_environments(batch, 0, 10, DESCRIPTOR.cutoff))[[0, 5]]
    assert np.linalg.norm(rows[1] - rows[0]) < 1e-9 * np.linalg.norm(rows[0])


def test_nulls_that_are_there_only_with_neighbours_that_fade_are_of_the_cutoff():
    chain = Atoms("C2", [[0, 0, 0], [0, 0.5, 1.2]], cell=[9, 9, 2.4], pbc=[False, False, True])
    few = MomentInvariants(order=4, elements=("C",))
    _, found = ran([chain], few)
    assert (found["n_nulls"] - found["symmetry_nulls"]).tolist() == [1, 1]
    assert found["kind"].tolist() == [KINDS[Kind.CUTOFF]] * 2
    near = MomentInvariants(order=4, cutoff=6.0, smoothing=0.0, elements=("C",))
    assert ran([chain], near)[1]["flagged"].tolist() == [1, 1]


def test_molecules_are_followed_to_their_singular_points_as_well():
    bent = molecule("H2O")
    bent.positions[1] *= 1.02
    tube = Atoms("CO", [[0, 0, 0], [0.2, 0.1, 1.2]], cell=[5, 5, 3.0], pbc=[False, False, True])
    wide = PowerSpectrum(cutoff=4.0, n_max=4, l_max=4, elements=("H", "C", "O"))
    structures = [bent, molecule("CH4"), tube]
    _, seen = ran(structures, wide, map="sum", flag_ratio=0.1)
    _, found = ran(structures, wide, map="sum", flag_ratio=0.1, classify=True)
    assert seen["flagged"].tolist()[:2] == found["flagged"].tolist()[:2] == [1, 0]
    assert seen["kind"][0] == -1
    assert found["kind"].tolist()[:2] == [KINDS[Kind.SYMMETRY]] * 2
    assert seen["d_est"][0] == found["d_est"][0] == pytest.approx(found["distance"][0], rel=0.1)
    assert np.isnan(found["distance"][1])
    assert found["point_group"].tolist() == ["Cs", "Td", "Cs"]
    assert found["point_group_there"][0] == "C2v"
    assert found["null_counts"][0, KINDS[Kind.SYMMETRY]] == 1
    assert found["n_atoms"].tolist() == [3, 5, 2]
    assert found["atom_number"].tolist() == [8, 1, 1, 6, 1, 1, 1, 1, 6, 8]
    here, there = found["position"][:3], found["singular_point"][:3]
    np.testing.assert_allclose(here, bent.positions - bent.positions.mean(axis=0), atol=1e-15)
    assert np.linalg.norm(there - here) == pytest.approx(found["distance"][0], rel=1e-6)
    assert np.isnan(found["position"][3:8]).all()
    assert np.isnan(found["cell"][1]).all()
    assert not np.any(found["cell"][0])


@pytest.mark.parametrize("features", ["sum", "stack"])
def test_rows_of_structures_depend_on_their_own_structure_alone(features):
    stage = Singular(DESCRIPTOR, map=features, keep="full", classify=True, flag_ratio=0.1)
    bent = molecule("H2O")
    bent.positions[1] *= 1.02
    structures = [molecule("CH4"), bent, *MOLECULES]
    every = stage.run(batch_of(structures), 0, len(structures), Stopwatch())
    part = stage.run(batch_of([structures[1], structures[4]]), 0, 2, Stopwatch())
    for name in ("ratio", "s_min_symmetric", "d_est", "distance", "kind", "point_group"):
        np.testing.assert_array_equal(part[name], every[name][[1, 4]])


def test_neighbours_that_fade_at_the_cutoff_are_told_from_singular_points():
    atoms = folded()
    atoms.positions[4] += 0.5  # regular
    atoms += Atoms("H", [[0.3, -0.2, 2.46]])
    _, found = ran([atoms], classify=True)
    assert found["ratio"][0] < 1e-3
    assert found["kind"][0] == KINDS[Kind.CUTOFF]
    assert found["flagged"][0] == 0


@pytest.mark.parametrize("features", ["env", "sum"])
def test_what_counts_as_zero_by_the_tolerance_asked_for_is_flagged(features):
    atoms = molecule("CH4")
    atoms.rattle(0.01, seed=1)
    keys = {"map": features, "flag_distance": 1e-6}
    _, found = ran([atoms], **keys)
    assert found["d_est"][0] > 1e-4
    assert found["flagged"][0] == 0
    assert found["kind"][0] == KINDS[Kind.REGULAR]
    _, found = ran([atoms], tolerance=5e-4, **keys)
    assert found["n_nulls"][0] > found["symmetry_nulls"][0] == 0
    assert found["flagged"][0] == 1
    assert found["kind"][0] == -1  # it takes a close look to tell, and nothing is near the cutoff


def test_rows_depend_on_their_own_structure_alone():
    stage = Singular(DESCRIPTOR, keep="full", classify=True)
    structures = [folded(), *MOLECULES]
    batch = batch_of(structures)
    every = stage.run(batch, 0, len(batch.numbers), Stopwatch())
    part = stage.run(batch, 3, 7, Stopwatch())
    for name in ("ratio", "s_min_symmetric", "d_est", "distance", "kind", "point_group"):
        np.testing.assert_array_equal(part[name], every[name][3:7])
    last = int(np.sum(every["n_neighbours"][:7]))
    own = slice(last - int(np.sum(part["n_neighbours"])), last)
    for name in ("singular_values", "null_motion", "pair_first"):
        np.testing.assert_array_equal(part[name], every[name][own])


def test_the_threads_of_blas_do_not_change_the_rows():
    found = []
    for threads in (1, 2):
        with threadpool_limits(threads, "blas"):
            found.append(ran([folded(), *MOLECULES], keep="full", classify=True)[1])
    for name in found[0]:
        np.testing.assert_array_equal(found[0][name], found[1][name], name)


def test_other_descriptors_are_analysed_as_well():
    descriptor = MomentInvariants(order=4, cutoff=2.5)
    _, found = ran(descriptor=descriptor)
    assert found["n_nulls"][0] >= found["symmetry_nulls"][0] == 8
    assert np.isfinite(found["ratio"]).sum() == len(found["ratio"]) - 1


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"map": "all"}, 'map must be one of env, sum, stack, got "all"'),
        ({"keep": "some"}, 'keep must be one of summary, full, got "some"'),
        ({"tolerance": 0.0}, "tolerance must be a number > 0, got 0.0"),
        ({"flag_ratio": -1}, "flag_ratio must be a number > 0, got -1"),
        ({"flag_distance": float("nan")}, "flag_distance must be a number > 0, got nan"),
        ({"symmetry_tolerance": True}, "symmetry_tolerance must be a number > 0, got True"),
        ({"classify": 1}, "classify must be true or false, got 1"),
        ({"seed": -1}, "seed must be a whole number >= 0, got -1"),
    ],
)
def test_bad_keys_are_refused(fields, message):
    with pytest.raises(CampaignError) as error:
        Singular(DESCRIPTOR, **fields)
    assert message in str(error.value)


def test_a_descriptor_without_jacobian_is_refused():
    class Blind:
        cutoff = 3.0

    with pytest.raises(CampaignError, match="must have a Jacobian, got Blind"):
        Singular(Blind())


def test_environments_with_more_neighbours_than_can_be_stored_are_quarantined(monkeypatch):
    monkeypatch.setattr("distdesc.stages.singular.MOST_NEIGHBOURS", 4)
    with pytest.raises(StructureError) as error:
        ran(keep="full")
    assert list(error.value.reasons) == [1]
    assert "neighbours, more than the 4 that can be stored" in error.value.reasons[1]
    ran()
    assert singular_rows.MOST_NEIGHBOURS == 1024


def job(path, source, **sections):
    return Campaign.from_dict(
        {
            "source": {"name": "extxyz", "path": str(source)},
            "descriptor": {"name": "power_spectrum", "cutoff": 2.5, "n_max": 4, "l_max": 6,
                           "radial": "laplacian", "sigma": 0.0, "smoothing": 0.3,
                           "elements": ["H", "C", "N", "O"]},
            "stage": [{"name": "singular", "classify": True, "keep": "full"}],
            "store": {"path": str(path), "shard_rows": 8, "chunk_rows": 4},
            "execution": {"executor": "serial"},
            "limits": {"quarantined_fraction": 1.0},
            **sections,
        }
    )  # fmt: skip


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    path = tmp_path_factory.mktemp("singular") / "molecules.xyz"
    ase.io.write(path, [folded(), *MOLECULES, bulk("Cu")], format="extxyz")
    return path


@pytest.fixture(scope="module")
def store(tmp_path_factory, source):
    path = tmp_path_factory.mktemp("done") / "serial.zarr"
    run(job(path, source))
    return path


def test_a_campaign_stores_what_the_stage_found(store):
    done = open_run(store)
    _, found = ran([folded(), *MOLECULES], keep="full", classify=True)
    n = len(found["ratio"])
    for name in ("ratio", "kind", "flagged", "d_est", "distance", "number"):
        np.testing.assert_array_equal(done.array(name)[:n], found[name])
    assert list(done.array("point_group")[:n]) == list(found["point_group"])
    checked = verify(store, recomputed=3)
    assert checked.recomputed == 3
    assert not checked.faults


def test_a_stopped_run_is_resumed_to_the_same_bytes(store, source, tmp_path):
    def stop(event):
        if type(event).__name__ == "ShardFinished":
            raise RunError("stopped")

    path = tmp_path / "stopped.zarr"
    with pytest.raises(RunError, match="stopped"):
        run(job(path, source), [stop])
    assert not open_run(path).complete
    run(job(path, source))
    assert contents(path) == contents(store)


@pytest.mark.slow
@pytest.mark.cluster
@pytest.mark.filterwarnings("default")  # of Dask at shutdown
def test_two_workers_give_the_bytes_of_one_process(store, source, tmp_path):
    path = tmp_path / "dask.zarr"
    run(job(path, source, execution={"executor": "dask", "workers": 2}))
    assert contents(path) == contents(store)
