"""The decode stage and campaigns of it: atoms that come back from fingerprints alone."""

from __future__ import annotations

import json
from dataclasses import replace

import ase
import ase.io
import numpy as np
import pytest
from ase.build import bulk, molecule
from reference.structures import batch_of
from rich.console import Console
from support import contents
from threadpoolctl import threadpool_limits

from distdesc.campaign import Campaign
from distdesc.decode.decoder import Decoded, Verdict
from distdesc.descriptors.moment_invariants import MomentInvariants
from distdesc.descriptors.power_spectrum import PowerSpectrum
from distdesc.engine.preview import preview
from distdesc.engine.run import run
from distdesc.engine.verify import verify
from distdesc.errors import CampaignError, RunError, SourceError
from distdesc.report.decoding import decoded_structures, summarise_decoding
from distdesc.report.decoding_text import decoding_table
from distdesc.report.figure import write_figure
from distdesc.report.reader import open_run
from distdesc.schema import RowKind
from distdesc.stages import decode
from distdesc.stages.decode import Decode
from distdesc.stages.decoded import VERDICTS, Truth, row_of
from distdesc.stopwatch import Stopwatch

MOMENTS = MomentInvariants(
    order=5, smoothing=0.0, invariants="full", elements=("H", "C", "N", "O", "F")
)
ROUGH = [molecule("CH3CH2OH"), molecule("CH3CONH2"), molecule("HCOOH")]
for _k, _atoms in enumerate(ROUGH):
    _atoms.rattle(0.05, seed=_k)  # no symmetry, so that the first road always leads there


def decoded(structures=ROUGH, **fields):
    stage = Decode(fields.pop("descriptor", MOMENTS), **fields)
    batch = batch_of(structures)
    last = len(batch.numbers) if stage.row_kind is RowKind.ENVIRONMENT else len(batch)
    return stage.run(batch, 0, last, Stopwatch())


def job(path, molecules, **sections):
    return Campaign.from_dict(
        {
            "source": {"name": "extxyz", "path": str(molecules)},
            "descriptor": {"name": "moment_invariants", "order": 5, "smoothing": 0.0,
                           "invariants": "full", "elements": ["H", "C", "N", "O", "F"]},
            "stage": [{"name": "decode"}],
            "store": {"path": str(path), "shard_rows": 2, "chunk_rows": 2},
            "execution": {"executor": "serial"},
            "limits": {"quarantined_fraction": 1.0},
            **sections,
        }
    )  # fmt: skip


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    path = tmp_path_factory.mktemp("decode") / "rough.xyz"
    ase.io.write(path, [*ROUGH, bulk("Cu"), *ROUGH[::-1]], format="extxyz")
    return path


@pytest.fixture(scope="module")
def store(tmp_path_factory, source):
    path = tmp_path_factory.mktemp("decoded") / "rough.zarr"
    run(job(path, source))
    return path


def test_atoms_come_back_and_the_errors_are_told():
    found = decoded()
    assert found["n_atoms"].tolist() == [9, 9, 5]
    assert found["verdict"].tolist() == [VERDICTS[Verdict.EXACT]] * 3
    assert (found["max_error"] < 1e-6).all()
    assert (found["rms_error"] <= found["max_error"]).all()
    assert found["species_ok"].tolist() == [1, 1, 1]
    assert found["n_true"].tolist() == [9, 9, 5]
    # In Å, from the middle: the distances from there are those of the true atoms.
    ends = np.cumsum(found["n_atoms"])
    for atoms, start, stop in zip(ROUGH, ends - found["n_atoms"], ends, strict=True):
        around = atoms.positions - atoms.positions.mean(axis=0)
        for z in set(atoms.numbers):
            here = found["numbers"][start:stop] == z
            np.testing.assert_allclose(
                np.sort(np.linalg.norm(found["positions"][start:stop][here], axis=1)),
                np.sort(np.linalg.norm(around[atoms.numbers == z], axis=1)),
                atol=1e-6,
            )


