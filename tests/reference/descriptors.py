"""One or more configurations of every descriptor, with what is known of them."""

from __future__ import annotations

import pytest

from distdesc import registry
from distdesc.descriptors import DESCRIPTORS

FOUR = ["H", "C", "N", "O"]

# At least one configuration of every descriptor; elements H, C, N and O must be accepted.
CONFIGURATIONS = {
    "bispectrum": [
        {"elements": FOUR, "n_max": 1, "l_max": 3, "parity_odd": True},
        {"species": "none", "n_max": 3, "parity_odd": True, "include_centre": True},
        {"species": "weights", "radial": "laplacian", "sigma": 0.0, "cutoff": 4.0},
        {"elements": FOUR, "species": "embedding", "rank": 2, "n_max": 2, "l_max": 2},
    ],
    "dscribe_soap": [
        {"elements": FOUR, "n_max": 3, "l_max": 4, "basis_radius": 4.0},
        {"elements": FOUR, "n_max": 2, "l_max": 1, "sigma": 0.5, "include_centre": True},
    ],
    "featomic_soap": [
        {"elements": FOUR, "n_max": 3, "l_max": 4, "spline_accuracy": 1e-11},
        {"elements": FOUR, "n_max": 2, "l_max": 1, "sigma": 0.5, "include_centre": True,
         "spline_accuracy": 0.0, "smoothing": 2.2},
    ],
    "moment_invariants": [
        {},
        {"order": 4, "invariants": "full", "parity_odd": True, "smoothing": 5.0},
        {"order": 3, "species": "channels", "elements": FOUR, "include_centre": True},
        {"order": 6, "species": "none", "parity_odd": True, "cutoff": 4.0},
    ],
    "power_spectrum": [
        {"elements": FOUR, "n_max": 3, "l_max": 4},
        {"elements": FOUR, "n_max": 9, "l_max": 2, "radial": "laplacian", "sigma": 0.0,
         "cutoff_function": "polynomial", "include_centre": True},
        {"elements": FOUR, "n_max": 2, "radial": "zernike", "species": "embedding", "rank": 2},
        {"species": "weights", "radial": "gto_dscribe", "smoothing": 5.0, "basis_radius": 4.0},
    ],
    "radial_spectrum": [
        {"elements": FOUR},
        {"species": "none", "radial": "laplacian", "sigma": 0.5, "include_centre": True},
        {"elements": FOUR, "species": "embedding", "n_max": 5,
         "embedding": [[1.0, 0.0], [0.5, 0.5], [0.0, 1.0], [-1.0, 2.0]]},
    ],
    "trispectrum": [
        {"species": "weights", "parity_odd": True},
        {"elements": FOUR, "n_max": 1, "l_max": 1, "include_centre": True},
        {"species": "none", "n_max": 3, "l_max": 2, "radial": "zernike", "smoothing": 5.0},
    ],
}  # fmt: skip

# Descriptors of other packages, which need not be installed.
PACKAGES = {"dscribe_soap": "dscribe", "featomic_soap": "featomic"}

# Descriptors that jump at the cutoff, by how much of the largest feature at most, and why.
JUMPS = {"dscribe_soap": 1e-3}  # dscribe has no cutoff function

CASES = [(name, fields) for name, all_fields in CONFIGURATIONS.items() for fields in all_fields]


def name_of_case(case):
    """For the report of a test."""
    return f"{case[0]}-{'-'.join(case[1]) or 'default'}"


def build(name, fields):
    """Descriptor by its name in the registry; the test is skipped where its package is missing."""
    if name in PACKAGES:
        pytest.importorskip(PACKAGES[name], reason=f"{name} needs {PACKAGES[name]}")
    return registry.build(DESCRIPTORS, "descriptor", {"name": name, **fields})


def name_of(descriptor):
    """Key of a descriptor in the registry."""
    (name,) = (n for n, path in DESCRIPTORS.items() if path.endswith(type(descriptor).__name__))
    return name
