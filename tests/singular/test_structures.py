"""Whole structures followed to their singular points, summed and stacked."""

from __future__ import annotations

import gzip
import io
from itertools import islice

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from reference.batches import random_rotation
from reference.families import POINTS, beside, drawn, of_two_triangles
from reference.structures import batch_of

from distdesc.descriptors.bispectrum import Bispectrum
from distdesc.descriptors.moment_invariants import MomentInvariants
from distdesc.descriptors.power_spectrum import PowerSpectrum
from distdesc.descriptors.radial_spectrum import RadialSpectrum
from distdesc.errors import CampaignError
from distdesc.singular import structure_row
from distdesc.singular.analysis import Options, analyse_row
from distdesc.singular.bounds import Bounds
from distdesc.singular.motions import RIGID, trivial_motions
from distdesc.singular.nearest import nearest
from distdesc.singular.reasons import Kind
from distdesc.singular.sight import complement
from distdesc.singular.structure_row import StructureRow
from distdesc.singular.structure_screen import screen_structures
from distdesc.singular.tuples import pooled_class_rows
from distdesc.singular.whole import Whole
from distdesc.structures.neighbours import build_environments

BOTH = pytest.mark.parametrize("features", ["sum", "stack"])
EVERYTHING = Options(flag_ratio=1.0, flag_distance=0.5)


def spectrum(n_max=4, l_max=4, elements=("H", "C", "N", "O"), cutoff=4.0, **fields):
    return PowerSpectrum(
        cutoff=cutoff, n_max=n_max, l_max=l_max, elements=elements, **POINTS, **fields
    )


def analysed(atoms, features, descriptor, options=EVERYTHING):
    row, point = StructureRow.of(descriptor, batch_of([atoms]), features, options.bounds)
    return analyse_row(row, point, options)


def rattled(name, spread, seed=1):
    atoms = molecule(name)
    atoms.rattle(spread, seed=seed)
    return atoms


def scattered(n, seed, radius=1.3):
    return Atoms(f"H{n}", radius * np.random.default_rng(seed).normal(size=(n, 3)))


def counts(found):
    return {kind.value: n for kind, n in found.counts.items()}


@BOTH
@pytest.mark.parametrize("periodic", [False, True])
def test_derivatives_are_those_of_the_features(features, periodic):
    atoms = rattled("H2O", 0.1)
    if periodic:
        atoms.set_cell([3.1, 3.4, 3.7])
        atoms.pbc = True
    row, point = StructureRow.of(spectrum(2, 2, ("H", "O")), batch_of([atoms]), features)
    here, step = point.vectors.ravel(), 1e-5
    jacobian = row.subject.jacobian(row.descriptor, point)
    for k in (0, 4, 8):
        shift = step * np.eye(9)[k]
        one, other = row.subject.values(
            row.descriptor, point, np.array([here + shift, here - shift])
        )
        np.testing.assert_allclose(jacobian[k], (one - other) / (2 * step), atol=1e-7)
    unseen = row.subject.trivial(here).T @ jacobian
    assert np.max(np.abs(unseen)) < 1e-12 * np.max(np.abs(jacobian))


@pytest.mark.parametrize(
    ("name", "sums", "stacks"),
    [("CH4", 8, 2), ("CO2", 3, 2), ("H2O", 1, 0), ("C2H2", 5, 4), ("NH3", 4, 0), ("C2H4", 9, 3)],
)
def test_nulls_of_molecules_are_by_symmetry_alone(name, sums, stacks):
    for features, nulls in (("sum", sums), ("stack", stacks)):
        atoms = molecule(name)
        atoms.positions += [1.0, -2.0, 3.0]
        found = analysed(atoms, features, spectrum(4, 6), Options())
        assert found.kind is (Kind.SYMMETRY if nulls else Kind.REGULAR)
        assert counts(found) == ({"symmetry": nulls} if nulls else {})
        assert found.n_nulls == found.symmetry_nulls == nulls
        assert found.distance == (0 if nulls else np.inf)


def test_a_molecule_bent_out_of_symmetry_is_led_back_to_it():
    atoms = molecule("H2O")
    straight = atoms.positions.copy()
    bonds = straight[1:] - straight[0]
    bonds /= np.linalg.norm(bonds, axis=1)[:, None]
    atoms.positions[1:] += 0.01 * bonds * [[1], [-1]]
    shift = (atoms.positions - straight).ravel()
    expected = np.linalg.norm(complement(trivial_motions(straight, RIGID)).T @ shift)
    found = analysed(atoms, "sum", spectrum())
    assert (found.kind, found.point_group, found.group_there) == (Kind.SYMMETRY, "Cs", "C2v")
    assert found.distance == pytest.approx(expected, rel=0.02)
    assert found.estimate == pytest.approx(found.distance, rel=0.1)
    assert counts(found) == {"symmetry": 1}
    there = found.point.vectors
    lengths = np.linalg.norm(there[1:] - there[0], axis=1)
    assert lengths[0] == pytest.approx(lengths[1], abs=1e-9)
    sight = StructureRow.of(spectrum(), batch_of([atoms]), "sum")[0]
    jacobian = sight.subject.jacobian(sight.descriptor, found.point)
    assert np.linalg.norm(found.motion.ravel() @ jacobian) < 1e-9 * np.linalg.norm(jacobian)


