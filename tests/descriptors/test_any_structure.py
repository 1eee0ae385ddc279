"""Fingerprints of whatever valid structure there may be are finite and invariant."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import strategies as any_of
from reference.batches import random_rotation

from distdesc import registry
from distdesc.descriptors import DESCRIPTORS
from distdesc.structures.atoms import environments

SPECTRUM = {"n_max": 3, "cutoff": 3.5, "elements": ["H", "C", "N", "O"]}
CASES = [
    {"name": "moment_invariants", "order": 3, "cutoff": 3.5},
    {"name": "power_spectrum", "l_max": 3, **SPECTRUM},
    {"name": "radial_spectrum", **SPECTRUM},
]


@pytest.mark.parametrize("fields", CASES, ids=lambda f: f["name"])
@any_of.few_or_many(15, 500)
def test_fingerprints_of_any_valid_structure_are_finite_and_invariant(n, fields):
    descriptor = registry.build(DESCRIPTORS, "descriptor", fields)

    @any_of.checked(n)
    @given(any_of.valid_atoms(), st.data(), st.integers(0, 2**32 - 1))
    def check(atoms, data, seed):
        rows = descriptor.compute(environments(atoms, descriptor.cutoff))
        assert np.isfinite(rows).all()
        rng = np.random.default_rng(seed)
        turn = random_rotation(rng) * data.draw(st.sampled_from([1.0, -1.0]))
        order = np.array(data.draw(st.permutations(range(len(atoms)))))
        moved = atoms[order]
        moved.positions = moved.positions @ turn.T + rng.normal(size=3)
        moved.cell = moved.cell.array @ turn.T
        again = descriptor.compute(environments(moved, descriptor.cutoff))
        scale = max(float(np.abs(rows).max()), 1e-12)
        np.testing.assert_allclose(again / scale, rows[order] / scale, rtol=0, atol=1e-9)

    check()
