"""The same environments seen by several descriptors: which truncation is enough."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distdesc import registry
from distdesc.descriptors import DESCRIPTORS
from distdesc.descriptors.descriptor import Descriptor
from distdesc.errors import CampaignError
from distdesc.singular.classify import symmetry_of
from distdesc.singular.inner import Inner
from distdesc.singular.point import Point
from distdesc.singular.zeros import null_of

KIND = "descriptor"
"""Key that changes the descriptor itself, and so the body order: a name, or a table with one."""

MOST = 200
"""Configurations of a scan."""


@dataclass(frozen=True)
class Configuration:
    """
    One descriptor of a scan.

    Parameters
    ----------
    changes : tuple of (str, object)
        Keys that differ from the descriptor that the scan started from, with their values.
    descriptor : Descriptor
        The descriptor with these changes.
    """

    changes: tuple[tuple[str, Any], ...]
    descriptor: Descriptor

    @property
    def label(self) -> str:
        """Such as ``n_max 4, l_max 6``; ``as given`` without changes."""
        words = []
        for key, value in self.changes:
            table = value.items() if isinstance(value, Mapping) else [(key, value)]
            words += [str(v) if k in (KIND, "name") else f"{k} {v}" for k, v in table]
        return ", ".join(words) or "as given"


def configurations(
    descriptor: Descriptor, vary: Mapping[str, Sequence[Any]], grid: bool = False
) -> tuple[Configuration, ...]:
    """
    Descriptors of a scan: the given one, and it with other values of some keys.

    Another descriptor keeps the keys that it shares with the given one.

    Parameters
    ----------
    descriptor : Descriptor
        What the scan starts from.
    vary : mapping of str to sequence
        Keys of the descriptor and the values they take. Those of ``"descriptor"`` are names of
        descriptors, or tables with a name and keys of its own.
    grid : bool
        All combinations; else one key at a time.

    Raises
    ------
    CampaignError
        If a key or a value is not accepted, or there are more than `MOST`.
    """
    given = {name: getattr(descriptor, name) for name in _keys(type(descriptor))}
    for key, values in vary.items():
        if key != KIND and key not in given:
            known = ", ".join([KIND, *given])
            raise CampaignError(f'vary key "{key}" is unknown for the descriptor; one of: {known}')
        if isinstance(values, str) or not isinstance(values, Sequence) or not values:
            raise CampaignError(f"vary {key} must be a list of values, got {values!r}")
    if grid:
        wanted = [dict(zip(vary, values, strict=True)) for values in product(*vary.values())]
    else:
        wanted = [{key: value} for key, values in vary.items() for value in values]
    if len(wanted) >= MOST:
        raise CampaignError(f"vary must make fewer than {MOST} descriptors, got {len(wanted)}")
    found = {descriptor: Configuration((), descriptor)}
    for changes in wanted:
        made = _changed(descriptor, given, changes)
        found.setdefault(made, Configuration(tuple(changes.items()), made))
    return tuple(found.values())


@dataclass(frozen=True)
class Sensitivity:
    """
    How one environment is seen by the descriptors of a scan; one entry a descriptor.

    Parameters
    ----------
    ratios : ndarray, shape (n_configurations,), float64
        Smallest singular value to the largest, within totally symmetric motions of neighbours
        that do not fade; NaN where there are none but rotations.
    extra_nulls : ndarray, shape (n_configurations,), int32
        How many of these are zero though no symmetry demands it.
    """

    ratios: NDArray[np.float64]
    extra_nulls: NDArray[np.int32]


def sensitivity(
    scan: Sequence[Configuration], points: Mapping[float, Point], tolerance: float = 1e-3
) -> Sensitivity:
    """
    Look at one environment with all descriptors of a scan.

    Parameters
    ----------
    scan : sequence of Configuration
        From `configurations`.
    points : mapping of float to Point
        The environment, by cutoff in Å.
    tolerance : float
        How far from symmetric it may be to be taken for symmetric, in Å.
    """
    ratios, extra = np.full(len(scan), np.nan), np.zeros(len(scan), dtype=np.int32)
    for k, configuration in enumerate(scan):
        kind = configuration.descriptor
        point = points[kind.cutoff]
        values = Inner(kind, point, symmetry_of(kind, point, tolerance)).values()
        if len(values):
            largest = values[0]
            extra[k] = np.sum(values <= null_of(kind) * largest)
            ratios[k] = values[-1] / largest if largest > 0 else np.nan
    return Sensitivity(ratios, extra)


def _changed(
    descriptor: Descriptor, given: Mapping[str, Any], changes: Mapping[str, Any]
) -> Descriptor:
    own = {key: registry.frozen(value) for key, value in changes.items() if key != KIND}
    other = changes.get(KIND, "")
    table = dict(other) if isinstance(other, Mapping) else {"name": other}
    name = str(table.pop("name", ""))
    cls = registry.load(DESCRIPTORS, "stage.vary", name, KIND) if other else type(descriptor)
    own |= {key: registry.frozen(value) for key, value in table.items()}
    known = _keys(cls)
    for key in own:
        if key not in known:
            raise CampaignError(f'vary key "{key}" is unknown for {name}')
    kept = {key: value for key, value in given.items() if key in known}
    text = ", ".join(f"{key} = {value!r}" for key, value in changes.items())
    try:
        made: Descriptor = cls(**{**kept, **own})
    except CampaignError as error:
        raise CampaignError(f"vary {text}: {error}") from error
    except TypeError as error:
        raise CampaignError(f"vary {text} is not accepted: {error}") from error
    return made


def _keys(cls: Any) -> list[str]:
    """What a descriptor is made from."""
    return [f.name for f in fields(cls) if f.init]
