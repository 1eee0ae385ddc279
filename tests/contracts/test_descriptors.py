"""What every registered descriptor promises; see distdesc.descriptors.descriptor."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
from reference.batches import batch, random_environment, random_rotation, row
from reference.descriptors import (
    CASES,
    CONFIGURATIONS,
    FOUR,
    JUMPS,
    build,
    name_of,
    name_of_case,
)

from distdesc import registry
from distdesc.descriptors import DESCRIPTORS
from distdesc.errors import CampaignError

ADAPTERS = [
    ({"n_max": 0}, "n_max must be an integer from 1 to 16, got 0"),
    ({"n_max": True}, "n_max must be an integer from 1 to 16, got True"),
    ({"l_max": 17}, "l_max must be an integer from 0 to 16, got 17"),
    ({"sigma": 0.0}, "sigma must be a number of Å above 0, got 0.0"),
    ({"sigma": "0.3"}, "sigma must be a number of Å above 0, got '0.3'"),
    ({"elements": []}, "elements must be given"),
    ({"elements": ["H", "Q"]}, 'elements must be chemical symbols, got "Q"'),
    ({"include_centre": 1}, "include_centre must be true or false, got 1"),
]

SPECTRA = [
    ({"cutoff": -1.0}, "cutoff must be positive"),
    ({"smoothing": 6.0}, "smoothing must be from 0 to the cutoff, 5.0, got 6.0"),
    ({"n_max": 0}, "n_max must be an integer from 1 to 16, got 0"),
    ({"n_max": 2.0}, "n_max must be an integer from 1 to 16, got 2.0"),
    ({"radial": "sines"}, "radial must be one of gto, gto_dscribe, laplacian, zernike, got"),
    ({"sigma": -0.1}, "sigma must be a number of Å >= 0, got -0.1"),
    ({"sigma": "0.3"}, "sigma must be a number of Å >= 0, got '0.3'"),
    ({"sigma": 0.001}, "sigma must be 0 for points or at least a sixtieth of the cutoff, 0.0833"),
    ({"cutoff_function": "cubic"}, "cutoff_function must be one of cosine, polynomial, none"),
    ({"basis_radius": 4.0, "radial": "zernike"}, 'basis_radius must be 0 for radial "zernike"'),
    ({"radial": "gto_dscribe", "cutoff": 0.9}, "basis_radius must be above 1 Å"),
    ({"include_centre": 1}, "include_centre must be true or false, got 1"),
    ({"species": "colours"}, "species must be one of channels, weights, none, embedding"),
    ({"elements": []}, "elements must be given"),
    ({"elements": ["H", "Q"]}, 'elements must be chemical symbols, got "Q"'),
    ({"rank": 2}, 'rank and embedding must be left out for species "channels"'),
    ({"species": "embedding"}, "rank or embedding must be given"),
    ({"species": "embedding", "rank": -1}, "rank must be a whole number >= 1, got -1"),
    ({"species": "embedding", "embedding": [[1.0]]}, "embedding must have one line per element, 4"),
    ({"species": "embedding", "elements": ["H"], "embedding": [1.0]}, "embedding must be a list"),
    ({"species": "embedding", "elements": ["H", "C"], "embedding": [[1.0], [1.0, 2.0]]},
     "embedding must have lines of equal length, got lengths"),
    ({"species": "embedding", "elements": ["H"], "embedding": [["x"]]}, "finite numbers, got 'x'"),
]  # fmt: skip

# Bad values of a field, with what the message must say is accepted.
BAD = {
    "bispectrum": [
        *(({"elements": FOUR, **bad}, message) for bad, message in SPECTRA),
        ({"species": "none", "parity_odd": 1}, "parity_odd must be true or false, got 1"),
        ({"elements": FOUR, "n_max": 8, "l_max": 6}, "at most 200,000 features; got more with"),
    ],
    "dscribe_soap": [
        *(({"elements": FOUR, **bad}, message) for bad, message in ADAPTERS),
        ({"elements": FOUR, "basis_radius": 1.0}, "basis_radius must be a number of Å above 1"),
    ],
    "featomic_soap": [
        *(({"elements": FOUR, **bad}, message) for bad, message in ADAPTERS),
        ({"elements": FOUR, "cutoff": -1.0}, "cutoff must be positive"),
        ({"elements": FOUR, "smoothing": 5.0}, "smoothing must be above 0 and below the cutoff"),
        ({"elements": FOUR, "cutoff_function": "cubic"}, "cutoff_function must be one of cosine"),
        ({"elements": FOUR, "spline_accuracy": 1}, "spline_accuracy must be from 0 to below 1"),
        ({"elements": FOUR, "spline_accuracy": "no"}, "spline_accuracy must be from 0 to below 1"),
    ],
    "moment_invariants": [
        ({"cutoff": 0.0}, "cutoff must be positive"),
        ({"cutoff": "5"}, "cutoff must be a number of Å, got '5'"),
        ({"cutoff": float("nan")}, "cutoff must be positive"),
        ({"smoothing": 6.0}, "smoothing must be from 0 to the cutoff, 5.0, got 6.0"),
        ({"order": 0}, "order must be an integer from 1 to 12, got 0"),
        ({"order": 13}, "order must be an integer from 1 to 12, got 13"),
        ({"order": 2.0}, "order must be an integer from 1 to 12, got 2.0"),
        ({"order": True}, "order must be an integer from 1 to 12, got True"),
        ({"order": 3, "parity_odd": True}, "order must be from 4 to 12"),
        (
            {"order": 1, "parity_odd": True, "species": "channels", "elements": ["H", "C"]},
            "order must be from 2 to 12 for parity_odd with so many densities, 2, got 1",
        ),
        ({"invariants": "some"}, 'invariants must be one of independent, full, got "some"'),
        ({"parity_odd": "yes"}, "parity_odd must be true or false, got 'yes'"),
        ({"species": "colours"}, 'species must be one of weights, channels, none, got "colours"'),
        ({"species": "channels"}, "elements must be given"),
        ({"elements": ["H", "Q"]}, 'elements must be chemical symbols, got "Q"'),
        ({"elements": "H"}, "elements must be a list, got 'H'"),
        ({"elements": ["H", "H"]}, "elements must differ, got H, H"),
        ({"elements": ["H"], "weights": [1.0, 2.0]}, "weights must be one per element, 1, got 2"),
        ({"elements": ["H"], "weights": [0.0]}, "weights must be finite and not zero, got 0.0"),
        ({"elements": ["H"], "weights": ["1"]}, "weights must be finite and not zero, got '1'"),
        ({"species": "none", "weights": [1.0]}, "weights must be empty"),
    ],
    "power_spectrum": [
        *(({"elements": FOUR, **bad}, message) for bad, message in SPECTRA),
        ({"elements": FOUR, "radial": "gto_dscribe", "n_max": 16}, "n_max must be smaller"),
        ({"elements": FOUR, "l_max": -1}, "l_max must be an integer from 0 to 16, got -1"),
    ],
    "radial_spectrum": [({"elements": FOUR, **bad}, message) for bad, message in SPECTRA],
    "trispectrum": [
        *(({"elements": FOUR, "n_max": 1, **bad}, message) for bad, message in SPECTRA),
        ({"species": "none", "parity_odd": "yes"}, "parity_odd must be true or false, got 'yes'"),
        ({"elements": FOUR, "n_max": 4}, "got more with n_max 4, l_max 3 and 4 densities"),
    ],
}


@pytest.fixture(scope="module", params=CASES, ids=name_of_case)
def descriptor(request):
    return build(*request.param)


@pytest.fixture(scope="module")
def environments(descriptor):
    """37 environments of 0 to 21 neighbours; some of them special."""
    rng = np.random.default_rng(5)
    radius = 0.999 * descriptor.cutoff
    found = [random_environment(rng, n, radius) for n in rng.integers(1, 22, size=32)]
    z = [[0, 0, 1.0], [0, 0, -1.5], [0, 0, 2.0]]
    found += [
        ([], []),
        (z, [1, 6, 8]),
        ([[0, 0, 1.1]], [1]),
        ([[1.1, 0, 0], [0, 1.1, 0], [-1.1, 0, 0], [0, -1.1, 0]], [1, 1, 1, 1]),
        ([[0.8, 0.8, 0.8], [0.8, -0.8, -0.8], [-0.8, 0.8, -0.8], [-0.8, -0.8, 0.8]], [1] * 4),
    ]
    order = rng.permutation(len(found))
    return batch([found[k] for k in order])


def rows(environments):
    return [row(environments, k) for k in range(len(environments))]


def test_every_descriptor_is_tested():
    assert set(CONFIGURATIONS) == set(DESCRIPTORS)
    assert set(BAD) == set(DESCRIPTORS)


def test_fingerprints_are_finite_doubles_of_the_announced_shape(descriptor, environments):
    values = descriptor.compute(environments)
    assert values.dtype == np.float64
    assert values.shape == (len(environments), descriptor.n_features)
    assert np.all(np.isfinite(values))
    jacobian = descriptor.jacobian(environments)
    assert jacobian.dtype == np.float64
    assert jacobian.shape == (len(environments.vectors), 3, descriptor.n_features)
    assert np.all(np.isfinite(jacobian))


def test_features_have_unique_names(descriptor):
    names = descriptor.feature_names()
    assert len(names) == len(set(names)) == descriptor.n_features
    assert all(names)


def test_rotation_changes_nothing(descriptor, environments):
    before = descriptor.compute(environments)
    rotation = random_rotation(np.random.default_rng(1))
    after = descriptor.compute(batch([(v @ rotation.T, z) for v, z in rows(environments)]))
    scale = np.max(np.abs(before), axis=0)
    assert np.all(np.abs(after - before) <= 1e-11 * scale)


def test_reflection_changes_signs_of_odd_features_only(descriptor, environments):
    before = descriptor.compute(environments)
    after = descriptor.compute(batch([(-v, z) for v, z in rows(environments)]))
    scale = np.max(np.abs(before), axis=0)
    even = np.all(np.abs(after - before) <= 1e-11 * scale, axis=0)
    odd = np.all(np.abs(after + before) <= 1e-11 * scale, axis=0)
    assert np.all(even | odd)
    assert bool(np.any(~even)) == descriptor.parity_odd


def test_order_of_neighbours_does_not_matter(descriptor, environments):
    rng = np.random.default_rng(2)
    before = descriptor.compute(environments)
    shuffled = []
    for vectors, numbers in rows(environments):
        order = rng.permutation(len(vectors))
        shuffled.append((vectors[order], numbers[order]))
    after = descriptor.compute(batch(shuffled))
    scale = np.max(np.abs(before), axis=0)
    assert np.all(np.abs(after - before) <= 1e-11 * scale)


def test_a_row_does_not_depend_on_its_batch_bit_for_bit(descriptor, environments):
    together = descriptor.compute(environments)
    jacobian = descriptor.jacobian(environments)
    all_rows = rows(environments)
    for k, environment in enumerate(all_rows):
        alone = batch([environment])
        assert descriptor.compute(alone).tobytes() == together[k : k + 1].tobytes()
        part = jacobian[environments.offsets[k] : environments.offsets[k + 1]]
        assert descriptor.jacobian(alone).tobytes() == part.tobytes()
    backwards = descriptor.compute(batch(all_rows[::-1]))
    assert backwards[::-1].tobytes() == together.tobytes()


def test_the_jacobian_is_the_derivative(descriptor):
    rng = np.random.default_rng(3)
    environments = batch(
        [random_environment(rng, n, descriptor.cutoff) for n in (1, 2, 5, 19)]
        + [([[0, 0, 1.0], [0, 0, -1.5], [0, 0, 2.0]], [1, 6, 8])]
    )
    jacobian = descriptor.jacobian(environments)
    step = 1e-4
    weights = {-2: 1 / 12, -1: -2 / 3, 1: 2 / 3, 2: -1 / 12}
    for axis in range(3):
        for pair in range(len(environments.vectors)):
            environment = int(np.searchsorted(environments.offsets, pair, side="right")) - 1
            difference = np.zeros(descriptor.n_features)
            for k, weight in weights.items():
                vectors, numbers = row(environments, environment)
                vectors = vectors.copy()
                vectors[pair - environments.offsets[environment], axis] += k * step
                value = descriptor.compute(batch([(vectors, numbers)]))[0]
                difference += weight * value / step
            error = np.abs(jacobian[pair, axis] - difference)
            assert np.max(error) < 1e-7 * np.max(np.abs(jacobian))


def test_value_and_slope_are_continuous_at_the_cutoff(descriptor):
    rng = np.random.default_rng(4)
    vectors, numbers = random_environment(rng, 8, 0.9 * descriptor.cutoff)
    direction = np.array([0.6, 0.48, 0.64])
    without = descriptor.compute(batch([(vectors, numbers)]))[0]
    size = np.max(np.abs(without))
    for gap in (1e-4, 1e-6):
        near = direction * (descriptor.cutoff - gap)
        environments = batch([(np.vstack([vectors, near]), np.append(numbers, 6))])
        change = np.max(np.abs(descriptor.compute(environments)[0] - without))
        if name_of(descriptor) in JUMPS:
            assert change < JUMPS[name_of(descriptor)] * size
            continue
        assert change < 1e3 * size * gap**2
        assert np.max(np.abs(descriptor.jacobian(environments)[-1])) < 1e3 * size * gap


def test_no_environment_and_no_neighbour_are_fine(descriptor):
    nothing = batch([])
    assert descriptor.compute(nothing).shape == (0, descriptor.n_features)
    assert descriptor.jacobian(nothing).shape == (0, 3, descriptor.n_features)
    isolated = batch([([], []), ([], [])])
    assert np.all(np.isfinite(descriptor.compute(isolated)))
    assert descriptor.jacobian(isolated).shape == (0, 3, descriptor.n_features)


def test_inputs_are_not_modified(descriptor, environments):
    copies = {name: value.copy() for name, value in vars(environments).items()}
    frozen = batch(rows(environments))
    for value in vars(frozen).values():
        value.flags.writeable = False
    descriptor.compute(frozen)
    descriptor.jacobian(frozen)
    descriptor.compute(environments)
    for name, value in vars(environments).items():
        assert value.tobytes() == copies[name].tobytes()


def test_it_pickles_and_is_hashable(descriptor, environments):
    again = pickle.loads(pickle.dumps(descriptor))
    assert again == descriptor
    assert hash(again) == hash(descriptor)
    assert again.compute(environments).tobytes() == descriptor.compute(environments).tobytes()


def test_its_configuration_survives_json(descriptor):
    text = json.dumps(registry.describe(name_of(descriptor), descriptor))
    assert registry.build(DESCRIPTORS, "descriptor", json.loads(text)) == descriptor


def test_accepted_numbers_are_sorted_atomic_numbers(descriptor):
    numbers = descriptor.accepted_numbers
    assert list(numbers) == sorted(set(numbers))
    assert 0 < numbers[0] <= numbers[-1] < 119


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [(name, *case) for name, cases in BAD.items() for case in cases],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else None,
)
def test_bad_hyper_parameters_are_refused_with_what_is_accepted(name, fields, message):
    with pytest.raises(CampaignError) as caught:
        registry.build(DESCRIPTORS, "descriptor", {"name": name, **fields})
    assert message in str(caught.value)
    assert "got" in str(caught.value)
