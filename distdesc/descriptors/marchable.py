"""Independent invariants that are solved for the moments tensor by tensor, mostly linearly."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from distdesc.descriptors.density import tensors
from distdesc.descriptors.invariant_gradients import derivatives
from distdesc.descriptors.invariants import Coupling, Invariant, Tensor
from distdesc.descriptors.sample_densities import Samples, samples

LEAST_ORDER = 5
"""Below, too few products are linear in their last tensor."""

EXISTS = 1e-3
"""Relative length of a gradient that is not zero in a symmetric sample."""

TINY = 1e-10
"""Added to the squares of the gradients, so that their determinant is never zero."""

EXCHANGES = 60
"""Of one invariant for another, at most, in each tensor."""

SQUARE, POWER = 3.0, 1.0
"""Preference for the square, and for other powers, where a linear product does not do."""


def place_in_march(tensor: Tensor) -> tuple[bool, int, int]:
    """
    Place of a tensor in the march.

    The quadrupole, (2, 2), fixes the frame by its axes; then come the vectors, which are known
    in that frame, then all others by l and n.

    Parameters
    ----------
    tensor : Tensor
        With l of at least one.
    """
    return ((tensor.n, tensor.l) != (2, 2), tensor.l, tensor.n)


def last(invariant: Invariant) -> Tensor:
    """
    Tensor of an invariant that is reached last.

    Parameters
    ----------
    invariant : Invariant
        Of one density, of degree two or more.
    """
    return max(invariant.tensors, key=place_in_march)


def marchable_set(pool: Sequence[Invariant], order: int) -> list[Invariant]:
    """
    As many invariants as there are moments less three, in the order of a march.

    Of the quadrupole T two invariants are chosen (its axes are the frame), of every later tensor
    as many as it has components: once the earlier ones are known, most of these are linear in
    it. Only where the symmetry of a sample leaves nothing linear (the first tensor that breaks
    a symmetry has none to couple with), a power of the tensor stands for one of them.

    They are chosen such that the determinant of their gradients by the tensor, each divided by
    its error, is large over all samples: greedily, then by exchange. The error is what those of
    the earlier tensors amount to, so that a march gathers as little of it as possible. A
    symmetric sample counts in the subspace that its symmetry leaves.

    Parameters
    ----------
    pool : sequence of Invariant
        All of one density up to degree three; a few of degree four, of T and the vectors, are
        added.
    order : int
        Largest n, from `LEAST_ORDER`.
    """
    points = samples(order)
    everything = [*pool, *_of_the_frame(order)]
    chosen = [v for v in everything if v.right is None]
    members = [Tensor(0, n, l) for n, l, _ in tensors(order) if l > 0]
    errors: dict[Tensor, NDArray[np.float64]] = {}  # relative ones, of each sample
    for tensor in sorted(members, key=place_in_march):
        candidates = [v for v in everything if v.right is not None and last(v) == tensor]
        gradients = _scaled_gradients(candidates, tensor, points, order)
        noise = np.ones(gradients.shape[:2])
        for k, invariant in enumerate(candidates):
            noise[:, k] += sum(errors[t] for t in invariant.tensors if t != tensor)
        picked = _picked(candidates, gradients, noise, tensor, points)
        errors[tensor] = points.atomic * _error(gradients, noise, picked, points.generic)
        chosen += [candidates[k] for k in sorted(picked)]
    return chosen


def _of_the_frame(order: int) -> list[Invariant]:
    """Scalar products of T a, where a is the first vector, with T b, for all vectors b."""
    frame, first = Tensor(0, 2, 2), Tensor(0, 1, 1)
    turned = Coupling(first, frame, 1)
    others = [Tensor(0, n, 1) for n in range(3, order + 1, 2)]
    return [Invariant(turned, turned), *(Invariant(turned, Coupling(frame, b, 1)) for b in others)]


def _scaled_gradients(
    candidates: Sequence[Invariant], tensor: Tensor, points: Samples, order: int
) -> NDArray[np.float64]:
    """
    Gradients by one tensor, divided by the norms of the others, (n_points, n, 2 l + 1).

    That is how large errors of the tensor are, relative to it, for relative errors of the
    invariants. Where another tensor is zero by symmetry, so is the gradient.
    """
    starts = {(n, l): offset for n, l, offset in tensors(order)}

    def value(of: Tensor) -> NDArray[np.float64]:
        start = starts[of.n, of.l]
        return points.moments[:, start : start + 2 * of.l + 1]

    norms = {t: np.linalg.norm(value(t), axis=1) for v in candidates for t in v.tensors}
    found = np.zeros((len(points.moments), len(candidates), 2 * tensor.l + 1))
    for k, invariant in enumerate(candidates):
        for factor, part in derivatives(invariant, value):
            if factor == tensor:
                found[:, k] += part
        others = list(invariant.tensors)
        others.remove(tensor)
        scale = np.prod([norms[t] for t in others], axis=0)
        exists = np.all([norms[t] > 1e-10 * np.abs(points.moments[:, 0]) for t in others], axis=0)
        found[:, k] /= np.where(exists, scale, np.inf)[:, None]
        if len(invariant.tensors) > 2:
            found[:, k] *= np.sqrt(2 * tensor.l + 1)
    return found


def _picked(
    candidates: list[Invariant],
    gradients: NDArray[np.float64],
    noise: NDArray[np.float64],
    tensor: Tensor,
    points: Samples,
) -> list[int]:
    """Which candidates to take for one tensor, those that are not linear first."""
    linear = np.array([v.tensors.count(tensor) == 1 for v in candidates])
    wanted = 2 if (tensor.n, tensor.l) == (2, 2) else 2 * tensor.l + 1
    n_powers = _powers_needed(gradients, linear, wanted, points.generic)
    gradients = gradients * (np.min(noise, axis=1, keepdims=True) / noise)[:, :, None]
    preference = np.array(
        [SQUARE if len(v.tensors) == 2 else POWER if len(set(v.tensors)) == 1 else 0.0
         for v in candidates]
    )  # fmt: skip
    picked: list[int] = []
    for k in range(wanted):
        # the determinant grows by one more than this
        growth = np.sum((gradients @ _inverse(gradients[:, picked])) * gradients, axis=2)
        scores = points.weights @ np.log1p(growth) / np.sum(points.weights)
        if k < n_powers:
            scores = np.where(linear, -np.inf, scores + preference)
        else:
            scores = np.where(linear, scores, -np.inf)
        scores[picked] = -np.inf
        best = int(np.argmax(np.round(scores, 9)))  # or else rounding decides between equals
        if not np.isfinite(scores[best]):
            raise ArithmeticError(f"{tensor} has only {k} of {wanted} invariants")
        picked.append(best)
    _exchange(picked, n_powers, gradients, linear, points.weights)
    return picked


def _error(
    gradients: NDArray[np.float64],
    noise: NDArray[np.float64],
    picked: list[int],
    generic: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """Relative error of a tensor in each sample, in the subspace that any candidate reaches."""
    _, values, right = np.linalg.svd(gradients, full_matrices=False)
    reached = values > np.where(generic, 1e-4 * EXISTS, EXISTS)[:, None]
    inside = right.transpose(0, 2, 1) @ (right * reached[:, :, None])
    rows = gradients[:, picked] / noise[:, picked, None]
    largest = np.max(np.abs(rows), axis=(1, 2), keepdims=True)
    rows = rows / np.where(largest > 0, largest, 1.0)
    variance = np.sum(_inverse(rows) * inside, axis=(1, 2))
    error: NDArray[np.float64] = np.sqrt(np.maximum(variance, 0.0))
    return error / np.where(largest > 0, largest, 1.0)[:, 0, 0]


def _powers_needed(
    gradients: NDArray[np.float64],
    linear: NDArray[np.bool_],
    wanted: int,
    generic: NDArray[np.bool_],
) -> int:
    """Components of a tensor that no linear product of some sample reaches."""
    if not np.any(linear):
        return wanted
    least = np.where(generic, 1e-3 * EXISTS, EXISTS)[:, None]
    ranks = [
        np.minimum(wanted, np.sum(np.linalg.svd(g, compute_uv=False) > least, axis=1))
        for g in (gradients, gradients[:, linear])
    ]
    return int(np.max(ranks[0] - ranks[1]))


def _exchange(
    picked: list[int],
    n_powers: int,
    gradients: NDArray[np.float64],
    linear: NDArray[np.bool_],
    weights: NDArray[np.float64],
) -> None:
    """Exchange linear invariants for others while the determinants grow."""
    for _ in range(EXCHANGES if n_powers < len(picked) else 0):
        inverse = _inverse(gradients[:, picked])
        turned = gradients @ inverse
        lengths = np.sum(turned * gradients, axis=2)
        loose = picked[n_powers:]
        mixed = gradients[:, loose] @ turned.transpose(0, 2, 1)
        growth = (1 + lengths[:, None]) * (1 - lengths[:, loose, None]) + mixed**2
        gains = np.tensordot(weights, np.log(np.maximum(growth, 1e-300)), axes=(0, 0))
        gains[:, picked] = -np.inf
        gains[:, ~linear] = -np.inf
        gains = np.round(gains, 7)
        out, new = np.unravel_index(np.argmax(gains), gains.shape)
        if not gains[out, new] > 1e-5:
            return
        picked[n_powers + int(out)] = int(new)


def _inverse(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Inverse of the sums of squares of rows, (n_points, n, d), one a point."""
    squares = rows.transpose(0, 2, 1) @ rows
    return np.asarray(np.linalg.inv(squares + TINY * np.eye(rows.shape[2])), dtype=np.float64)
