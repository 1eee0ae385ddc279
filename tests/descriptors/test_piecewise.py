"""Piecewise polynomials: exact to rounding, on both sides of a kink."""

from __future__ import annotations

import numpy as np
import pytest

from distdesc.descriptors.piecewise import DEGREE, piecewise
from distdesc.errors import CampaignError


def value(pieces, r):
    """Slow twin of the kernel's evaluation."""
    inner, edge, n_inner, outer, n = pieces.scales
    first, place = (0, r * inner) if r < edge else (int(n_inner), (r - edge) * outer)
    piece = min(first + int(place), int(n) - 1)
    t = 2 * (place - (piece - first)) - 1
    return t ** np.arange(DEGREE + 1) @ pieces.coefficients[piece]


def test_functions_with_a_kink_at_the_edge_are_exact_to_rounding():
    def functions(r):
        wave = np.stack([np.sin(3 * r), np.exp(-(r**2))], axis=1)
        return wave * np.where(r < 3.0, 1.0, 1 - (r - 3.0) ** 2 / 4)[:, None]

    pieces = piecewise(functions, 3.0, 5.0)
    for r in [0.0, 1e-9, 0.7, 2.999999, 3.0, 3.000001, 4.3, np.nextafter(5.0, 0)]:
        assert np.allclose(value(pieces, r), functions(np.array([r]))[0], rtol=0, atol=2e-13)


@pytest.mark.parametrize("edge", [0.0, 5.0])
def test_the_edge_may_be_at_either_end(edge):
    pieces = piecewise(lambda r: np.cos(r)[:, None], edge, 5.0)
    assert value(pieces, 2.5)[0] == pytest.approx(np.cos(2.5), abs=1e-14)


def test_rounded_functions_are_not_divided_for_ever():
    rng = np.random.default_rng(0)
    noise = 1e-11
    pieces = piecewise(lambda r: np.cos(r) * (1 + noise * rng.normal(size=len(r))), 4.0, 5.0)
    assert len(pieces.coefficients) < 200


def test_functions_that_vary_too_fast_are_refused():
    with pytest.raises(CampaignError, match="vary too fast for 2048 pieces"):
        piecewise(lambda r: np.sin(1e5 * r), 4.0, 5.0)
