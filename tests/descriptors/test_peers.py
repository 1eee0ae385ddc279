"""Our spectra beside those of featomic and dscribe: values and gradients."""

from __future__ import annotations

import numpy as np
import pytest
from reference.peers import (
    ELEMENTS,
    by_atom,
    environments_of,
    from_dscribe,
    from_featomic,
    molecule_and_crystals,
    relative_error,
)

from distdesc.descriptors.power_spectrum import PowerSpectrum
from distdesc.descriptors.radial_spectrum import RadialSpectrum

KINDS = ["molecule", "salt", "diamond"]


@pytest.fixture(params=KINDS)
def atoms(request, molecules):
    return molecule_and_crystals(molecules)[request.param]


@pytest.fixture
def featomic():
    return pytest.importorskip("featomic", reason="featomic is not installed")


@pytest.fixture
def dscribe():
    return pytest.importorskip("dscribe.descriptors", reason="dscribe is not installed")


def elements_of(atoms):
    """Those of a structure, in the order of a list that is not sorted by number."""
    return tuple(e for e in reversed(ELEMENTS) if e in set(atoms.symbols))


def hyper_parameters(ours, accuracy=None):
    """featomic's, of an expansion in Gaussian-type orbitals."""
    smoothing = {"type": "ShiftedCosine", "width": ours.smoothing}
    if ours.cutoff_function == "none":
        smoothing = {"type": "Step"}
    return {
        "cutoff": {"radius": ours.cutoff, "smoothing": smoothing},
        "density": {
            "type": "Gaussian",
            "width": ours.sigma,
            "center_atom_weight": float(ours.include_centre),
        },
        "basis": {
            "type": "TensorProduct",
            "max_angular": ours.l_max,
            "radial": {"type": "Gto", "max_radial": ours.n_max - 1},
            "spline_accuracy": accuracy,
        },
    }


@pytest.mark.parametrize(
    "fields",
    [
        {"cutoff": 4.0, "n_max": 8, "l_max": 6, "sigma": 0.5, "include_centre": True},
        {"cutoff": 3.5, "n_max": 3, "l_max": 9, "sigma": 0.2, "smoothing": 1.5},
        {"cutoff": 5.0, "n_max": 2, "l_max": 3, "sigma": 1.0, "cutoff_function": "none"},
    ],
    ids=lambda fields: "-".join(map(str, fields.values())),
)
def test_the_power_spectrum_and_its_gradient_are_those_of_featomic(featomic, atoms, fields):
    ours = PowerSpectrum(**fields, elements=elements_of(atoms))
    # with its splines off, featomic evaluates the radial integrals exactly
    theirs = featomic.SoapPowerSpectrum(**hyper_parameters(ours))
    found = theirs.compute(atoms, gradients=["positions"])
    environments = environments_of(atoms, ours.cutoff)
    names, n = ours.feature_names(), len(atoms)
    assert relative_error(ours.compute(environments), from_featomic(found, names, n)) < 1e-10
    gradient = by_atom(ours.jacobian(environments), environments)
    assert relative_error(gradient, from_featomic(found, names, n, gradient=True)) < 1e-10


@pytest.mark.parametrize(
    ("fields", "tolerance"),
    [
        ({"n_max": 4, "l_max": 5, "sigma": 0.4}, 1e-10),
        ({"n_max": 3, "l_max": 2, "sigma": 0.8}, 1e-10),
        # The overlap matrix of eight of its orbitals has a condition number of 1e9, and its
        # inverse root as many digits less.
        ({"n_max": 8, "l_max": 6, "sigma": 0.4}, 2e-8),
    ],
    ids=["4-5", "3-2", "8-6"],
)
def test_the_power_spectrum_is_that_of_dscribe(dscribe, atoms, fields, tolerance):
    elements = elements_of(atoms)
    theirs = dscribe.SOAP(
        r_cut=3.0, **fields, species=list(elements), periodic=bool(np.any(atoms.pbc))
    )
    # dscribe has no cutoff function and takes neighbours from beyond r_cut
    ours = PowerSpectrum(
        **fields, elements=elements, radial="gto_dscribe", basis_radius=3.0,
        cutoff=3.0 + theirs.get_cutoff_padding(), cutoff_function="none", include_centre=True,
    )  # fmt: skip
    environments = environments_of(atoms, ours.cutoff)
    found = from_dscribe(theirs.create(atoms), ours.feature_names())
    assert relative_error(ours.compute(environments), found) < tolerance


def test_the_gradient_of_the_power_spectrum_is_that_of_dscribe(dscribe, molecules):
    atoms = molecule_and_crystals(molecules)["molecule"]
    elements = elements_of(atoms)
    fields = {"n_max": 4, "l_max": 5, "sigma": 0.4}
    theirs = dscribe.SOAP(r_cut=3.0, **fields, species=list(elements))
    ours = PowerSpectrum(
        **fields, elements=elements, radial="gto_dscribe", basis_radius=3.0,
        cutoff=3.0 + theirs.get_cutoff_padding(), cutoff_function="none", include_centre=True,
    )  # fmt: skip
    environments = environments_of(atoms, ours.cutoff)
    found = theirs.derivatives(atoms, method="analytical", attach=True, return_descriptor=False)
    gradient = by_atom(ours.jacobian(environments), environments)
    assert relative_error(gradient, from_dscribe(found, ours.feature_names())) < 1e-10


