"""Up to where singular values are zero, and up to where nothing but rounding."""

from __future__ import annotations

from distdesc.descriptors.descriptor import Descriptor

NULL = 1e-9
"""
Singular values up to this, relative to the largest, are zero.

Those that are zero by symmetry come out at 1e-14 or less, and the smallest of general
environments of molecules are seldom below 1e-8.
"""

EXACT = 1e-13
"""How exact singular values are, relative to the largest: what is less is nothing but rounding."""


def null_of(descriptor: Descriptor) -> float:
    """
    Tell up to where singular values are zero, relative to the largest.

    `NULL`, unless the Jacobian of a descriptor is less exact and it says so by an attribute
    ``jacobian_error``: the relative error up to which it hides what symmetry hides.

    Parameters
    ----------
    descriptor : Descriptor
        The map.
    """
    return max(NULL, exact_of(descriptor))


def exact_of(descriptor: Descriptor) -> float:
    """
    Tell how exact singular values are, relative to the largest.

    `EXACT`, unless a descriptor says by ``jacobian_error`` that its Jacobian is less so.

    Parameters
    ----------
    descriptor : Descriptor
        The map.
    """
    return max(EXACT, float(getattr(descriptor, "jacobian_error", 0.0)))