def test_the_decoder_sees_the_fingerprint_and_nothing_else(monkeypatch):
    seen = []

    def spy(self, fingerprint, second):
        assert second is None
        seen.append(fingerprint.copy())
        return Decoded(np.zeros((0, 3)), np.zeros(0, np.int32), np.zeros(0), Verdict.FAILED,
                       "spied", np.inf, "none", np.inf, 0.0)  # fmt: skip

    monkeypatch.setattr(decode.Decoder, "decode", spy)
    found = decoded()
    assert [f.shape for f in seen] == [(MOMENTS.n_features,)] * 3
    assert found["n_atoms"].tolist() == [0, 0, 0]
    assert found["reason"].tolist() == ["spied"] * 3
    assert np.isinf(found["max_error"]).all()
    assert found["species_ok"].tolist() == [0, 0, 0]


def test_rows_do_not_depend_on_the_rest_of_the_batch_even_with_noise():
    stage = Decode(MOMENTS, noise=1e-9, tolerance=1e-6)
    batch = batch_of(ROUGH)
    every, last = stage.run(batch, 0, 3, Stopwatch()), stage.run(batch, 2, 3, Stopwatch())
    np.testing.assert_array_equal(every["positions"][18:], last["positions"])
    np.testing.assert_array_equal(every["residual"][2:], last["residual"])
    assert (every["residual"] > 1e-12).all(), "there was noise"
    assert (every["max_error"] < 1e-2).all()


def test_the_threads_of_blas_do_not_change_what_is_found():
    found = []
    for threads in (1, 2):
        with threadpool_limits(threads, "blas"):
            found.append(decoded())
    for name in set(found[0]) - {"seconds"}:
        np.testing.assert_array_equal(found[0][name], found[1][name], name)


def test_environments_are_decoded_too():
    water = molecule("H2O")
    found = decoded([water], per="environment")
    assert Decode(MOMENTS, per="environment").row_kind is RowKind.ENVIRONMENT
    assert found["n_true"].tolist() == [2, 2, 2]
    assert found["n_atoms"].tolist() == [2, 2, 2]
    assert (found["max_error"] < 1e-5).all()
    assert found["radius"].tolist() == [5.0] * 3
    order = np.argsort(found["numbers"].reshape(3, 2), axis=1)
    assert np.take_along_axis(found["numbers"].reshape(3, 2), order, axis=1)[0].tolist() == [1, 1]


def test_positions_come_from_one_fingerprint_and_elements_from_another():
    more = replace(MOMENTS, order=7)
    found = decoded(descriptor=more, second=True)
    assert Decode(more, second=True).outputs()[5].attributes["n_features"] == 2 * 319
    assert found["verdict"].tolist() == [VERDICTS[Verdict.EXACT]] * 3
    assert found["species_ok"].tolist() == [1, 1, 1]
    assert (found["max_error"] < 1e-6).all()
    assert all("second" in road for road in found["road"])


def test_without_weights_places_come_back_and_elements_are_not_asked():
    plain = MomentInvariants(order=7, smoothing=0.0, invariants="full", species="none")
    found = decoded(descriptor=plain)
    assert (found["max_error"] < 1e-6).all()
    assert found["species_ok"].tolist() == [-1, -1, -1]


def test_point_groups_are_those_of_the_true_atoms_within_a_tolerance():
    groups = {"H2O": "C2v", "CO2": "D*h", "CH4": "Td", "HCN": "C*v", "H": "Kh"}
    found = decoded([molecule(name) for name in groups])
    assert found["point_group"].tolist() == list(groups.values())
    bent = molecule("H2O")
    for shift, group in ((1e-3, "C2v"), (0.05, "Cs")):
        bent.positions = molecule("H2O").positions
        bent.positions[1, 1] += shift
        assert decoded([bent])["point_group"].tolist() == [group]
    # Around an oxygen the two hydrogens keep a mirror, around a hydrogen only the plane is left.
    found = decoded([molecule("H2O")], per="environment")
    assert found["point_group"].tolist() == ["C2v", "Cs", "Cs"]


