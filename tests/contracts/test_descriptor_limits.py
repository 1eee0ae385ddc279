"""What every registered descriptor does where formulas break down: axes, centres, edges, crowds."""

from __future__ import annotations

import numpy as np
import pytest
from reference.batches import batch, random_environment, random_rotation
from reference.descriptors import (
    CASES,
    CONFIGURATIONS,
    FOUR,
    JUMPS,
    build,
    name_of,
    name_of_case,
)

from distdesc.campaign import Campaign
from distdesc.descriptors.bispectrum import Bispectrum
from distdesc.descriptors.moment_invariants import MomentInvariants
from distdesc.descriptors.power_spectrum import PowerSpectrum
from distdesc.descriptors.radial_spectrum import RadialSpectrum
from distdesc.descriptors.trispectrum import Trispectrum
from distdesc.engine.run import run
from distdesc.report.reader import open_run
from distdesc.schema import Status

# Near an axis, and where squares of coordinates underflow.
ON_AXIS = [[0, 0, 1.3], [0, 0, -1.3], [1e-160, 0, 1.3], [1e-300, -1e-300, -1.3], [0, 1.3, 0]]
NEAR_AXIS = [[1e-6, 0, 1.3], [-3e-7, 7e-7, -1.3], [1e-9, 1e-12, 1.3], [1e-6, 1.3, 0]]

# Derivatives by a neighbour that sits on the centre and has no direction: not finite, and why.
NOT_FINITE = {"featomic_soap": "featomic divides by the distance"}

POINTS = {"radial": "laplacian", "sigma": 0.0}


@pytest.fixture(scope="module", params=CASES, ids=name_of_case)
def descriptor(request):
    return build(*request.param)


@pytest.fixture(scope="module")
def surroundings(descriptor):
    """Nine neighbours inside the cutoff, as vectors and numbers."""
    return random_environment(np.random.default_rng(3), 9, 0.9 * descriptor.cutoff)


def together(surroundings, *vectors, number=1):
    """The same with further neighbours."""
    others, numbers = surroundings
    more = np.asarray(vectors, dtype=float).reshape(-1, 3)
    return np.vstack([others, more]), np.append(numbers, [number] * len(more))


def largest_error(found, expected):
    return np.max(np.abs(found - expected)) / np.max(np.abs(expected))


def differences(descriptor, vectors, numbers, pair, step=1e-4):
    """Derivatives by one neighbour, shape (3, n_features), by central differences."""
    out = np.zeros((3, descriptor.n_features))
    for axis in range(3):
        for k, weight in {-2: 1 / 12, -1: -2 / 3, 1: 2 / 3, 2: -1 / 12}.items():
            moved = vectors.copy()
            moved[pair, axis] += k * step
            out[axis] += weight * descriptor.compute(batch([(moved, numbers)]))[0] / step
    return out


def assert_same_turned(descriptor, vectors, numbers, value=1e-12, slope=1e-11):
    """Fingerprint and Jacobian are those of a turned copy; the Jacobian of the former."""
    rotation = random_rotation(np.random.default_rng(4))
    here, there = batch([(vectors, numbers)]), batch([(vectors @ rotation.T, numbers)])
    assert largest_error(descriptor.compute(there), descriptor.compute(here)) < value
    jacobian = descriptor.jacobian(here)
    back = np.einsum("ab,paf->pbf", rotation, descriptor.jacobian(there))
    assert largest_error(back, jacobian) < slope
    return jacobian


@pytest.mark.parametrize("place", ON_AXIS + NEAR_AXIS, ids=str)
def test_no_digit_is_lost_on_an_axis_or_near_it(descriptor, surroundings, place):
    vectors, numbers = together(surroundings, place)
    jacobian = assert_same_turned(descriptor, vectors, numbers)
    expected = differences(descriptor, vectors, numbers, len(vectors) - 1)
    assert np.max(np.abs(jacobian[-1] - expected)) < 1e-9 * np.max(np.abs(jacobian))


def test_neighbours_on_one_axis_only_are_fine(descriptor):
    vectors = np.array([[0, 0, 1.0], [0, 0, -1.4], [0, 0, 2.1]])
    jacobian = assert_same_turned(descriptor, vectors, [1, 6, 8], value=1e-11)
    for pair in range(3):
        expected = differences(descriptor, vectors, [1, 6, 8], pair)
        assert np.max(np.abs(jacobian[pair] - expected)) < 1e-9 * np.max(np.abs(jacobian))


