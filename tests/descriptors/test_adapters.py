"""Descriptors of other packages: faithful to them, optional, and safe from bad input."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from reference.batches import batch
from reference.peers import (
    ELEMENTS,
    by_atom,
    environments_of,
    featomic_arrays,
    molecule_and_crystals,
    relative_error,
)

from distdesc import registry
from distdesc.descriptors import DESCRIPTORS
from distdesc.errors import CampaignError

PACKAGES = {"dscribe_soap": "dscribe", "featomic_soap": "featomic"}
SMALL = {"n_max": 3, "l_max": 2, "sigma": 0.4, "elements": ELEMENTS}


def build(name, **fields):
    pytest.importorskip(PACKAGES[name], reason=f"{PACKAGES[name]} is not installed")
    return registry.build(DESCRIPTORS, "descriptor", {"name": name, **SMALL, **fields})


@pytest.fixture(params=["molecule", "salt", "diamond"])
def atoms(request, molecules):
    return molecule_and_crystals(molecules)[request.param]


@pytest.mark.parametrize(
    "fields",
    [
        {"include_centre": True, "smoothing": 0.7},
        {"include_centre": False, "cutoff_function": "none", "spline_accuracy": 1e-3},
    ],
    ids=["centre", "step"],
)
def test_fingerprints_are_those_that_featomic_gives_to_the_structure(atoms, fields):
    ours = build("featomic_soap", cutoff=4.0, **fields)
    from featomic import SoapPowerSpectrum

    smoothing = {"type": "Step"}
    if ours.cutoff_function == "cosine":
        smoothing = {"type": "ShiftedCosine", "width": 0.7}
    theirs = SoapPowerSpectrum(
        cutoff={"radius": 4.0, "smoothing": smoothing},
        density={"type": "Gaussian", "width": 0.4, "center_atom_weight": ours.include_centre * 1.0},
        basis={
            "type": "TensorProduct",
            "max_angular": 2,
            "radial": {"type": "Gto", "max_radial": 2},
            "spline_accuracy": ours.spline_accuracy,
        },
    ).compute(atoms, gradients=["positions"])
    environments, names, n = environments_of(atoms, 4.0), ours.feature_names(), len(atoms)
    values = np.stack([featomic_arrays(theirs, name, n) for name in names], axis=-1)
    assert relative_error(ours.compute(environments), values) < 1e-12
    gradient = np.stack([featomic_arrays(theirs, name, n, True) for name in names], axis=-1)
    assert relative_error(by_atom(ours.jacobian(environments), environments), gradient) < 1e-12


def test_a_spline_accuracy_of_zero_is_exact(molecules):
    exact = build("featomic_soap", spline_accuracy=0.0)
    environments = environments_of(molecule_and_crystals(molecules)["molecule"], exact.cutoff)
    wanted = exact.compute(environments)
    coarse = build("featomic_soap", spline_accuracy=1e-3).compute(environments)
    fine = build("featomic_soap", spline_accuracy=1e-10).compute(environments)
    assert 1e-6 < relative_error(coarse, wanted) < 1e-2
    assert relative_error(fine, wanted) < 1e-9


def test_fingerprints_are_those_that_dscribe_gives_to_the_structure(atoms):
    ours = build("dscribe_soap", basis_radius=3.0, include_centre=True)
    from dscribe.descriptors import SOAP

    theirs = SOAP(
        r_cut=3.0, n_max=3, l_max=2, sigma=0.4, species=ELEMENTS, periodic=bool(np.any(atoms.pbc))
    )
    assert ours.n_features == theirs.get_number_of_features()
    assert ours.cutoff == 3.0 + theirs.get_cutoff_padding()
    names = ours.feature_names()[theirs.get_location(("Cl", "C"))]
    assert names[0] == "C0·Cl0 l0"
    assert names[-1] == "C2·Cl2 l2"
    environments = environments_of(atoms, ours.cutoff)
    assert relative_error(ours.compute(environments), theirs.create(atoms)) < 1e-12
    if not np.any(atoms.pbc):
        # analytic only without periodicity; attached centres move with their atoms
        gradient = theirs.derivatives(atoms, attach=True, return_descriptor=False)
        jacobian = by_atom(ours.jacobian(environments), environments)
        assert relative_error(jacobian, gradient) < 1e-11


@pytest.mark.parametrize("name", PACKAGES)
def test_centres_of_different_elements_share_a_batch(name):
    descriptor = build(name)
    places, numbers = [[0, 0, 1.1], [0.3, 1.2, 0]], [1, 8]
    together = batch([(places, numbers)] * 120)
    together.centre_numbers[:] = np.resize([1, 6, 7, 8], 120)
    values, jacobian = descriptor.compute(together), descriptor.jacobian(together)
    # without its own density, the element of the centre does not matter
    assert np.all(values == values[0])
    assert np.any(values[0])
    assert np.all(jacobian.reshape(120, 2, 3, -1) == jacobian[:2])
    with_centre = build(name, include_centre=True).compute(together)
    assert np.all(with_centre[4:] == with_centre[:-4])
    assert np.any(with_centre[0] != with_centre[1])


@pytest.mark.parametrize("name", PACKAGES)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e9])
def test_places_that_would_crash_the_package_are_refused(name, bad):
    descriptor = build(name)
    environments = batch([([[0, 0, 1.0]], [1]), ([[0, 1.0, 0], [1.0, bad, 0]], [6, 1])])
    for work in (descriptor.compute, descriptor.jacobian):
        with pytest.raises(ValueError, match="neighbours of centre 1 are not at finite places"):
            work(environments)


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("dscribe_soap", {"n_max": 16, "basis_radius": 2.0}),
        # of which dscribe only warns
        ("dscribe_soap", {"n_max": 11, "basis_radius": 2.0}),
        ("featomic_soap", {"spline_accuracy": 1e-300}),
    ],
)
def test_what_the_package_refuses_is_an_error_of_the_campaign(name, fields):
    with pytest.raises(CampaignError, match=rf"{PACKAGES[name]} must accept the parameters, got: "):
        build(name, **fields)


@pytest.mark.parametrize(("name", "package"), PACKAGES.items())
def test_without_the_package_the_error_says_how_to_install_it(name, package):
    code = (
        f"import sys; sys.modules['{package}'] = None\n"  # as if it were not installed
        "from distdesc import registry\n"
        "from distdesc.descriptors import DESCRIPTORS\n"
        "from distdesc.errors import CampaignError\n"
        "try:\n"
        f"    fields = {{'name': '{name}', 'elements': ['H']}}\n"
        "    registry.build(DESCRIPTORS, 'descriptor', fields)\n"
        "except CampaignError as error:\n"
        "    print(error)\n"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == (
        f"[descriptor] {package} must be installed for this descriptor "
        f"(pip install 'distdesc[{package}]'), got no such package"
    )


def test_the_packages_are_imported_when_chosen_and_not_before():
    code = (
        "import sys, distdesc, distdesc.descriptors.dscribe_soap\n"
        "import distdesc.descriptors.featomic_soap\n"
        "print([m for m in ('featomic', 'metatensor', 'dscribe', 'ase') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
