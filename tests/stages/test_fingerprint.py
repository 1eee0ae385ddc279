"""The fingerprint stage around a descriptor small enough to check by hand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from ase.build import bulk, molecule
from reference.structures import batch_of

from distdesc.errors import CampaignError, StructureError
from distdesc.schema import RowKind
from distdesc.stages import fingerprint
from distdesc.stages.fingerprint import Fingerprint
from distdesc.stopwatch import Stopwatch
from distdesc.structures.environment import Environments
from distdesc.structures.neighbours import build_environments


@dataclass(frozen=True)
class Shells:
    """Sum over neighbours of powers of distance; `poison` is the element whose centres fail."""

    cutoff: float = 3.0
    n_features: int = 3
    poison: int = 0
    scale: float = 1.0
    accepted_numbers = tuple(range(1, 119))
    parity_odd = False

    def feature_names(self):
        return tuple(f"power {k}" for k in range(self.n_features))

    def warm_up(self):
        pass

    def compute(self, environments: Environments):
        distances = np.linalg.norm(environments.vectors, axis=1)
        rows = np.repeat(np.arange(len(environments)), np.diff(environments.offsets))
        out = np.zeros((len(environments), self.n_features))
        for k in range(self.n_features):
            np.add.at(out[:, k], rows, distances**k)
        out[environments.centre_numbers == self.poison] = np.nan
        return out * self.scale

    def jacobian(self, environments: Environments):
        distances = np.linalg.norm(environments.vectors, axis=1)[:, None, None]
        powers = np.arange(self.n_features)
        return powers * distances ** (powers - 2.0) * environments.vectors[:, :, None] * self.scale


STRUCTURES = [molecule("CH3OH"), bulk("Cu", cubic=True) * (2, 2, 2), molecule("H2O"), bulk("Fe")]


def test_rows_are_fingerprints_of_their_centres_in_order():
    batch, descriptor = batch_of(STRUCTURES), Shells()
    n = len(batch.numbers)
    found = Fingerprint(descriptor).run(batch, 0, n, Stopwatch())
    expected = descriptor.compute(build_environments(batch, 0, n, descriptor.cutoff))
    np.testing.assert_array_equal(found["fingerprint"], expected)
    np.testing.assert_array_equal(found["number"], batch.numbers)
    assert found["fingerprint"][-1, 0] == 8 + 6, "Fe has 8 and 6 neighbours within 3 Å"


def test_the_range_of_rows_and_the_slices_do_not_change_a_row(monkeypatch):
    batch, stage = batch_of(STRUCTURES), Fingerprint(Shells())
    whole = stage.run(batch, 0, len(batch.numbers), Stopwatch())
    monkeypatch.setattr(fingerprint, "MAX_PAIRS", 7)
    for first, last in [(0, 3), (3, 30), (30, len(batch.numbers)), (5, 5)]:
        part = stage.run(batch, first, last, Stopwatch())
        for name, values in part.items():
            assert values.tobytes() == whole[name][first:last].tobytes()


def test_outputs_say_what_run_returns():
    for dtype in ("float64", "float32"):
        stage = Fingerprint(Shells(), dtype=dtype)
        found = stage.run(batch_of(STRUCTURES), 2, 9, Stopwatch())
        specs = {s.name: s for s in stage.outputs()}
        assert found.keys() == specs.keys()
        for name, values in found.items():
            assert values.dtype == np.dtype(specs[name].dtype)
            assert values.shape == (7, *specs[name].shape)
    assert np.isnan(specs["fingerprint"].fill)
    assert specs["fingerprint"].dims == ("feature",)
    assert stage.row_kind is RowKind.ENVIRONMENT
    assert stage.validates
    assert not stage.reads_records


def test_features_are_named_unless_there_are_thousands():
    few, many = (Fingerprint(Shells(n_features=n)).outputs()[0] for n in (3, 2001))
    assert few.attributes["features"] == ["power 0", "power 1", "power 2"]
    assert "features" not in many.attributes


def test_structures_with_a_fingerprint_that_is_not_finite_are_named():
    stage = Fingerprint(Shells(poison=8))
    batch = batch_of(STRUCTURES)
    with pytest.raises(StructureError) as caught:
        stage.run(batch, 0, len(batch.numbers), Stopwatch())
    assert caught.value.reasons == {
        0: "fingerprint of atom 1 is not finite",
        2: "fingerprint of atom 0 is not finite",
    }
    first_water = int(batch.offsets[2])
    with pytest.raises(StructureError) as caught:
        stage.run(batch, first_water, len(batch.numbers), Stopwatch())
    assert list(caught.value.reasons) == [2]
    stage.run(batch, first_water + 1, len(batch.numbers), Stopwatch())


def test_a_value_too_large_for_float32_is_not_stored_as_infinity():
    batch = batch_of(STRUCTURES)
    Fingerprint(Shells(scale=1e60)).run(batch, 0, 3, Stopwatch())
    with pytest.raises(StructureError, match=r"structure 0: .* not finite"):
        Fingerprint(Shells(scale=1e60), dtype="float32").run(batch, 0, 3, Stopwatch())


def test_an_unknown_dtype_is_refused():
    with pytest.raises(CampaignError, match="dtype must be one of float64, float32, got"):
        Fingerprint(Shells(), dtype="float16")


def test_the_stopwatch_tells_search_from_kernel():
    clock = Stopwatch()
    Fingerprint(Shells()).run(batch_of(STRUCTURES), 0, 10, clock)
    assert set(clock.seconds) == {"neighbours", "kernel"}


def test_working_memory_covers_a_shard_and_the_largest_structure():
    stage = Fingerprint(Shells())
    assert stage.working_memory(2000, 10) - stage.working_memory(1000, 10) >= 1000 * 3 * 8
    assert stage.working_memory(10, 100_000) - stage.working_memory(10, 10) >= 100_000 * 64


def test_warming_up_and_resolving_change_nothing():
    stage = Fingerprint(Shells())
    stage.warm_up()
    assert stage.resolve(None, None) is stage