def test_two_neighbours_in_one_place_count_twice(descriptor, surroundings):
    place = surroundings[0][3] * 0.7
    vectors, numbers = together(surroundings, place, place)
    jacobian = assert_same_turned(descriptor, vectors, numbers)
    assert largest_error(jacobian[-1], jacobian[-2]) < 1e-14
    value = descriptor.compute(batch([(vectors, numbers)]))
    shift = np.array([1e-7, -2e-7, 1e-7])
    apart = descriptor.compute(batch([together(surroundings, place, place + shift)]))
    predicted = value + shift @ jacobian[-1]
    assert largest_error(apart, predicted) < 1e-11


def test_two_elements_may_be_in_one_place(descriptor, surroundings):
    place = surroundings[0][3] * 0.7
    vectors, numbers = together(surroundings, place, place)
    numbers[-1] = 8
    jacobian = assert_same_turned(descriptor, vectors, numbers)
    expected = differences(descriptor, vectors, numbers, len(vectors) - 1)
    assert np.max(np.abs(jacobian[-1] - expected)) < 1e-9 * np.max(np.abs(jacobian))


def test_a_neighbour_on_the_centre_is_the_limit_of_a_near_one(descriptor, surroundings):
    direction = np.array([0.6, -0.8, 0.3])
    on = batch([together(surroundings, [0, 0, 0])])
    value, jacobian = descriptor.compute(on), descriptor.jacobian(on)
    for distance in (1e-5, 1e-7):
        near = batch([together(surroundings, distance * direction)])
        assert largest_error(descriptor.compute(near), value) < 10 * distance
        others = descriptor.jacobian(near)[:-1]
        assert largest_error(others, jacobian[:-1]) < 10 * distance
    if name_of(descriptor) not in NOT_FINITE:
        assert np.all(np.isfinite(jacobian))
    vectors, numbers = together(surroundings, [0, 0, 0])
    expected = differences(descriptor, vectors, numbers, len(vectors) - 1)
    if name_of(descriptor) not in NOT_FINITE:
        error = np.max(np.abs(jacobian[-1] - expected)) / np.max(np.abs(jacobian))
        assert error < 1e-9


def test_derivatives_are_right_down_to_a_picometre(descriptor, surroundings):
    vectors, numbers = together(surroundings, [0.006, -0.005, 0.006])
    jacobian = assert_same_turned(descriptor, vectors, numbers)
    expected = differences(descriptor, vectors, numbers, len(vectors) - 1)
    assert np.max(np.abs(jacobian[-1] - expected)) < 1e-8 * np.max(np.abs(jacobian))


def test_a_neighbour_at_the_cutoff_changes_nothing(descriptor, surroundings):
    without = descriptor.compute(batch([surroundings]))
    for distance, slope in (
        (descriptor.cutoff, 0.0),
        (np.nextafter(descriptor.cutoff, 0.0), 1e-11),
        (descriptor.cutoff - 1e-9, 1e-6),
    ):
        edge = batch([together(surroundings, [0, distance, 0])])
        change = largest_error(descriptor.compute(edge), without)
        jacobian = descriptor.jacobian(edge)
        step = np.max(np.abs(jacobian[-1])) / np.max(np.abs(jacobian))
        if name_of(descriptor) in JUMPS:
            assert change < JUMPS[name_of(descriptor)]
            assert step < 10 * JUMPS[name_of(descriptor)]
        else:
            assert change < 1e-14
            assert step <= slope


@pytest.mark.parametrize("name", sorted(CONFIGURATIONS))
def test_an_element_that_is_not_accepted_has_no_weight(name):
    descriptor = build(name, {**CONFIGURATIONS[name][0], "elements": FOUR})
    surroundings = random_environment(np.random.default_rng(3), 9, 0.9 * descriptor.cutoff)
    strange = batch([together(surroundings, [0.3, 1.0, 0.7], number=26)])
    without = batch([surroundings])
    if name == "dscribe_soap":
        with pytest.raises(ValueError, match="26"):
            descriptor.compute(strange)
        return
    assert largest_error(descriptor.compute(strange), descriptor.compute(without)) < 1e-14
    jacobian = descriptor.jacobian(strange)
    assert not np.any(jacobian[-1])
    assert largest_error(jacobian[:-1], descriptor.jacobian(without)) < 1e-14


