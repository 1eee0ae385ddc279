"""Descriptors that see more than a given one: in a larger basis, or more neighbours at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distdesc.descriptors.bispectrum import Bispectrum
from distdesc.descriptors.correlation_spectrum import CorrelationSpectrum
from distdesc.descriptors.descriptor import Descriptor
from distdesc.descriptors.dscribe_soap import DscribeSoap
from distdesc.descriptors.expansion import MOST_L, MOST_N, DensityExpansion
from distdesc.descriptors.featomic_soap import FeatomicSoap
from distdesc.descriptors.moment_invariants import MAX_ORDER, MomentInvariants
from distdesc.descriptors.power_spectrum import PowerSpectrum
from distdesc.descriptors.radial_spectrum import RadialSpectrum
from distdesc.descriptors.trispectrum import Trispectrum
from distdesc.errors import CampaignError
from distdesc.singular.point import Point
from distdesc.singular.sight import focused

ORDERS: dict[type, int] = {
    RadialSpectrum: 1,
    PowerSpectrum: 2,
    FeatomicSoap: 2,
    DscribeSoap: 2,
    Bispectrum: 3,
    Trispectrum: 4,
}
"""How many neighbours at once a descriptor correlates: factors of a product of densities."""

SPECTRA: dict[int, Callable[..., Descriptor]] = {
    1: RadialSpectrum,
    2: PowerSpectrum,
    3: Bispectrum,
    4: Trispectrum,
}
"""Descriptor of each order, to see with what another does not."""

SIZES: dict[int, tuple[tuple[int, int], ...]] = {
    1: ((12, 0),),
    2: ((8, 12), (6, 10), (4, 8)),
    3: ((6, 6), (5, 5), (4, 4), (3, 4), (3, 3), (2, 3), (1, 4)),
    4: ((3, 4), (3, 3), (2, 4), (2, 3), (1, 4), (2, 2)),
}
"""n_max and l_max of these, the largest first; the first that is not too long is taken."""

GROWTH = ((2, 4), (2, 2), (1, 2), (1, 1), (0, 2), (2, 0), (0, 1), (1, 0))
"""What is added to n_max and l_max for a larger basis, the first that is not too long."""

MOST_FEATURES = 15_000
"""Of a descriptor that others are compared with: its Jacobian takes milliseconds."""

PEERS = (FeatomicSoap, DscribeSoap)


def body_order(descriptor: Descriptor) -> int:
    """
    Say how many neighbours at once a descriptor correlates at most; 0 if that is not known.

    Parameters
    ----------
    descriptor : Descriptor
        Any.
    """
    if isinstance(descriptor, MomentInvariants):
        return max(len(invariant.tensors) for invariant in descriptor.invariant_list())
    return ORDERS.get(type(descriptor), 0)


def larger(descriptor: Descriptor, point: Point) -> tuple[Descriptor, ...]:
    """
    Return the same kind of descriptor in a larger basis, for one environment.

    Spectra get two more radial functions and four more momenta, power spectra as many momenta as
    n neighbours at one distance need, ``2 n - 3``, and moment invariants two more orders, in the
    same set and in the full one; each as far as its limits and its length allow.

    Parameters
    ----------
    descriptor : Descriptor
        Any.
    point : Point
        The environment; elements that are not in it are left out.

    Returns
    -------
    tuple of Descriptor
        Empty if there is none that is larger, or none is known.
    """
    kind: Any = focused(descriptor, point)
    made: list[Descriptor | None] = []
    if isinstance(kind, MomentInvariants):
        order = min(MAX_ORDER, kind.order + 2)
        made = [replace(kind, order=order, invariants=s) for s in (kind.invariants, "full")]
    elif body_order(kind) == 2:
        l_max = min(MOST_L, max(kind.l_max + 4, 2 * len(point) - 3))
        made = [replace(kind, n_max=min(MOST_N, max(kind.n_max + 2, 6)), l_max=l_max)]
    elif isinstance(kind, RadialSpectrum):
        made = [replace(kind, n_max=MOST_N)]
    elif isinstance(kind, CorrelationSpectrum):
        sizes = ((min(MOST_N, kind.n_max + n), min(MOST_L, kind.l_max + l)) for n, l in GROWTH)
        grown = (replace_sizes(kind, *size) for size in sizes)
        made = [next(_affordable(d for d in grown if d != kind), None)]
    return tuple(dict.fromkeys(d for d in made if d is not None and d != kind))


def of_order(descriptor: Descriptor, point: Point, order: int) -> Descriptor | None:
    """
    Return a spectrum of a given order, of the same neighbours, elements and densities.

    Parameters
    ----------
    descriptor : Descriptor
        Whose cutoff, elements, mixing and, as far as it has them, radial functions are kept.
    point : Point
        The environment; elements that are not in it are left out.
    order : int
        Neighbours at once.

    Returns
    -------
    Descriptor or None
        None if there is no such descriptor, or none that is short enough.
    """
    shared = _densities(focused(descriptor, point))
    if shared is None or order not in SPECTRA:
        return None
    if order > 2:
        shared["parity_odd"] = descriptor.parity_odd
    sizes = SIZES[order]
    made = (_made(SPECTRA[order], {**shared, **_size(order, n, l)}) for n, l in sizes)
    return next(_affordable(made), None)


def replace_sizes(kind: Any, n_max: int, l_max: int) -> Descriptor | None:
    """
    Return a spectrum with other sizes; None where it would have too many features.

    Parameters
    ----------
    kind : CorrelationSpectrum
        The spectrum.
    n_max, l_max : int
        Its new sizes.
    """
    try:
        made: Descriptor = replace(kind, n_max=n_max, l_max=l_max)
    except CampaignError:
        return None
    return made


def weights_of(descriptor: Descriptor, point: Point) -> NDArray[np.float64] | None:
    """
    Weights of the neighbours in the densities that a descriptor is made of.

    Parameters
    ----------
    descriptor : Descriptor
        Any.
    point : Point
        The environment.

    Returns
    -------
    ndarray, shape (n, n_densities), float64, or None
        None where every element has a density of its own.
    """
    kind: Any = descriptor
    if isinstance(kind, PEERS) or getattr(kind, "species", "channels") == "channels":
        return None
    if isinstance(kind, DensityExpansion):
        return kind.mixing()[point.numbers]
    table: NDArray[np.float64] = kind.weight_table()
    return table[point.numbers].reshape(len(point), table.size // len(table))


def alike(descriptor: Descriptor, point: Point) -> NDArray[np.int32]:
    """
    Numbers of the neighbours, the same for those that the descriptor takes for the same.

    Parameters
    ----------
    descriptor : Descriptor
        Any.
    point : Point
        The environment.

    Returns
    -------
    ndarray, shape (n,), int32
        Atomic numbers, or where elements are weighted, numbers of different weights.
    """
    weights = weights_of(descriptor, point)
    if weights is None or not len(point):
        return point.numbers
    return np.unique(weights, axis=0, return_inverse=True)[1].astype(np.int32).ravel()


def _affordable(made: Iterator[Descriptor | None]) -> Iterator[Descriptor]:
    return (d for d in made if d is not None and d.n_features <= MOST_FEATURES)


def _made(kind: Callable[..., Descriptor], values: dict[str, Any]) -> Descriptor | None:
    try:
        return kind(**values)
    except CampaignError:  # too many features, or no pseudoscalar among so few
        return None


def _size(order: int, n_max: int, l_max: int) -> dict[str, int]:
    return {"n_max": n_max} if order == 1 else {"n_max": n_max, "l_max": l_max}


def _densities(kind: Any) -> dict[str, Any] | None:
    """What a spectrum of any order needs to be made of the same densities."""
    names: tuple[str, ...]
    fixed: dict[str, Any]
    if isinstance(kind, DensityExpansion):
        names = tuple(f.name for f in fields(DensityExpansion) if f.name not in ("n_max", "l_max"))
        fixed = {}
    elif isinstance(kind, MomentInvariants):
        names = ("cutoff", "smoothing", "species", "elements", "weights", "include_centre")
        window = "cosine" if kind.smoothing else "none"
        fixed = {"radial": "laplacian", "sigma": 0.0, "cutoff_function": window}
    elif isinstance(kind, FeatomicSoap):
        names = ("cutoff", "sigma", "smoothing", "cutoff_function", "elements", "include_centre")
        fixed = {}
    elif isinstance(kind, DscribeSoap):
        names = ("cutoff", "sigma", "elements", "include_centre")
        fixed = {"cutoff_function": "none"}
    else:
        return None
    return {name: getattr(kind, name) for name in names} | fixed