def test_elements_as_weights_of_one_density_are_those_of_dscribe(dscribe, atoms):
    elements = elements_of(atoms)
    weights = {e: 1.5 - 0.4 * k for k, e in enumerate(elements)}
    fields = {"n_max": 4, "l_max": 3, "sigma": 0.5}
    theirs = dscribe.SOAP(
        r_cut=3.0, **fields, species=list(elements), periodic=bool(np.any(atoms.pbc)),
        compression={"mode": "mu2", "species_weighting": weights},
    )  # fmt: skip
    ours = PowerSpectrum(
        **fields, elements=elements, radial="gto_dscribe", basis_radius=3.0, species="weights",
        weights=tuple(weights.values()), cutoff=3.0 + theirs.get_cutoff_padding(),
        cutoff_function="none", include_centre=True,
    )  # fmt: skip
    found = theirs.create(atoms)
    # one density: the names of its features have no element, the factors are those of a like pair
    factors = from_dscribe(np.ones(len(ours.feature_names())), hydrogen_names(ours))
    environments = environments_of(atoms, ours.cutoff)
    assert relative_error(ours.compute(environments), found * factors) < 1e-10


def hydrogen_names(ours):
    """Names of the features, as if the one density were that of hydrogen."""
    return PowerSpectrum(n_max=ours.n_max, l_max=ours.l_max, elements=("H",)).feature_names()


def test_the_radial_spectrum_and_its_gradient_are_those_of_featomic(featomic, atoms):
    ours = RadialSpectrum(cutoff=4.0, n_max=5, sigma=0.3, elements=elements_of(atoms))
    wanted = hyper_parameters(ours)
    del wanted["basis"]["type"], wanted["basis"]["max_angular"]
    found = featomic.SoapRadialSpectrum(**wanted).compute(atoms, gradients=["positions"])
    values = np.zeros((len(atoms), ours.n_features))
    gradient = np.zeros((len(atoms), len(atoms), 3, ours.n_features))
    for key, block in found.items():
        channel = ours.accepted_numbers.index(key["neighbor_type"])
        part = slice(channel * ours.n_max, (channel + 1) * ours.n_max)
        centres, moved = block.samples["atom"], block.gradient("positions")
        values[centres, part] = block.values
        gradient[centres[moved.samples["sample"]], moved.samples["atom"], :, part] = moved.values
    environments = environments_of(atoms, ours.cutoff)
    assert relative_error(ours.compute(environments), values) < 1e-10
    assert relative_error(by_atom(ours.jacobian(environments), environments), gradient) < 1e-10


def coefficients_of(found, ours, n_atoms):
    """Expansion of featomic as `DensityExpansion.coefficients` has it; and where it has any."""
    shape = (n_atoms, len(ours.channels), (ours.l_max + 1) ** 2, ours.n_max)
    values, known = np.zeros(shape), np.zeros(shape, dtype=bool)
    for key, block in found.items():
        l, channel = key["o3_lambda"], ours.accepted_numbers.index(key["neighbor_type"])
        n = block.values.shape[2]
        place = np.ix_(block.samples["atom"], [channel], np.arange(l * l, (l + 1) ** 2), range(n))
        values[place] = block.values[:, None]
        known[:, channel, l * l : (l + 1) ** 2, :n] = True
    return values, known


def test_the_expansion_is_that_of_featomic(featomic, atoms):
    ours = PowerSpectrum(cutoff=4.0, n_max=6, l_max=8, elements=elements_of(atoms))
    found = featomic.SphericalExpansion(**hyper_parameters(ours)).compute(atoms)
    values, known = coefficients_of(found, ours, len(atoms))
    assert np.all(known)
    assert relative_error(ours.coefficients(environments_of(atoms, 4.0)), values) < 1e-10


@pytest.mark.parametrize(
    ("sigma", "n_points", "tolerance"),
    # a step of the spline of 1.3e-3 Å; of 0.04 Å, where every point costs integrals
    [(0.0, 3001, 1e-11), (0.5, 101, 1e-6)],
    ids=["points", "gaussians"],
)
def test_the_expansion_in_eigenstates_of_the_laplacian_is_that_of_featomic(
    featomic, atoms, sigma, n_points, tolerance
):
    from featomic.splines import SoapSpliner

    ours = PowerSpectrum(
        cutoff=4.0, n_max=5, l_max=4, radial="laplacian", sigma=sigma, elements=elements_of(atoms)
    )
    weight = {"center_atom_weight": 0.0}
    gaussian = featomic.density.Gaussian(width=sigma or 1.0, **weight)
    spliner = SoapSpliner(
        cutoff=featomic.cutoff.Cutoff(4.0, featomic.cutoff.ShiftedCosine(width=ours.smoothing)),
        density=gaussian if sigma else featomic.density.DiracDelta(**weight),
        basis=featomic.basis.LaplacianEigenstate(radius=4.0, max_radial=4, max_angular=4),
        n_spline_points=n_points,
    )
    found = featomic.SphericalExpansion(**spliner.get_hypers()).compute(atoms)
    values, known = coefficients_of(found, ours, len(atoms))
    # featomic keeps fewer radial functions for larger l, those of least energy
    assert 0.4 < np.mean(known) < 1
    coefficients = ours.coefficients(environments_of(atoms, 4.0))
    assert relative_error(coefficients[known], values[known]) < tolerance