def test_points_in_orbitals_that_do_not_vanish_at_the_centre_jump_there():
    # those of featomic do not, for l > 0; smeared with a Gaussian they do
    surroundings = random_environment(np.random.default_rng(3), 5, 3.0, numbers=(6,))
    for sigma, jumps in ((0.0, True), (0.3, False)):
        spectrum = PowerSpectrum(species="none", n_max=2, l_max=2, sigma=sigma)
        on, near = (batch([together(surroundings, [0, 0, z], number=6)]) for z in (0.0, 1e-7))
        change = largest_error(spectrum.compute(near), spectrum.compute(on))
        assert (change > 1e-2) == jumps


@pytest.mark.parametrize("kind", [PowerSpectrum, RadialSpectrum, MomentInvariants])
def test_with_a_hard_cutoff_a_neighbour_counts_fully_up_to_there_and_not_at_all_from_there(kind):
    hard = {"smoothing": 0.0, "cutoff": 4.0, "species": "none"}
    if kind is not MomentInvariants:
        hard |= {"cutoff_function": "none", "n_max": 2}
    descriptor = kind(**hard)
    alone = random_environment(np.random.default_rng(5), 5, 3.0)
    inside, edge, near = (
        descriptor.compute(batch([together(alone, [0, distance, 0])]))
        for distance in (np.nextafter(4.0, 0.0), 4.0, 4.0 - 1e-7)
    )
    assert edge.tobytes() == descriptor.compute(batch([alone])).tobytes()
    assert largest_error(inside, near) < 1e-5
    assert largest_error(inside, edge) > 1e-3