@BOTH
def test_rattled_methane_is_led_to_something_more_symmetric_not_farther_than_methane(features):
    for spread in (0.003, 0.02):
        atoms = rattled("CH4", spread)
        away = np.linalg.norm(atoms.positions - molecule("CH4").positions)
        found = analysed(atoms, features, spectrum(4, 6))
        assert found.kind is Kind.SYMMETRY
        assert found.point_group == "C1"
        assert found.group_there != "C1"
        assert 0 < found.distance < away
        assert 0.3 < found.estimate / found.distance < 2


def test_a_basis_that_is_too_small_is_told():
    atoms = rattled("CH4", 0.1)
    poor = analysed(atoms, "sum", spectrum(1, 0), Options())
    assert (poor.kind, poor.distance) == (Kind.TRUNCATION, 0)
    assert "a larger basis" in poor.reason
    screened = screen_structures(spectrum(1, 0), batch_of([atoms]), "sum", closely=True)
    assert screened.summary.n_nulls[0] == counts(poor)["truncation"] > 0
    assert screened.symmetry_nulls[0] == 0
    assert screened.estimates[0] == 0
    assert screened.kinds == [Kind.TRUNCATION]
    assert analysed(atoms, "stack", spectrum(1, 0), Options()).kind is Kind.TRUNCATION
    rich = screen_structures(spectrum(4, 6), batch_of([atoms]), "sum", Options(flag_ratio=1e-6))
    assert rich.summary.n_nulls[0] == 0
    assert rich.kinds == [Kind.REGULAR]


@pytest.fixture(scope="module")
def four():
    """Of four atoms, sums of radial spectra see six distances, but not which is which."""
    descriptor = RadialSpectrum(cutoff=6.0, n_max=8, elements=("H",), **POINTS)
    return next(
        (descriptor, found)
        for seed in range(20)
        if (found := analysed(scattered(4, seed), "sum", descriptor)).kind is Kind.INCOMPLETENESS
        and found.pair is not None
    )


def test_different_molecules_of_the_same_distances_are_found_where_they_meet(four):
    _, found = four
    assert counts(found) == {"incompleteness": 1}
    assert "correlations of 2" in found.reason
    ends = [found.pair.first.vectors, found.pair.second.vectors]
    one, other = (np.sort(Atoms("H4", end).get_all_distances()[np.triu_indices(4, 1)])
                  for end in ends)  # fmt: skip
    np.testing.assert_allclose(one, other, atol=1e-9)
    assert found.pair.residual < 1e-12
    assert found.pair.misfit > 1e-3
    triangles = spectrum(6, 8, ("H",), 6.0)
    assert off(*(Atoms("H4", end) for end in ends), triangles) > 1e-6


def total(atoms, descriptor):
    """Sum of the fingerprints of all atoms, by other means."""
    environments = build_environments(batch_of([atoms]), 0, len(atoms), descriptor.cutoff)
    return descriptor.compute(environments).sum(axis=0)


def off(one, other, descriptor):
    """Relative difference of the sums of two structures."""
    first, second = total(one, descriptor), total(other, descriptor)
    return np.linalg.norm(first - second) / np.linalg.norm(first)


@pytest.mark.parametrize("away", [0.0, 0.02])
def test_different_clusters_of_the_same_triangles_are_found_where_they_meet(away):
    descriptor = spectrum(6, 10, ("B",), 4.0)
    triangles = drawn(np.random.default_rng(2), of_two_triangles)
    positions = beside(np.random.default_rng(1), np.vstack([np.zeros((1, 3)), triangles]), away)
    found = analysed(Atoms("B8", positions), "sum", descriptor, Options(flag_ratio=1e-2))
    assert found.kind is Kind.INCOMPLETENESS
    assert counts(found) == {"incompleteness": 1}
    assert "correlations of 3" in found.reason
    assert found.distance <= away
    assert found.estimate <= away
    pair = [Atoms("B8", end.vectors) for end in (found.pair.first, found.pair.second)]
    assert found.pair.misfit > 0.1
    assert off(*pair, descriptor) < 1e-13
    three = Bispectrum(cutoff=4.0, n_max=3, l_max=3, elements=("B",), **POINTS)
    assert off(*pair, three) > 1e-4
    stacked = analysed(Atoms("B8", positions), "stack", descriptor, Options(flag_ratio=1e-2))
    assert stacked.kind is Kind.REGULAR, "whose atoms tell which triangles are theirs"


