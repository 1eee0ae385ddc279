"""Feature maps of environments and structures: which motions their features respond to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from distdesc.descriptors.derivatives import pooled_by_atom
from distdesc.descriptors.descriptor import Descriptor
from distdesc.descriptors.power_spectrum import PowerSpectrum
from distdesc.singular.point import Point
from distdesc.singular.sight import focused
from distdesc.structures.environment import Environments
from distdesc.structures.neighbours import build_environments
from distdesc.structures.source import Structures


class FeatureMap(Protocol):
    """Features of one row, by their Jacobian J, shape (3 n, n_features)."""

    def gram(self) -> NDArray[np.float64]:
        """
        Scalar products ``J J^T`` of the responses to each coordinate.

        Returns
        -------
        ndarray, shape (3 n, 3 n), float64
            In features² per Å².
        """
        ...

    def scale(self) -> float:
        """
        How large responses to single neighbours are, in features per Å.

        Where they cancel, as in crystals whose symmetry leaves no motion to be seen, what is left
        is their rounding error, and must not be compared with itself.
        """
        ...

    def responses(self, motions: NDArray[np.float64]) -> Iterator[NDArray[np.float64]]:
        """
        Responses ``J^T v`` to some motions, features in parts.

        Parameters
        ----------
        motions : ndarray, shape (3 n, k), float64
            In Å.

        Yields
        ------
        ndarray, shape (n_part, k), float64
            Some of the features; others are not changed by any motion.
        """
        ...


class Separate:
    """
    Features of one environment.

    Parameters
    ----------
    descriptor : Descriptor
        The map.
    own : Environments
        Just one.
    """

    def __init__(self, descriptor: Descriptor, own: Environments) -> None:
        kind = focused(descriptor, Point.of(own, 0))
        self._jacobian = kind.jacobian(own).reshape(3 * len(own.vectors), kind.n_features)

    def gram(self) -> NDArray[np.float64]:
        """See FeatureMap.gram."""
        return _products(self._jacobian)

    def scale(self) -> float:
        """See FeatureMap.scale."""
        return float(np.sqrt(np.max(np.sum(self._jacobian**2, axis=1), initial=0.0)))

    def responses(self, motions: NDArray[np.float64]) -> Iterator[NDArray[np.float64]]:
        """See FeatureMap.responses."""
        return iter([self._jacobian.T @ motions])


class Summed:
    """
    Features of one structure, summed over the centres of each element.

    Parameters
    ----------
    descriptor : Descriptor
        The map.
    one : Structures
        Just one.
    """

    def __init__(self, descriptor: Descriptor, one: Structures) -> None:
        kind = focused(descriptor, Point(one.positions, one.numbers, int(one.numbers[0])))
        elements = tuple(np.unique(one.numbers).tolist())
        found = pooled_by_atom(kind, one, elements=elements)
        self._jacobian = found.reshape(3 * len(one.numbers), -1)
        self._descriptor, self._one = descriptor, one

    def gram(self) -> NDArray[np.float64]:
        """See FeatureMap.gram."""
        return _products(self._jacobian)

    def scale(self) -> float:
        """See FeatureMap.scale."""
        return _largest_response(self._descriptor, self._one)

    def responses(self, motions: NDArray[np.float64]) -> Iterator[NDArray[np.float64]]:
        """See FeatureMap.responses."""
        return iter([self._jacobian.T @ motions])


class Stacked:
    """
    Features of all centres of one structure, each with its label.

    Only those of one centre are in memory at a time.

    Parameters
    ----------
    descriptor : Descriptor
        The map.
    one : Structures
        Just one.
    """

    def __init__(self, descriptor: Descriptor, one: Structures) -> None:
        self._n = len(one.numbers)
        self._environments = build_environments(one, 0, self._n, descriptor.cutoff)
        self._descriptor, self._one = descriptor, one

    def gram(self) -> NDArray[np.float64]:
        """See FeatureMap.gram."""
        total = np.zeros((3, 3, self._n, self._n))
        for own in self._centres():
            n, fold = len(own.vectors), self._fold(own)
            if isinstance(self._descriptor, PowerSpectrum):
                found = self._descriptor.jacobian_products(own)
            else:
                found = Separate(self._descriptor, own).gram()
            total += fold.T @ found.reshape(n, 3, n, 3).transpose(1, 3, 0, 2) @ fold
        return total.transpose(2, 0, 3, 1).reshape(3 * self._n, 3 * self._n)

    def scale(self) -> float:
        """See FeatureMap.scale."""
        return _largest_response(self._descriptor, self._one)

    def responses(self, motions: NDArray[np.float64]) -> Iterator[NDArray[np.float64]]:
        """See FeatureMap.responses."""
        for own in self._centres():
            moved = self._fold(own) @ motions.reshape(self._n, -1)
            seen = Separate(self._descriptor, own)
            yield from seen.responses(moved.reshape(-1, motions.shape[1]))

    def _centres(self) -> Iterator[Environments]:
        return (self._environments.part(k, k + 1) for k in range(self._n))

    def _fold(self, own: Environments) -> NDArray[np.float64]:
        """
        How neighbours move with the atoms, shape (n_neighbours, n_atoms).

        Each as its atom does, less the centre; images of the centre stay where they are.
        """
        out = np.zeros((len(own.neighbours), self._n))
        out[np.arange(len(out)), own.neighbours] = 1.0
        out[:, own.centres[0]] -= 1.0
        return out


def _products(jacobian: NDArray[np.float64]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = jacobian @ jacobian.T
    return found


def _largest_response(descriptor: Descriptor, one: Structures) -> float:
    """To a neighbour of the first centre of each element."""
    _, firsts = np.unique(one.numbers, return_index=True)
    centres = [build_environments(one, k, k + 1, descriptor.cutoff) for k in firsts]
    return max(Separate(descriptor, own).scale() for own in centres)
