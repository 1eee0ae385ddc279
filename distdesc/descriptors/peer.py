"""What the adapters to descriptors of other packages have in common."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distdesc.descriptors.species import Species
from distdesc.elements import SYMBOLS
from distdesc.errors import CampaignError
from distdesc.structures.environment import Environments


def load(package: str, module: str) -> Any:
    """
    Module of an optional package, imported when it is used and not before.

    Parameters
    ----------
    package : str
        Name of the package, which is also the name of the extra that installs it.
    module : str
        What to import of it, such as ``"featomic.calculators"``.

    Raises
    ------
    CampaignError
        If the package is not installed.
    """
    if find_spec(package) is None:
        raise CampaignError(
            f"{package} must be installed for this descriptor "
            f"(pip install 'distdesc[{package}]'), got no such package"
        )
    return import_module(module)


def check_sizes(n_max: int, l_max: int, most_n: int, most_l: int) -> None:
    """
    Refuse a basis of impossible size.

    Parameters
    ----------
    n_max, l_max : int
        Radial functions and largest l.
    most_n, most_l : int
        Largest accepted values.

    Raises
    ------
    CampaignError
        If one is not accepted.
    """
    for name, value, low, high in (("n_max", n_max, 1, most_n), ("l_max", l_max, 0, most_l)):
        if type(value) is not int or not low <= value <= high:
            raise CampaignError(f"{name} must be an integer from {low} to {high}, got {value!r}")


def check_length(name: str, value: float, above: float = 0.0) -> None:
    """
    Refuse what is no length or too short.

    Parameters
    ----------
    name : str
        Of the parameter.
    value : float
        Its value, in Å.
    above : float
        It must be longer than this, in Å.

    Raises
    ------
    CampaignError
        If it is not accepted.
    """
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not isfinite(value) or value <= above:
        raise CampaignError(f"{name} must be a number of Å above {above:g}, got {value!r}")


def numbers_of(elements: tuple[str, ...]) -> tuple[int, ...]:
    """
    Atomic numbers of elements that have a density each, sorted.

    Parameters
    ----------
    elements : tuple of str
        Chemical symbols.

    Raises
    ------
    CampaignError
        If there are none, or one is unknown or repeated.
    """
    return Species("channels", elements).numbers


def pairs_of(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """
    Pairs of elements in the order of the blocks of a power spectrum.

    Parameters
    ----------
    numbers : sequence of int
        Atomic numbers, sorted.
    """
    return [(a, b) for k, a in enumerate(numbers) for b in numbers[k:]]


def product_name(pair: tuple[int, int], l: int, first: int, second: int) -> str:
    """
    Name of a product of two expansion coefficients, such as ``H0·C1 l2``.

    Parameters
    ----------
    pair : tuple of int
        Atomic numbers of the two densities.
    l : int
        Angular momentum.
    first, second : int
        Radial functions of the two.
    """
    return f"{SYMBOLS[pair[0]]}{first}·{SYMBOLS[pair[1]]}{second} l{l}"


def cluster(
    environments: Environments, k: int, with_centre: bool
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """
    Atoms of one environment, the centre at the origin.

    Parameters
    ----------
    environments : Environments
        Not modified.
    k : int
        Which environment.
    with_centre : bool
        Whether the centre is the first of the atoms.

    Returns
    -------
    numbers : ndarray, shape (n_atoms,), int32
        Atomic numbers.
    positions : ndarray, shape (n_atoms, 3), float64
        In Å.

    Notes
    -----
    The other packages crash, hang or return garbage for coordinates that are not finite or very
    far away, so these are refused with a ValueError: the engine takes it for a failure of the
    structure, not of the run.
    """
    part = slice(int(environments.offsets[k]), int(environments.offsets[k + 1]))
    numbers, vectors = environments.numbers[part], environments.vectors[part]
    if not np.all(np.abs(vectors) < FARTHEST):
        raise ValueError(f"neighbours of centre {environments.centres[k]} are not at finite places")
    if with_centre:
        numbers = np.concatenate([environments.centre_numbers[k : k + 1], numbers])
        vectors = np.concatenate([np.zeros((1, 3)), vectors])
    return np.ascontiguousarray(numbers, np.int32), np.ascontiguousarray(vectors, np.float64)


FARTHEST = 1e3
"""Coordinates of neighbours below which the packages still behave, in Å."""