def test_known_clusters_of_the_same_triangles_are_not_singular_themselves(shared_data):
    path = shared_data / "degenerate" / "boron8_pairs_1300.xyz.gz"
    if not path.is_file():
        pytest.skip(f"no degenerate clusters in {path}")
    with gzip.open(path, "rt") as file:
        frames = ase.io.read(io.StringIO("".join(islice(file, 60))), ":", format="extxyz")
    descriptor = spectrum(6, 8, ("B",), 5.0)
    for one, other in zip(frames[::2], frames[1::2], strict=True):
        assert off(one, other, descriptor) < 1e-7, "equal to the digits of the file"
    screened = screen_structures(descriptor, batch_of(frames), "sum")
    assert screened.kinds == [Kind.REGULAR] * 6


def test_what_was_found_does_not_depend_on_the_frame_nor_on_the_order(four):
    descriptor, _ = four
    rng = np.random.default_rng(3)
    atoms = scattered(4, 1)
    turned = Atoms("H4", (atoms.positions @ random_rotation(rng).T + [1, 2, 3])[[2, 0, 3, 1]])
    one, other = (analysed(a, "sum", descriptor) for a in (atoms, turned))
    assert (one.kind, counts(one)) == (other.kind, counts(other))
    assert one.estimate == pytest.approx(other.estimate, rel=1e-5)


@pytest.mark.parametrize(
    ("name", "stacked", "nulls"),
    [
        ("CH4", False, 8),
        ("CH4", True, 2),
        ("C2H4", False, 9),
        ("C2H4", True, 3),
        ("H2O2", False, 2),
    ],
)
@pytest.mark.parametrize("order", [1, 2])
def test_complete_bases_see_all_that_symmetry_lets_them(name, stacked, nulls, order):
    positions = molecule(name).positions
    row, point = StructureRow.of(spectrum(), batch_of([molecule(name)]), "sum")
    point = row.symmetrised(point, row.symmetry(point, 1e-3))
    near = row.subject.environments(point, 6.0)
    rank = np.linalg.matrix_rank(pooled_class_rows(near, order, stacked, tolerance=1e-6), tol=1e-6)
    assert 3 * len(positions) - 6 - rank == nulls


def test_complete_bases_tell_mirror_images_apart_where_asked():
    row, point = StructureRow.of(spectrum(), batch_of([molecule("C2H4")]), "stack")
    point = row.symmetrised(point, row.symmetry(point, 1e-3))
    near = row.subject.environments(point, 6.0)
    for odd, nulls in ((False, 3), (True, 0)):
        rows = pooled_class_rows(near, 3, True, odd, tolerance=1e-6)
        assert 18 - 6 - np.linalg.matrix_rank(rows, tol=1e-6) == nulls
    with pytest.raises(CampaignError, match="atoms must be fewer"):
        pooled_class_rows(near, 9, True)


@BOTH
def test_an_environment_that_is_symmetric_all_but_exactly_does_not_make_nulls_less_than_none(
    features,
):
    # hydrogen at the end of a rod that is bent by less than the tolerance, and far from the rest
    rod = [[0, 0, 0], [0, 0, 1.06], [0, 3e-4, 2.27], [2e-4, 0, 3.6]]
    rest = [[1.3, 0.4, 4.1], [-0.6, 1.1, 4.2], [-0.5, -1.2, 4.5]]
    atoms = Atoms("HCCCOHF", rod + rest)
    descriptor = spectrum(3, 3, ("H", "C", "O", "F"), cutoff=3.65)
    screened = screen_structures(descriptor, batch_of([atoms]), features)
    assert screened.symmetry_nulls[0] == 0
    assert screened.symmetric[0] == screened.spectra.row(0)[-1]


@BOTH
def test_an_ion_off_its_site_is_led_back_to_symmetry_and_a_crystal_made_exact(features):
    salt = bulk("NaCl", "rocksalt", a=5.64)
    salt.positions[1] += [0.02, 0.013, 0.007]
    descriptor = spectrum(4, 4, ("Na", "Cl"))
    found = analysed(salt, features, descriptor)
    assert found.kind is Kind.SYMMETRY
    assert 0 < found.distance < 0.02
    assert found.pair is None
    zincite = bulk("ZnO", "wurtzite", a=3.25, c=5.2, u=0.382)
    zincite.rattle(1e-4, seed=0)
    screened = screen_structures(spectrum(4, 5, ("Zn", "O")), batch_of([zincite]), features)
    row, point = StructureRow.of(spectrum(4, 5, ("Zn", "O")), batch_of([zincite]), features)
    exact = row.symmetrised(point, row.symmetry(point, 1e-3)).vectors
    assert 1e-5 < np.max(np.abs(exact - point.vectors)) < 5e-4
    assert row.symmetry(point.at(exact), 1e-9).name == "C6v"
    nulls = {"sum": 8, "stack": 6}[features]
    assert screened.summary.n_nulls[0] == screened.symmetry_nulls[0] == nulls
    assert screened.kinds == [Kind.SYMMETRY]