def test_a_neighbour_at_the_edge_that_no_feature_tells_is_not_missed():
    smooth = MomentInvariants(cutoff=4.0, order=5, invariants="full", elements=("H", "C", "O"))
    # 0.5 Å before the cutoff weights fall as the square of the distance from it.
    for gap, n_true in ((1e-6, 3), (1e-2, 4)):
        atoms = ase.Atoms("OHHCH", [[0, 0, 0], [1, 0, 0], [0, 1.1, 0.3], [-0.9, 0.3, 1], [0, 0, 0]])
        atoms.positions[4] = np.array([-2, -1, -2]) / 3 * (4 - gap)
        stage = Decode(smooth, per="environment")
        found = stage.run(batch_of([atoms]), 0, 1, Stopwatch())
        assert found["n_true"][0] == n_true, gap
        assert found["verdict"][0] == VERDICTS[Verdict.EXACT]
        assert found["max_error"][0] < 1e-2


def test_an_atom_without_neighbours_has_an_exact_and_empty_environment():
    far = ase.Atoms("HCO", [[0, 0, 0], [9, 0, 0], [9, 1.2, 0]])
    found = decoded([far], per="environment")
    assert found["n_atoms"].tolist() == found["n_true"].tolist() == [0, 1, 1]
    assert found["verdict"].tolist() == [VERDICTS[Verdict.EXACT]] * 3
    assert (found["max_error"] < 1e-6).all()


def test_environments_of_a_crystal_come_back():
    salt = bulk("NaCl", "rocksalt", 5.64, cubic=True)
    perfect, rough = salt.copy(), salt.copy()
    rough.rattle(0.05, seed=1)
    ions = MomentInvariants(cutoff=4.5, order=7, invariants="full", elements=("Na", "Cl"))
    for atoms, group in ((perfect, "Oh"), (rough, "C1")):
        found = decoded([atoms], descriptor=ions, per="environment")
        assert found["n_true"].tolist() == [18] * 8, "6 of the other kind, 12 of its own"
        assert set(found["point_group"]) == {group}
        assert found["verdict"].tolist() == [VERDICTS[Verdict.EXACT]] * 8
        assert (found["max_error"] < 1e-5).all()
        assert found["species_ok"].all()


def test_swapped_elements_are_not_called_right():
    truth = ROUGH[0]
    around = truth.positions - truth.positions.mean(axis=0)
    numbers = truth.numbers.astype(np.int32)
    wrong = numbers.copy()
    wrong[[0, 2]] = wrong[[2, 0]]  # C and O: the formula stays
    assert sorted(wrong) == sorted(numbers)
    assert not np.array_equal(wrong, numbers)
    for given, ok in ((numbers, True), (wrong, False), (np.where(numbers == 8, 7, numbers), False)):
        found = Decoded(around, given, np.ones(9), Verdict.EXACT, "", 0.0, "x", 1.0, 0.0)
        row = row_of(found, 1.0, Truth(numbers, around), True, True)
        assert row.species_ok == ok
        assert row.errors.max_error < 1e-6


def test_more_atoms_than_can_be_stored_are_a_failure_with_its_reason(monkeypatch):
    many = Decoded(np.zeros((99, 3)), np.ones(99, np.int32), np.ones(99), Verdict.APPROXIMATE,
                   "", 0.0, "x", 1.0, 0.0)  # fmt: skip
    monkeypatch.setattr(decode.Decoder, "decode", lambda *_: many)
    found = decoded(ROUGH[:2])
    assert found["n_atoms"].tolist() == [0, 0]
    assert found["verdict"].tolist() == [VERDICTS[Verdict.FAILED]] * 2
    assert "decoded 99 atoms, more than the 64" in found["reason"][0]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"per": "structure"}, "per must be one of whole, environment"),
        ({"tolerance": -1.0}, "tolerance must be from 0 to 0.1"),
        ({"noise": -1.0}, "noise must be from 0 to 0.1"),
        ({"seed": -1}, "seed must be a whole number"),
        ({"origin": "atom"}, "origin must be one of"),
        ({"second": True, "descriptor": replace(MOMENTS, species="none")}, "second needs"),
        ({"descriptor": PowerSpectrum(elements=("H",))}, "must be moment_invariants"),
        ({"descriptor": MomentInvariants(invariants="full")}, "smoothing"),
    ],
)
def test_what_makes_no_sense_is_refused(fields, message):
    with pytest.raises(CampaignError, match=message):
        Decode(fields.pop("descriptor", MOMENTS), **fields)


