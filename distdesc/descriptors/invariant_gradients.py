"""Derivatives of invariants by the tensors that they are made of, term by term."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from distdesc.descriptors.couplings import coupling_tensor
from distdesc.descriptors.invariants import Coupling, Invariant, Tensor

Values = Callable[[Tensor], NDArray[np.float64]]
"""Moments of a tensor at some points, shape (n_points, 2 l + 1)."""


def derivatives(
    invariant: Invariant, value: Values
) -> Iterator[tuple[Tensor, NDArray[np.float64]]]:
    """
    Each tensor of an invariant with the derivative by it, up to scale.

    Parameters
    ----------
    invariant : Invariant
        Of degree one to four.
    value : callable
        Moments of a tensor at some points.

    Yields
    ------
    tensor : Tensor
        A factor; one that stands twice comes twice.
    derivative : ndarray, shape (n_points, 2 * l + 1), float64
        With the other factors held.
    """
    left, right = invariant
    if right is None:
        assert isinstance(left, Tensor)
        yield left, np.ones_like(value(left))
        return
    for one, other in ((left, right), (right, left)):
        outer = _value(other, value)
        if isinstance(one, Tensor):
            yield one, outer
        else:
            tensor = coupling_tensor(one.first.l, one.second.l, one.l)
            yield one.first, np.einsum("ijk,pj,pk->pi", tensor, value(one.second), outer)
            yield one.second, np.einsum("ijk,pi,pk->pj", tensor, value(one.first), outer)


def _value(operand: Tensor | Coupling, value: Values) -> NDArray[np.float64]:
    if isinstance(operand, Tensor):
        return value(operand)
    tensor = coupling_tensor(operand.first.l, operand.second.l, operand.l)
    result: NDArray[np.float64] = np.einsum(
        "ijk,pi,pj->pk", tensor, value(operand.first), value(operand.second)
    )
    return result
