"""Descriptors whose Jacobian is not exact, or not finite: what counts as zero, what is refused."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from ase.build import molecule
from reference.structures import batch_of

from distdesc.descriptors.dscribe_soap import DscribeSoap
from distdesc.descriptors.featomic_soap import FeatomicSoap
from distdesc.descriptors.moment_invariants import MomentInvariants
from distdesc.errors import StructureError
from distdesc.singular.zeros import NULL, null_of
from distdesc.stages.singular import Singular
from distdesc.stopwatch import Stopwatch

SIZES = {"n_max": 6, "l_max": 6, "elements": ("H", "C", "N", "O")}


@dataclass(frozen=True)
class Torn(MomentInvariants):
    """Moment invariants whose derivatives are not finite in environments of five neighbours."""

    def jacobian(self, environments):
        found = super().jacobian(environments)
        counts = np.diff(environments.offsets)
        found[np.repeat(counts == 5, counts)] = np.nan
        return found


@dataclass(frozen=True)
class Coarse(MomentInvariants):
    """Moment invariants whose derivatives have an error of some 1e-7."""

    jacobian_error = 1e-5

    def jacobian(self, environments):
        found = super().jacobian(environments)
        noise = np.random.default_rng(0).standard_normal(found.shape)
        return found + 1e-7 * np.abs(found).max(initial=0.0) * noise


def ran(stage, *names):
    batch = batch_of([molecule(name) for name in names])
    last = len(batch.numbers) if stage.map == "env" else len(batch)
    return stage.run(batch, 0, last, Stopwatch())


@pytest.mark.parametrize(
    ("package", "soap"), [("dscribe", DscribeSoap), ("featomic", FeatomicSoap)]
)
def test_nulls_of_peers_are_those_of_symmetry(package, soap):
    pytest.importorskip(package)
    found = ran(Singular(soap(**SIZES)), "NH3", "CH4", "H2O", "CO2")
    assert found["symmetry_nulls"][[0, 4, 9, 12]].tolist() == [4, 8, 1, 3]
    np.testing.assert_array_equal(found["n_nulls"], found["symmetry_nulls"])


def test_what_a_coarse_jacobian_sees_of_nothing_is_nothing():
    fields = {"cutoff": 4.0, "order": 5, "elements": SIZES["elements"]}
    exact, coarse = MomentInvariants(**fields), Coarse(**fields)
    assert (null_of(exact), null_of(coarse)) == (NULL, 1e-5)
    for of in ("env", "sum"):
        expected = ran(Singular(exact, map=of), "CH4", "NH3")
        found = ran(Singular(coarse, map=of, classify=of == "env"), "CH4", "NH3")
        np.testing.assert_array_equal(found["n_nulls"], expected["n_nulls"])
        assert found["n_nulls"][0] == 8
        np.testing.assert_array_equal(found["flagged"], 0)


def test_rows_without_a_finite_jacobian_are_set_aside_by_name():
    torn = Torn(cutoff=4.0, order=4, elements=SIZES["elements"])
    for of, reason in (("env", "the Jacobian of atom 0 is not finite"),
                       ("sum", "its Jacobian is not finite"),
                       ("stack", "its Jacobian is not finite")):  # fmt: skip
        with pytest.raises(StructureError) as error:
            ran(Singular(torn, map=of), "CH4", "CH3OH", "H2O")
        assert error.value.reasons == {1: reason}