def test_a_search_keeps_the_symmetry_of_the_structure_whatever_its_atoms_see():
    atoms = molecule("H2O")
    row, point = StructureRow.of(spectrum(), batch_of([atoms]), "stack")
    there = row.look(point, row.symmetry(point, 1e-3), 1e-3)
    coordinates = there.point.vectors.ravel()
    assert there.free.motions(coordinates).shape[1] == 3, "the bonds, each by itself, and the angle"
    steps = there.free.steps(coordinates, there.singular)
    assert steps.shape[1] == 2
    end = nearest(there.free, Bounds(reach=1.5), kicks=2).point
    symmetry = there.symmetry
    np.testing.assert_allclose(symmetry.symmetrised(end.vectors), end.vectors, atol=1e-10)


@BOTH
def test_molecules_that_hardly_see_each_other_are_a_matter_of_the_cutoff(features):
    two = rattled("H2O", 0.05, 2)
    other = rattled("H2O", 0.05, 3)
    other.rotate(50, (1, 2, 3))
    two += Atoms(other.numbers, other.positions + np.array([0.4, 0.3, 5.0]))
    between = two.get_all_distances()[:3, 3:]
    descriptor = PowerSpectrum(cutoff=float(between.min()) / 0.985, elements=("H", "O"), n_max=4,
                               l_max=4, smoothing=0.5)  # fmt: skip
    found = screen_structures(descriptor, batch_of([two]), features)
    assert found.summary.ratio[0] < 1e-3
    assert found.kinds == [Kind.CUTOFF]
    assert np.isnan(found.estimates[0])
    touching = PowerSpectrum(cutoff=float(between.min()) * (1 + 1e-10), elements=("H", "O"),
                             n_max=4, l_max=4, smoothing=0.5)  # fmt: skip
    row, point = StructureRow.of(touching, batch_of([two]), features)
    faint = row.look(point, row.symmetry(point, 1e-3), 1e-3)
    # the atom that touches, and the one that it touches, but not a turn about both
    assert faint.found.counts == {Kind.CUTOFF: 5, Kind.SYMMETRY: 1}


def test_other_descriptors_are_followed_as_well():
    atoms = rattled("H2O", 0.02)
    for descriptor in (
        MomentInvariants(order=4, cutoff=4.0),
        spectrum(3, 3, ("H", "O"), species="weights"),
    ):
        found = analysed(atoms, "sum", descriptor)
        assert (found.kind, found.group_there) == (Kind.SYMMETRY, "C2v")


def test_structures_too_small_or_too_large_have_an_answer(monkeypatch):
    lone = analysed(Atoms("H"), "sum", spectrum())
    assert (lone.kind, lone.reason) == (Kind.REGULAR, "no motion but as a whole")
    two = analysed(Atoms("N2", [[0, 0, 0], [0.4, 0.2, 1.0]]), "stack", spectrum())
    assert two.kind in (Kind.REGULAR, Kind.UNRESOLVED)
    monkeypatch.setattr(structure_row, "MOST_NUMBERS", 1000)
    atoms = rattled("CH4", 0.1)
    found = screen_structures(spectrum(1, 0), batch_of([atoms]), "sum", closely=True)
    assert found.kinds == [Kind.UNRESOLVED]
    assert found.flagged.tolist() == [True]
    assert np.isnan(found.estimates[0])
    assert "more than 1,000" in found.analyses[0].reason


def test_atoms_keep_their_distance_from_each_other_and_from_images():
    atoms = Atoms("H2", [[0, 0, 0], [0, 0, 2.1]], cell=[5, 5, 3.0], pbc=True)
    batch = batch_of([atoms])
    start = batch.positions.ravel()
    bounds = Bounds(reach=0.6, core=0.5)
    limits = Whole("sum", batch.cells[0], batch.pbc[0]).limits(bounds, start, 4.0)
    nearer = start.copy()
    nearer[5] += 0.3
    assert limits.admit(nearer)
    nearer[5] += 0.2  # an image of the first atom is 0.4 Å away
    assert not limits.admit(nearer)
    walls = limits.walls(start, nearer)
    assert walls.shape == (6, 1)
    np.testing.assert_allclose(np.abs(walls[[2, 5], 0]), np.sqrt(0.5))
    with pytest.raises(CampaignError, match="features must be one of sum, stack"):
        Whole("mean", batch.cells[0], batch.pbc[0])