def test_a_campaign_stores_what_was_found_and_sets_crystals_aside(store):
    done = open_run(store)
    assert done.complete
    assert list(done.quarantined()) == [3]
    summary = summarise_decoding(done)
    assert summary.n_features == MOMENTS.n_features
    assert [(s.atoms, s.rows, s.exact, s.species_ok) for s in summary.by_size] == [
        (5, 2, 2, 2), (9, 4, 4, 4),
    ]  # fmt: skip
    assert (summary.total.rows, summary.total.positions_ok, summary.total.wrong) == (6, 6, 0)
    assert sum(summary.errors.values()) == 6
    lines = list(decoded_structures(done))
    assert [line["index"] for line in lines] == [0, 1, 2, 4, 5, 6]
    assert [line["n_atoms"] for line in lines] == [9, 9, 5, 5, 9, 9]
    assert all(line["positions_ok"] and line["species_ok"] for line in lines)
    json.dumps(lines, allow_nan=False)


def test_a_summary_without_elements_counts_places_alone(source, tmp_path):
    path = tmp_path / "places.zarr"
    run(job(path, source, descriptor={"name": "moment_invariants", "order": 7, "smoothing": 0.0,
                                      "invariants": "full", "species": "none"}))  # fmt: skip
    found = summarise_decoding(open_run(path))
    assert (found.total.positions_ok, found.total.wrong) == (6, 0)
    assert (found.total.tells_elements, found.total.species_ok) == (0, 0)
    assert [(s.point_group, s.rows) for s in found.by_point_group] == [("C1", 6)]
    assert {line["species_ok"] for line in decoded_structures(open_run(path))} == {None}
    console = Console(width=120)
    with console.capture() as text:
        console.print(decoding_table(found))
    assert "positions" in text.get()
    assert "species" not in text.get()
    write_figure(open_run(path), tmp_path / "places.png")


def test_a_store_is_the_same_bytes_however_it_was_made_but_for_the_times(source, store, tmp_path):
    def stop(event):
        if type(event).__name__ == "ShardFinished":
            raise RunError("stopped")

    path = tmp_path / "rough.zarr"
    with pytest.raises(RunError, match="stopped"):
        run(job(path, source), [stop])
    assert not open_run(path).complete
    run(job(path, source))
    once, twice = ({k: v for k, v in contents(p).items() if not k.startswith("seconds/c/")}
                   for p in (store, path))  # fmt: skip
    assert once == twice
    found = verify(path, recomputed=4)
    assert found.recomputed == 4
    assert not found.faults


