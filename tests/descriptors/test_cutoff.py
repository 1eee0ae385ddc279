"""Cutoff functions, in NumPy and compiled."""

from __future__ import annotations

import numpy as np
import pytest
from reference.batches import batch

from distdesc.descriptors.cutoff import CUTOFF_FUNCTIONS, Polynomial, ShiftedCosine, Step
from distdesc.descriptors.moment_invariants import MomentInvariants


def test_it_is_one_inside_and_zero_outside_with_no_slope_at_either_end():
    cutoff = ShiftedCosine(5.0, 1.0)
    distances = np.array([0.0, 3.9999, 4.0, 4.5, 5.0, 6.0])
    assert np.allclose(cutoff(distances), [1, 1, 1, 0.5, 0, 0], rtol=0, atol=1e-15)
    assert np.allclose(cutoff.slope(distances), [0, 0, 0, -np.pi / 2, 0, 0], rtol=0, atol=1e-15)


def test_smoothing_over_the_whole_radius_is_the_plain_cosine():
    distances = np.linspace(0, 3, 50, endpoint=False)
    expected = 0.5 * (np.cos(np.pi * distances / 3) + 1)
    assert np.allclose(ShiftedCosine(3.0, 3.0)(distances), expected, rtol=0, atol=1e-15)


def test_no_smoothing_is_hard():
    cutoff = ShiftedCosine(2.0, 0.0)
    assert cutoff(np.array([1.9999999, 2.0])).tolist() == [1.0, 0.0]
    assert cutoff.slope(np.array([1.0, 1.9999999])).tolist() == [0.0, 0.0]


def test_the_quintic_has_no_slope_and_no_curvature_at_either_end():
    cutoff, step = Polynomial(5.0, 1.0), 1e-4
    assert np.allclose(cutoff(np.array([1.0, 4.0, 4.5, 5.0, 6.0])), [1, 1, 0.5, 0, 0], atol=1e-15)
    assert np.allclose(cutoff.slope(np.array([4.0, 4.5, 5.0])), [0, -30 / 16, 0], atol=1e-13)
    curvature = cutoff.slope(np.array([4.0 + step, 5.0 - step])) / step
    assert np.all(np.abs(curvature) < 4e-3 * 60)


def test_a_step_ignores_the_smoothing():
    cutoff = Step(5.0, 1.0)
    assert cutoff(np.array([4.9, 5.0])).tolist() == [1.0, 0.0]
    assert cutoff.slope(np.array([4.9])).tolist() == [0.0]


@pytest.mark.parametrize("kind", CUTOFF_FUNCTIONS)
def test_its_slope_is_its_derivative(kind):
    cutoff, step = CUTOFF_FUNCTIONS[kind](4.0, 1.5), 1e-6
    distances = np.linspace(2.6, 3.9, 20)
    difference = (cutoff(distances + step) - cutoff(distances - step)) / (2 * step)
    assert np.allclose(cutoff.slope(distances), difference, rtol=0, atol=1e-9)


@pytest.mark.parametrize("smoothing", [0.0, 0.5, 2.0, 5.0])
def test_the_compiled_function_is_the_same_to_rounding(smoothing):
    distances = np.linspace(0.01, 5.2, 60)
    environments = batch([([[0, 0, r]], [1]) for r in distances])
    descriptor = MomentInvariants(smoothing=smoothing, order=1, species="none")
    scalar = descriptor.compute(environments)[:, 0] * 4 * np.pi / 3
    expected = ShiftedCosine(5.0, smoothing)(distances)
    assert np.allclose(scalar, expected, rtol=0, atol=1e-15)