@pytest.mark.parametrize("kind", [PowerSpectrum, RadialSpectrum])
def test_blocks_are_all_there_is_whatever_the_last_bit_of_a_distance_at_the_cutoff(kind):
    hard = kind(cutoff=5.0, n_max=2, elements=("H", "C"), cutoff_function="none")
    directions = np.random.default_rng(1).normal(size=(100, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    edges = [(5.0 * direction, [1]) for direction in directions]
    edges += [(np.nextafter(5.0, 0.0) * direction, [6]) for direction in directions]
    environments = batch([(np.vstack([v, [1.0, 1.0, 1.0]]), [*z, 6]) for v, z in edges])
    counts, blocks, values = hard.compute_blocks(environments)
    dense = np.zeros((len(environments), hard.n_features))
    owners = np.repeat(np.arange(len(environments)), counts)
    for row, block, found in zip(owners, blocks, values, strict=True):
        start, stop = hard.block_starts[block : block + 2]
        dense[row, start:stop] = found[: stop - start]
    assert np.array_equal(dense, hard.compute(environments))


@pytest.mark.parametrize("n_max", [3, 8, 12])
def test_power_spectra_of_few_and_of_many_functions_are_the_products_of_coefficients(n_max):
    spectrum = PowerSpectrum(n_max=n_max, l_max=2, elements=("H", "C"), **POINTS)
    environments = batch([random_environment(np.random.default_rng(8), 12, 4.0, (1, 6))])
    found, expected = spectrum.compute(environments)[0], []
    c = spectrum.coefficients(environments)[0]
    for a, b in ((0, 0), (0, 1), (1, 1)):
        for l in range(3):
            rows = slice(l * l, (l + 1) ** 2)
            square = np.sqrt(2 / (2 * l + 1)) * c[a, rows].T @ c[b, rows]
            if a == b:
                square[np.diag_indices(n_max)] /= np.sqrt(2)
            expected.append(square[np.triu_indices(n_max)] if a == b else square.ravel())
    assert largest_error(found, np.concatenate(expected)) < 1e-13


@pytest.mark.parametrize("number", [0, 119, 255])
def test_a_number_that_is_no_element_has_no_weight(number):
    strange = batch([([[1.0, 1.0, 1.0]], [number])], centre_number=number)
    for species in ({"elements": ("H",)}, {"species": "none"}):
        spectrum = PowerSpectrum(n_max=2, l_max=2, include_centre=True, **species)
        assert not np.any(spectrum.compute(strange))
        assert not np.any(spectrum.jacobian(strange))


def test_two_hundred_neighbours_are_as_good_as_few(descriptor):
    vectors, numbers = random_environment(np.random.default_rng(6), 200, descriptor.cutoff)
    jacobian = assert_same_turned(descriptor, vectors, numbers, value=1e-12)
    for pair in (0, 77, 199):
        expected = differences(descriptor, vectors, numbers, pair)
        assert np.max(np.abs(jacobian[pair] - expected)) < 1e-8 * np.max(np.abs(jacobian))


@pytest.mark.parametrize(
    ("kind", "n_max", "l_max", "fields"),
    [
        (RadialSpectrum, 12, None, {}),
        pytest.param(PowerSpectrum, 12, 12, {}, marks=pytest.mark.slow),
        (PowerSpectrum, 12, 12, POINTS),
        (PowerSpectrum, 12, 12, {"radial": "zernike"}),
        (PowerSpectrum, 8, 3, {"radial": "gto_dscribe"}),  # with 12 it says that it cannot
        (Bispectrum, 1, 12, {"parity_odd": True, **POINTS}),
        (Bispectrum, 12, 2, POINTS),
        (Trispectrum, 1, 7, POINTS),
        (Trispectrum, 12, 0, POINTS),
    ],
)
def test_large_bases_are_as_good_as_small_ones(kind, n_max, l_max, fields):
    momenta = {} if l_max is None else {"l_max": l_max}
    spectrum = kind(species="none", n_max=n_max, **momenta, **fields)
    vectors, numbers = random_environment(np.random.default_rng(8), 30, spectrum.cutoff)
    jacobian = assert_same_turned(spectrum, vectors, numbers)
    for pair in (0, 17):
        expected = differences(spectrum, vectors, numbers, pair)
        assert np.max(np.abs(jacobian[pair] - expected)) < 1e-8 * np.max(np.abs(jacobian))


STRANGE = """3
good
O 0 0 0
H 0 0.76 0.59
H 0 -0.76 0.59
2
an element that is not accepted
Fe 0 0 0
O 0 0 1.6
2
a coordinate that is no number
C 0 0 0
O 0 nan 1.1
1
an atom on its own
N 0 0 0
2
two atoms that see nothing of each other
N 0 0 0
H 0 0 60
2
two atoms in one place
C 0 0 0
H 0 0 0
"""


@pytest.mark.parametrize("name", sorted(CONFIGURATIONS))
@pytest.mark.parametrize("min_distance", [0.2, 0.0])
def test_a_campaign_sets_aside_what_it_cannot_compute_and_stores_nothing_else_as_nan(
    name, min_distance, tmp_path
):
    fields = {**CONFIGURATIONS[name][0], "elements": FOUR}
    build(name, fields)
    (tmp_path / "strange.xyz").write_text(STRANGE)
    data = {
        "source": {"name": "extxyz", "path": str(tmp_path / "strange.xyz")},
        "descriptor": {"name": name, **fields},
        "stage": [{"name": "fingerprint"}],
        "store": {"path": str(tmp_path / "run.zarr"), "shard_rows": 64, "chunk_rows": 64},
        "execution": {"executor": "serial"},
        "limits": {"quarantined_fraction": 1.0, "min_distance": min_distance},
    }
    run(Campaign.from_dict(data))
    found = open_run(tmp_path / "run.zarr")
    reasons = found.quarantined()
    assert set(reasons) == ({1, 2, 5} if min_distance else {1, 2})
    assert "species is not accepted: atom 0 is Fe" in reasons[1]
    assert "position is not finite: atom 1" in reasons[2]
    structure, _ = found.locate(np.arange(found.n_environments))
    aside = np.isin(structure, list(reasons))
    rows = found.fingerprints(slice(None))
    assert np.all(np.isfinite(rows[~aside]))
    assert np.all(np.isnan(rows[aside]))
    expected = np.where(aside, Status.QUARANTINED, Status.OK)
    assert np.array_equal(found.status("fingerprint"), expected)
    apart = rows[structure == 4]
    assert apart[0].tobytes() == rows[structure == 3][0].tobytes(), "both are N, alone"
    if not fields.get("include_centre"):
        assert not np.any(apart)
