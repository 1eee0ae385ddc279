"""Why the features of a whole structure do not see some motions of its atoms."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from distdesc.descriptors.descriptor import Descriptor
from distdesc.errors import CampaignError
from distdesc.singular.ladder import weights_of
from distdesc.singular.point import Point
from distdesc.singular.reasons import COINCIDE, Classification, Trial, ladder_tests, sort_nulls
from distdesc.singular.sight import focused
from distdesc.singular.tuples import pooled_class_rows
from distdesc.singular.whole import Whole


def classify_structure(
    descriptor: Descriptor,
    subject: Whole,
    point: Point,
    nulls: NDArray[np.float64],
    visible: NDArray[np.float64],
    lasting: NDArray[np.float64] | None,
) -> Classification:
    """
    Sort the null motions of a structure by what makes them null; see `classify`.

    Parameters
    ----------
    descriptor : Descriptor
        The map of environments.
    subject : Whole
        What is made of their fingerprints.
    point : Point
        The structure, as symmetric as it is meant to be.
    nulls : ndarray, shape (3 n, k), float64
        Orthonormal null motions.
    visible : ndarray, shape (3 n, v), float64
        Orthonormal motions that the symmetry of the environments lets features see.
    lasting : ndarray, shape (3 n, l), float64, or None
        Orthonormal motions that change distances short of the rim; all if None.
    """
    if not nulls.shape[1]:
        return Classification({}, "")

    def _trials(seen_from: float) -> Iterator[Trial]:
        slopes = (
            lambda other: subject.jacobian(focused(other, point), point),
            lambda order: _complete(descriptor, subject, point, order),
        )
        return ladder_tests(descriptor, point, slopes, seen_from)

    own = subject.jacobian(descriptor, point)
    return sort_nulls(nulls, visible, lasting, own, _trials)


def _complete(
    descriptor: Descriptor, subject: Whole, point: Point, order: int
) -> NDArray[np.float64] | None:
    """Derivatives of all that correlations of an order can tell; None if that is too much."""
    near = subject.environments(point, descriptor.cutoff)
    weights = weights_of(descriptor, Point(near.vectors, near.numbers))
    if weights is not None:
        if weights.shape[1] > 1:
            return None
        weights = weights[:, 0]
    stacked, odd = subject.features == "stack", descriptor.parity_odd
    try:
        rows = pooled_class_rows(near, order, stacked, odd, weights, COINCIDE)
    except CampaignError:  # too many tuples
        return None
    return rows.T
