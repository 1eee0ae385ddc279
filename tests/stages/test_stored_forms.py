"""The fingerprint stage where it pools by structure, or keeps blocks of species only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from ase.build import bulk, molecule

from distdesc.descriptors.power_spectrum import PowerSpectrum
from distdesc.elements import symbol_of
from distdesc.errors import CampaignError, StructureError
from distdesc.reduction.random_projection import RandomProjection
from distdesc.schema import RowKind
from distdesc.stages import fingerprint
from distdesc.stages.blocks import descriptors_with_blocks
from distdesc.stages.fingerprint import Fingerprint
from distdesc.stopwatch import Stopwatch
from distdesc.structures.environment import Environments
from distdesc.structures.index import SourceIndex
from distdesc.structures.source import Structures


@dataclass(frozen=True)
class Neighbours:
    """For each element a block: how many there are and, but for the last, how far in all."""

    elements: tuple[str, ...] = ("H", "C", "O", "Fe")
    cutoff: float = 3.0
    poison: int = 0
    scale: float = 1.0
    accepted_numbers = (1, 6, 8, 26)
    parity_odd = False
    n_features = 7
    block_width = 2
    block_starts = np.array([0, 2, 4, 6, 7])

    def feature_names(self):
        return tuple(f"{a} {b}" for a in self.block_names() for b in ("n", "r"))[:-1]

    def block_names(self):
        return tuple(symbol_of(z) for z in self.accepted_numbers)

    def warm_up(self):
        pass

    def compute(self, environments: Environments):
        lengths = np.linalg.norm(environments.vectors, axis=1)
        owners = np.repeat(np.arange(len(environments)), np.diff(environments.offsets))
        out = np.zeros((len(environments), 8))
        places = np.searchsorted(self.accepted_numbers, environments.numbers)
        np.add.at(out, (owners, 2 * places), 1.0)
        np.add.at(out, (owners, 2 * places + 1), lengths)
        out[environments.centre_numbers == self.poison] *= np.nan
        return out[:, :7] * self.scale

    def compute_blocks(self, environments: Environments):
        rows = np.append(self.compute(environments), np.zeros((len(environments), 1)), axis=1)
        values = rows.reshape(-1, 4, 2)
        present = values[:, :, 0] != 0
        counts = present.sum(axis=1).astype(np.int32)
        return counts, np.nonzero(present)[1].astype(np.int32), values[present]


ATOMS = [molecule("CH3OH"), bulk("Fe", cubic=True) * (2, 2, 2), molecule("H2O"), molecule("O")]
POOLS = {"mean": np.mean, "sum": np.sum}


def batch_of(atoms=ATOMS) -> Structures:
    return Structures(
        np.arange(len(atoms), dtype=np.int64),
        np.cumsum([0, *(len(a) for a in atoms)], dtype=np.int64),
        np.concatenate([a.numbers for a in atoms]).astype(np.int32),
        np.concatenate([a.positions for a in atoms]),
        np.array([a.cell.array for a in atoms]),
        np.array([a.pbc for a in atoms]),
    )


def run(stage, batch, first=0, last=None):
    n = len(batch) if stage.row_kind is RowKind.STRUCTURE else len(batch.numbers)
    return stage.run(batch, first, n if last is None else last, Stopwatch())


STAGES = {
    "mean": {"per": "structure"},
    "sum": {"per": "structure", "pool": "sum"},
    "species": {"per": "structure", "pool": "species", "dtype": "float32"},
    "sparse": {"layout": "sparse", "dtype": "float32"},
}


@pytest.mark.parametrize("pool", POOLS)
def test_a_pooled_row_is_the_mean_or_sum_over_the_atoms(pool):
    batch = batch_of()
    rows = run(Fingerprint(Neighbours()), batch)["fingerprint"]
    found = run(Fingerprint(Neighbours(), **STAGES[pool]), batch)
    for k, (a, b) in enumerate(zip(batch.offsets, batch.offsets[1:], strict=False)):
        np.testing.assert_allclose(
            found["fingerprint"][k], POOLS[pool](rows[a:b], axis=0), rtol=1e-14
        )
    assert found["n_centres"].tolist() == [6, 16, 3, 1]


def test_a_row_pooled_by_species_has_a_sum_for_each_element_the_lightest_first():
    batch = batch_of()
    rows = run(Fingerprint(Neighbours()), batch)["fingerprint"]
    stage = Fingerprint(Neighbours(), per="structure", pool="species")
    found = run(stage, batch)
    counts = [[4, 1, 1, 0], [0, 0, 0, 16], [2, 0, 1, 0], [0, 0, 1, 0]]
    assert found["composition"].tolist() == counts
    for k, (a, b) in enumerate(zip(batch.offsets, batch.offsets[1:], strict=False)):
        for place, z in enumerate((1, 6, 8, 26)):
            expected = rows[a:b][batch.numbers[a:b] == z].sum(axis=0)
            part = found["fingerprint"][k, 7 * place : 7 * place + 7]
            np.testing.assert_allclose(part, expected, rtol=1e-14)
    specs = {s.name: s for s in stage.outputs()}
    names = specs["fingerprint"].attributes["features"]
    assert len(names) == 28
    assert (names[0], names[-1]) == ("H: H n", "Fe: Fe n")
    assert specs["composition"].attributes["elements"] == ["H", "C", "O", "Fe"]


@pytest.mark.parametrize("name", STAGES)
def test_neither_slices_nor_the_range_of_rows_change_a_bit(monkeypatch, name):
    batch, stage = batch_of(), Fingerprint(Neighbours(), **STAGES[name])
    whole = run(stage, batch)
    n = len(next(iter(whole.values())))
    for pairs, numbers in ((7, 2**21), (2**17, 7), (30, 50)):
        monkeypatch.setattr(fingerprint, "MAX_PAIRS", pairs)
        monkeypatch.setattr(fingerprint, "MAX_NUMBERS", numbers)
        for cut in (0, 1, n - 1):
            parts = [run(stage, batch, 0, cut), run(stage, batch, cut, n)]
            for key, values in whole.items():
                joined = np.concatenate([part[key] for part in parts])
                assert joined.tobytes() == values.tobytes()


@pytest.mark.parametrize("name", STAGES)
def test_outputs_say_what_run_returns(name):
    stage = Fingerprint(Neighbours(), **STAGES[name])
    found = run(stage, batch_of())
    specs = {s.name: s for s in stage.outputs()}
    assert found.keys() == specs.keys()
    for key, values in found.items():
        assert values.dtype == np.dtype(specs[key].dtype)
        assert values.shape[1:] == specs[key].shape
    lengths = {len(v) for k, v in found.items() if not specs[k].ragged}
    assert lengths == {26 if name == "sparse" else 4}


def test_blocks_put_in_their_place_are_the_fingerprint():
    batch, descriptor = batch_of(), Neighbours()
    rows = run(Fingerprint(descriptor), batch)["fingerprint"]
    found = run(Fingerprint(descriptor, layout="sparse"), batch)
    whole = np.zeros((len(rows), 8))
    owners = np.repeat(np.arange(len(rows)), found["n_blocks"])
    for owner, block, values in zip(owners, found["block_number"], found["blocks"], strict=True):
        whole[owner, 2 * block : 2 * block + 2] = values
    assert np.array_equal(whole[:, :7], rows)
    assert found["n_blocks"][-1] == 0, "a lone atom has no blocks"
    assert len(found["blocks"]) < 4 * len(rows)


@pytest.mark.parametrize("name", STAGES)
def test_structures_with_a_fingerprint_that_is_not_finite_are_named(name):
    with pytest.raises(StructureError) as caught:
        run(Fingerprint(Neighbours(poison=8), **STAGES[name]), batch_of())
    reasons = {k: f"fingerprint of atom {n} is not finite" for k, n in ((0, 1), (2, 0), (3, 0))}
    assert caught.value.reasons == reasons


@pytest.mark.parametrize(("name", "bad"), [("sparse", [0, 1, 2]), ("species", [1])])
def test_what_float32_cannot_hold_is_refused(name, bad):
    # Each environment of iron fits, their sum does not.
    scale = 1e60 if name == "sparse" else 2e36
    with pytest.raises(StructureError, match="not finite") as caught:
        run(Fingerprint(Neighbours(scale=scale), **STAGES[name]), batch_of())
    assert sorted(caught.value.reasons) == bad
    with pytest.raises(StructureError) as caught:
        run(Fingerprint(Neighbours(scale=scale), **STAGES[name]), batch_of(), 1)
    assert sorted(caught.value.reasons) == [k for k in bad if k or name == "sparse"]


def test_choices_that_do_not_go_together_are_refused():
    plain = PowerSpectrum(elements=("H",), species="weights")
    refusals = [
        ({"per": "atom"}, 'per must be one of environment, structure, whole, got "atom"'),
        ({"pool": "max"}, 'pool must be one of mean, sum, species, got "max"'),
        ({"layout": "csr"}, 'layout must be one of dense, sparse, got "csr"'),
        ({"expected_blocks": -1.0}, "expected_blocks must be >= 0, got -1.0"),
        ({"layout": "sparse", "per": "structure"}, 'needs per = "environment", got "structure"'),
        (
            {"layout": "sparse", "reduction": RandomProjection(2)},
            r'layout must be "dense" with a \[reduction\]',
        ),
    ]
    for fields, message in refusals:
        with pytest.raises(CampaignError, match=message):
            Fingerprint(plain, **fields)
    with pytest.raises(CampaignError, match='pool "species" needs the elements'):
        Fingerprint(Neighbours(elements=()), per="structure", pool="species")
    Fingerprint(Neighbours(elements=()), pool="species")


def test_a_descriptor_without_blocks_cannot_be_sparse_and_those_that_can_are_named():
    from distdesc.descriptors.moment_invariants import MomentInvariants

    known = ", ".join(descriptors_with_blocks())
    assert "power_spectrum, radial_spectrum" in known
    with pytest.raises(CampaignError, match=f"one of: {known}; got MomentInvariants"):
        Fingerprint(MomentInvariants(), layout="sparse")


class Listed:
    """A source of structures in memory."""

    def __init__(self, atoms):
        self.atoms = atoms

    def read(self, index, start, stop, records):
        return batch_of(self.atoms[start:stop])


def test_the_blocks_to_expect_are_counted_on_a_sample():
    atoms = [*ATOMS[:3] * 30, *[bulk("Au")] * 20]
    index = SourceIndex(np.array([len(a) for a in atoms], dtype=np.int32), np.zeros((110, 1)), "")
    stage = Fingerprint(Neighbours(), layout="sparse")
    resolved = stage.resolve(Listed(atoms), index)
    counts = run(stage, batch_of(atoms[:90]))["n_blocks"]
    assert resolved.expected_blocks == pytest.approx(counts.mean(), abs=0.01)
    assert resolved.resolve(None, None) is resolved
    ragged = {s.name: s.ragged for s in resolved.outputs()}
    assert ragged["blocks"] == ragged["block_number"]
    assert (ragged["blocks"].most, ragged["blocks"].expected) == (4, resolved.expected_blocks)
    nothing = stage.resolve(
        Listed(atoms[90:]), SourceIndex(index.atom_counts[90:], index.locators, "")
    )
    assert nothing.expected_blocks == 4, "no structure of gold can be used"
    dense = Fingerprint(Neighbours())
    assert dense.resolve(None, None) is dense


def test_large_structures_weigh_as_much_as_they_have_atoms_in_that_count():
    atoms = [bulk("Fe", cubic=True) * (3, 3, 3), molecule("H2O")]
    index = SourceIndex(np.array([54, 3], dtype=np.int32), np.zeros((2, 1)), "")
    found = Fingerprint(Neighbours(), layout="sparse").resolve(Listed(atoms), index)
    assert found.expected_blocks == round((54 + 1 + 2 + 2) / 57, 2)


def test_working_memory_of_pooled_rows_counts_whole_fingerprints():
    wide = PowerSpectrum(elements=("H", "C", "N", "O", "F"))
    mean, species = (Fingerprint(wide, **STAGES[k]) for k in ("mean", "species"))
    more = species.working_memory(1000, 10) - mean.working_memory(1000, 10)
    assert more == 4 * 1000 * 8 * wide.n_features
    assert mean.working_memory(1, 10) > 8 * fingerprint.MAX_NUMBERS
    many = Fingerprint(wide, layout="sparse", expected_blocks=6.0)
    assert many.working_memory(10**6, 10) < 2**28


def test_reduced_fingerprints_are_pooled_after_they_are_reduced():
    batch = batch_of()
    projection = RandomProjection(3).project(7, None, None)
    rows = run(Fingerprint(Neighbours(), reduction=projection), batch)["fingerprint"]
    for pool, expected in (("mean", rows[:6].mean(axis=0)), ("sum", rows[:6].sum(axis=0))):
        stage = Fingerprint(Neighbours(), reduction=projection, per="structure", pool=pool)
        found = run(stage, batch)["fingerprint"]
        assert found.shape == (4, 3) == (4, *stage.outputs()[0].shape)
        np.testing.assert_allclose(found[0], expected, rtol=1e-13)
