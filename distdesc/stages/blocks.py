"""Rows of a fingerprint stage of which only the blocks of the species that occur are stored."""

from __future__ import annotations

from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from distdesc import registry
from distdesc.descriptors import DESCRIPTORS
from distdesc.descriptors.descriptor import BlockDescriptor, Descriptor
from distdesc.errors import CampaignError
from distdesc.schema import ArraySpec, Ragged
from distdesc.structures.environment import Environments
from distdesc.structures.index import SourceIndex
from distdesc.structures.neighbours import iterate_environments
from distdesc.structures.source import Source
from distdesc.structures.validate import Limits, find_problems

MAX_NAMES = 10_000
"""Blocks whose names are still written into the attributes."""

SAMPLE = 128
"""Structures looked at to learn how many blocks an environment has."""

SAMPLE_ATOMS = 32
"""Environments looked at of each of them at most."""


def has_blocks(descriptor: Descriptor) -> TypeGuard[BlockDescriptor]:
    """
    Whether a descriptor gives its features in blocks.

    Parameters
    ----------
    descriptor : Descriptor
        Any.
    """
    return hasattr(descriptor, "compute_blocks")


def descriptors_with_blocks() -> list[str]:
    """Registry names of the descriptors that can be stored in blocks."""
    found = []
    for name in sorted(DESCRIPTORS):
        try:
            cls = registry.load(DESCRIPTORS, "descriptor", name)
        except CampaignError:  # its package is not installed
            continue
        if hasattr(cls, "compute_blocks"):
            found.append(name)
    return found


def check_blocks(descriptor: Descriptor, per: str, reduced: bool) -> None:
    """
    Refuse to store blocks where there are none.

    Parameters
    ----------
    descriptor : Descriptor
        Whose fingerprints are stored.
    per : str
        What a row is.
    reduced : bool
        Whether fingerprints are reduced before they are stored.

    Raises
    ------
    CampaignError
        If the descriptor has no blocks, or rows are not plain fingerprints of environments.
    """
    if not has_blocks(descriptor):
        raise CampaignError(
            f'layout "sparse" needs a [descriptor] with blocks by species, one of: '
            f"{', '.join(descriptors_with_blocks())}; got {type(descriptor).__name__}"
        )
    if per != "environment":
        raise CampaignError(f'layout "sparse" needs per = "environment", got "{per}"')
    if reduced:
        raise CampaignError(
            'layout must be "dense" with a [reduction], whose components mix all blocks, '
            'got "sparse"'
        )


def block_specs(
    descriptor: BlockDescriptor, dtype: str, expected: float, features: dict[str, list[str]]
) -> tuple[ArraySpec, ...]:
    """
    Arrays of a stage that stores blocks.

    Parameters
    ----------
    descriptor : BlockDescriptor
        Whose blocks.
    dtype : str
        Of the values.
    expected : float
        Blocks of an environment on average.
    features : dict of str to list of str
        Attribute with the names of the features, if there are few enough.
    """
    starts, names = descriptor.block_starts, descriptor.block_names()
    ragged = Ragged("block", most=len(names), expected=expected or float(len(names)))
    attributes: dict[str, Any] = {"block_starts": starts.tolist(), **features}
    if len(names) <= MAX_NAMES:
        attributes["block_names"] = list(names)
    return (
        ArraySpec("n_blocks", "<i4", description="Blocks of each environment that are stored."),
        ArraySpec(
            "blocks", dtype, (descriptor.block_width,), ("feature",), fill=float("nan"),
            ragged=ragged, attributes=attributes,
            description="Features of each block; zero after the end of shorter blocks.",
        ),
        ArraySpec("block_number", "<i4", ragged=ragged, description="Which block it is."),
    )  # fmt: skip


class BlockRows:
    """
    Blocks of each environment that are not zero throughout.

    Parameters
    ----------
    descriptor : BlockDescriptor
        Whose blocks.
    dtype : str
        Of what is stored.
    """

    def __init__(self, descriptor: BlockDescriptor, dtype: str) -> None:
        self.descriptor = descriptor
        self.counts = [np.empty(0, dtype=np.int32)]
        self.numbers = [np.empty(0, dtype=np.int32)]
        self.values = [np.empty((0, descriptor.block_width), dtype=dtype)]

    def add(self, environments: Environments) -> NDArray[np.bool_]:
        """See Rows.add."""
        counts, numbers, values = self.descriptor.compute_blocks(environments)
        stored = values.astype(self.values[0].dtype, copy=False)
        self.counts.append(counts)
        self.numbers.append(numbers)
        self.values.append(stored)
        bad = np.flatnonzero(~np.isfinite(stored).all(axis=1))
        finite = np.ones(len(environments), dtype=bool)
        finite[np.searchsorted(np.cumsum(counts), bad, side="right")] = False
        return finite

    def arrays(self) -> dict[str, NDArray[Any]]:
        """See Rows.arrays."""
        return {
            "n_blocks": np.concatenate(self.counts),
            "blocks": np.concatenate(self.values),
            "block_number": np.concatenate(self.numbers),
        }


def count_blocks(descriptor: BlockDescriptor, source: Source, index: SourceIndex) -> float:
    """
    Blocks of an environment on average, from a sample spread over the source.

    Parameters
    ----------
    descriptor : BlockDescriptor
        Whose blocks.
    source : Source
        Where the structures come from.
    index : SourceIndex
        Its index.

    Returns
    -------
    float
        All blocks if no structure of the sample can be used.
    """
    total = atoms = 0.0
    limits = Limits()
    for k in np.unique(np.linspace(0, len(index) - 1, min(SAMPLE, len(index))).astype(int)):
        batch = source.read(index, int(k), int(k) + 1, records=False)
        n = len(batch.numbers)
        if find_problems(batch, limits, descriptor.accepted_numbers, descriptor.cutoff):
            continue
        some = min(n, SAMPLE_ATOMS)
        for environments in iterate_environments(batch, 0, some, descriptor.cutoff, 2**17):
            total += int(descriptor.compute_blocks(environments)[0].sum()) * n / some
        atoms += n
    return round(total / atoms, 2) if atoms else float(len(descriptor.block_starts) - 1)
