"""Structures in memory."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule

import distdesc
from distdesc.structures.atoms import structures_of


def test_a_notebook_gets_fingerprints_in_three_lines():
    spectrum = distdesc.descriptor("power_spectrum", elements=["H", "C", "O"], n_max=3, l_max=2)
    environments = distdesc.environments([molecule("CH3CH2OH"), molecule("H2O")], spectrum.cutoff)
    values = spectrum.compute(environments)
    assert values.shape == (12, spectrum.n_features)
    assert np.array_equal(environments.centre_numbers[:3], [6, 6, 8])
    alone = spectrum.compute(distdesc.environments(molecule("H2O"), spectrum.cutoff))
    assert np.array_equal(values[9:], alone)


def test_crystals_keep_their_cells():
    batch = structures_of(bulk("Cu"))
    assert batch.pbc.all()
    assert len(distdesc.environments(bulk("Cu"), 3.0).vectors) == 12


def test_no_structures_are_no_environments():
    assert len(distdesc.environments([], 3.0)) == 0


def test_structures_that_cannot_be_used_are_refused_by_their_position():
    bad = Atoms("H2", [[0, 0, 0], [0, 0, np.nan]])
    with pytest.raises(distdesc.StructureError, match="not finite"):
        distdesc.environments([molecule("H2O"), bad], 3.0)


def test_a_wrong_hyper_parameter_is_refused_as_in_a_job():
    with pytest.raises(distdesc.CampaignError, match="n_max must be an integer from 1 to 16"):
        distdesc.descriptor("power_spectrum", elements=["H"], n_max=0)
