"""The power spectrum of featomic, as a descriptor beside ours."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distdesc.checks import check_choice, check_flag
from distdesc.descriptors.cutoff import Window
from distdesc.descriptors.peer import (
    check_length,
    check_sizes,
    cluster,
    load,
    numbers_of,
    pairs_of,
    product_name,
)
from distdesc.errors import CampaignError
from distdesc.structures.environment import Environments, single_environment

SMOOTHING = ("cosine", "none")

BATCH = 50
"""Environments per call: fewer pay for the call, more for memory that leaves the cache."""


@dataclass(frozen=True)
class FeatomicSoap:
    """
    Power spectrum computed by featomic, ``SoapPowerSpectrum`` with Gaussian-type orbitals [1]_.

    Features go by pair of elements, the lightest first, then as featomic has them: by l, n and
    n', for like elements also with n' < n. Up to this and the sign ``(-1)**l`` they are those of
    `PowerSpectrum`. featomic takes as many threads as ``RAYON_NUM_THREADS`` says.

    Parameters
    ----------
    cutoff : float
        Radius of an environment, in Å; positive.
    n_max : int
        Radial functions, 1 to 16; featomic's ``max_radial`` is one less.
    l_max : int
        Largest l, 0 to 16.
    sigma : float
        Width of the Gaussian at each neighbour, in Å; positive.
    cutoff_function : str
        ``"cosine"``: half a cosine wave. ``"none"``: a step, where fingerprints jump.
    smoothing : float
        Width of the decay before the cutoff, in Å, positive and less than `cutoff`; not used
        with ``"none"``.
    elements : tuple of str
        Accepted elements, at least one.
    include_centre : bool
        Whether the centre is a neighbour of itself; featomic's ``center_atom_weight`` of 1 or 0.
    spline_accuracy : float
        Accuracy asked of the splines of the radial functions; 0 for none, exact and slow.

    References
    ----------
    .. [1] https://metatensor.github.io/featomic
    """

    cutoff: float = 5.0
    n_max: int = 8
    l_max: int = 6
    sigma: float = 0.3
    cutoff_function: str = "cosine"
    smoothing: float = 0.5
    elements: tuple[str, ...] = ()
    include_centre: bool = False
    spline_accuracy: float = 1e-8

    def __post_init__(self) -> None:
        Window(self.cutoff, self.smoothing)
        check_sizes(self.n_max, self.l_max, 16, 16)
        check_length("sigma", self.sigma)
        check_choice("cutoff_function", self.cutoff_function, SMOOTHING)
        if self.cutoff_function == "cosine" and not 0 < self.smoothing < self.cutoff:
            raise CampaignError(
                f"smoothing must be above 0 and below the cutoff, {self.cutoff}, "
                f'for cutoff_function "cosine", got {self.smoothing}'
            )
        numbers_of(self.elements)
        check_flag("include_centre", self.include_centre)
        accuracy = self.spline_accuracy
        if type(accuracy) not in (int, float) or not 0 <= accuracy < 1:
            raise CampaignError(f"spline_accuracy must be from 0 to below 1, got {accuracy!r}")
        _calculator(self)

    @property
    def accepted_numbers(self) -> tuple[int, ...]:
        """See Descriptor.accepted_numbers."""
        return numbers_of(self.elements)

    @property
    def parity_odd(self) -> bool:
        """See Descriptor.parity_odd."""
        return False

    @property
    def n_features(self) -> int:
        """See Descriptor.n_features."""
        return len(pairs_of(self.accepted_numbers)) * self._block

    @property
    def _block(self) -> int:
        """Features of one pair of elements."""
        return (self.l_max + 1) * self.n_max**2

    def feature_names(self) -> tuple[str, ...]:
        """See Descriptor.feature_names."""
        n = range(self.n_max)
        return tuple(
            product_name(pair, l, i, j)
            for pair in pairs_of(self.accepted_numbers)
            for l in range(self.l_max + 1)
            for i in n
            for j in n
        )

    def warm_up(self) -> None:
        """See Descriptor.warm_up."""
        self.jacobian(single_environment(self.cutoff / 4, self.accepted_numbers[0]))

    def compute(self, environments: Environments) -> NDArray[np.float64]:
        """See Descriptor.compute."""
        out = np.zeros((len(environments), self.n_features))
        for first, columns, block in self._blocks(environments, gradients=[]):
            # a block of one kind of centre and two of neighbours has the environments with all
            out[first + block.samples["system"], columns] = block.values
        return out

    def jacobian(self, environments: Environments) -> NDArray[np.float64]:
        """See Descriptor.jacobian."""
        out = np.zeros((len(environments.vectors), 3, self.n_features))
        for first, columns, block in self._blocks(environments, gradients=["positions"]):
            gradient = block.gradient("positions")
            # the centre, atom 0 of its system, is held fixed
            moved = gradient.samples["atom"] > 0
            start = environments.offsets[first + gradient.samples["system"]]
            rows = start + gradient.samples["atom"] - 1
            out[rows[moved], :, columns] = gradient.values[moved]
        return out

    def _blocks(
        self, environments: Environments, gradients: list[str]
    ) -> Iterator[tuple[int, slice, Any]]:
        """First environment of the call, columns and values of each block that featomic gives."""
        featomic = _library()
        pairs = pairs_of(self.accepted_numbers)
        for first in range(0, len(environments), BATCH):
            last = min(first + BATCH, len(environments))
            centres = np.unique(environments.centre_numbers[first:last])
            wanted = [(int(z), *pair) for z in centres for pair in pairs]
            found = _calculator(self).compute(
                [featomic.System(*cluster(environments, k, True)) for k in range(first, last)],
                gradients=gradients,
                selected_samples=featomic.Labels("atom", np.zeros((1, 1), dtype=np.int32)),
                selected_keys=featomic.Labels(featomic.KEYS, np.array(wanted, dtype=np.int32)),
            )
            for key, block in found.items():
                at = pairs.index((int(key["neighbor_1_type"]), int(key["neighbor_2_type"])))
                yield first, slice(at * self._block, (at + 1) * self._block), block


@lru_cache(maxsize=1)
def _library() -> SimpleNamespace:
    """Names of featomic that are used, and atoms as it takes them."""
    featomic = load("featomic", "featomic")
    labels = load("featomic", "metatensor").Labels

    class System(featomic.systems.SystemBase):  # type: ignore[misc, name-defined]
        """Atoms without a cell, copied by featomic, which also finds their neighbours."""

        def __init__(self, numbers: NDArray[np.int32], positions: NDArray[np.float64]) -> None:
            super().__init__()
            self.atoms = numbers, positions

        def size(self) -> int:
            return len(self.atoms[0])

        def types(self) -> NDArray[np.int32]:
            return self.atoms[0]

        def positions(self) -> NDArray[np.float64]:
            return self.atoms[1]

        def cell(self) -> NDArray[np.float64]:
            return np.zeros((3, 3))

    return SimpleNamespace(
        SoapPowerSpectrum=featomic.SoapPowerSpectrum,
        FeatomicError=featomic.FeatomicError,
        Labels=labels,
        System=System,
        KEYS=["center_type", "neighbor_1_type", "neighbor_2_type"],
    )


@lru_cache(maxsize=16)
def _calculator(soap: FeatomicSoap) -> Any:
    """Calculator of featomic, which cannot be pickled: one is built in every process."""
    featomic = _library()
    smoothing = {"type": "ShiftedCosine", "width": float(soap.smoothing)}
    if soap.cutoff_function == "none":
        smoothing = {"type": "Step"}
    try:
        return featomic.SoapPowerSpectrum(
            cutoff={"radius": float(soap.cutoff), "smoothing": smoothing},
            density={
                "type": "Gaussian",
                "width": float(soap.sigma),
                "center_atom_weight": float(soap.include_centre),
            },
            basis={
                "type": "TensorProduct",
                "max_angular": soap.l_max,
                "radial": {"type": "Gto", "max_radial": soap.n_max - 1},
                "spline_accuracy": float(soap.spline_accuracy) or None,
            },
        )
    except featomic.FeatomicError as error:
        raise CampaignError(f"featomic must accept the parameters, got: {error}") from error