@pytest.mark.parametrize(("per", "dtype"), [("whole", "float64"), ("environment", "float32")])
def test_what_a_run_stored_is_decoded_as_if_it_had_just_been_computed(tmp_path, per, dtype):
    source = tmp_path / "two.xyz"
    ase.io.write(source, [ROUGH[2], bulk("Cu"), ROUGH[2]], format="extxyz")
    limits = {"quarantined_fraction": 1.0, "max_images": 1}  # the crystal is set aside
    made, stored, fresh = (tmp_path / f"{k}.zarr" for k in "abc")
    keys = {"descriptor": {"name": "moment_invariants", "order": 7, "smoothing": 0.0,
                           "invariants": "full", "elements": ["H", "C", "O"]},
            "limits": limits}  # fmt: skip
    run(job(made, source, stage=[{"name": "fingerprint", "per": per, "dtype": dtype}], **keys))
    stage = [{"name": "decode", "per": per}]
    origin = {"name": "fingerprint_store", "path": str(made)}
    run(job(stored, source, source=origin, stage=stage, **keys))
    run(job(fresh, source, stage=stage, **keys))
    a, b = open_run(stored), open_run(fresh)
    assert list(a.quarantined()) == list(b.quarantined()) == [1]
    assert not verify(stored).faults
    n = a.plan.layout("decode").n_rows
    for name in ("n_true", "radius", "n_atoms", "species_ok", "max_error", "residual"):
        x, y = a.reader.read(name, 0, n), b.reader.read(name, 0, n)
        if dtype == "float64" or name in ("n_true", "radius", "n_atoms", "species_ok"):
            np.testing.assert_array_equal(x, y, name)
    good = a.status("decode") == 0
    errors = a.reader.read("max_error", 0, n)[good]
    assert errors.max() < (1e-5 if dtype == "float64" else 1e-2)


def test_stored_fingerprints_of_another_kind_are_refused(source, tmp_path):
    made = tmp_path / "a.zarr"
    run(job(made, source, stage=[{"name": "fingerprint", "per": "whole"}]))
    origin = {"name": "fingerprint_store", "path": str(made)}
    with pytest.raises(CampaignError, match=r'per must be that of .*"whole", got "environment"'):
        preview(job(tmp_path / "b", source, source=origin,
                    stage=[{"name": "decode", "per": "environment"}]))  # fmt: skip
    with pytest.raises(CampaignError, match="origin must be that of"):
        preview(job(tmp_path / "b", source, source=origin,
                    stage=[{"name": "decode", "origin": "ball"}]))  # fmt: skip
    other = {"name": "moment_invariants", "order": 4, "smoothing": 0.0, "invariants": "full"}
    with pytest.raises(CampaignError, match=r"\[descriptor\] must be that of"):
        preview(job(tmp_path / "b", source, source=origin, descriptor=other))
    with pytest.raises(SourceError, match=r"fingerprint store .* is not"):
        preview(job(tmp_path / "b", source,
                    source={"name": "fingerprint_store", "path": str(tmp_path)}))  # fmt: skip
    index = made / "run" / "index" / "atom_counts.npy"
    index.write_bytes(index.read_bytes()[:-1] + b"\x01")
    with pytest.raises(SourceError, match=r"fingerprint store .*other values than were saved"):
        preview(job(tmp_path / "b", source, source=origin))


def test_stages_that_would_write_the_same_array_are_refused(source, tmp_path):
    for other, shared in (({"name": "ingest"}, "n_atoms"),
                          ({"name": "fingerprint", "per": "whole"}, "radius")):  # fmt: skip
        campaign = job(tmp_path / "x.zarr", source, stage=[other, {"name": "decode"}])
        message = f"stage {other['name']} and stage decode both have {shared}"
        with pytest.raises(CampaignError, match=message):
            preview(campaign)
        with pytest.raises(CampaignError, match=message):
            run(campaign)
    stages = [{"name": "fingerprint"}, {"name": "decode"}]
    assert len(preview(job(tmp_path / "y.zarr", source, stage=stages)).plans) == 2


def test_slow_rows_make_short_shards_and_the_largest_molecules_come_first(source, tmp_path):
    order = []

    def note(event):
        if type(event).__name__ == "ShardFinished":
            order.append(event.receipt.shard)

    run(job(tmp_path / "x.zarr", source), [note])
    assert order == [0, 2, 3, 1], "18, 14, 9 and 6 atoms"
    plan = preview(job(tmp_path / "y.zarr", source, store={"path": str(tmp_path / "y.zarr")}))
    assert plan.plans[0].layout.shard_rows == 4, "the shortest, since there are so few rows"
