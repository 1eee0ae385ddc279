"""Descriptors by their names, for notebooks."""

from __future__ import annotations

from typing import Any

from distdesc import registry
from distdesc.descriptors import DESCRIPTORS
from distdesc.descriptors.descriptor import Descriptor


def descriptor(name: str, **hyper_parameters: Any) -> Descriptor:
    """
    Descriptor, as a job file's ``[descriptor]`` makes it.

    Parameters
    ----------
    name : str
        Such as ``"power_spectrum"``; ``distdesc list`` shows all, with their keys.
    **hyper_parameters
        Its keys; lists may stand for tuples.

    Raises
    ------
    CampaignError
        If the name, a key or a value is not accepted.
    """
    made: Descriptor = registry.build(DESCRIPTORS, "descriptor", {**hyper_parameters, "name": name})
    return made
