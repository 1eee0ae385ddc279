"""Kernels that most tests need, compiled once, by processes that each take a share of them."""

from __future__ import annotations

from distdesc.descriptors.bispectrum import Bispectrum
from distdesc.descriptors.moment_invariants import MomentInvariants
from distdesc.descriptors.power_spectrum import PowerSpectrum
from distdesc.descriptors.radial_spectrum import RadialSpectrum
from distdesc.reduction import algebra
from distdesc.stages.decode import Decode
from distdesc.structures import neighbours
from distdesc.symmetry import finder


def spectra() -> None:
    """Compile kernels of few functions and of many, which have parts in common."""
    PowerSpectrum(elements=("H",), n_max=2, l_max=2).warm_up()
    PowerSpectrum(elements=("H", "C"), n_max=9, l_max=2).warm_up()
    RadialSpectrum(elements=("H",), n_max=2).warm_up()


# With about the seconds that each takes.
FAMILIES = [
    (40, spectra),
    (16, Decode(MomentInvariants(order=4, species="none", smoothing=0.0)).warm_up),
    (14, neighbours.warm_up),
    (7, finder.warm_up),
    (6, Bispectrum(elements=("H",), n_max=2, l_max=2).warm_up),
    (1, algebra.warm_up),
]


def compile_share(number: int, count: int) -> None:
    """
    Compile a share of the kernels, or load them where they are kept already.

    Parameters
    ----------
    number : int
        Of this process, from 0.
    count : int
        Processes; each family goes to the one that has the least to do so far.
    """
    seconds = [0] * count
    for cost, warm_up in FAMILIES:
        least = seconds.index(min(seconds))
        seconds[least] += cost
        if least == number:
            warm_up()
