"""Checks of hyper-parameters that all reductions share."""

from __future__ import annotations

from typing import Any

from distdesc.errors import CampaignError


def check_whole(name: str, value: Any, least: int) -> None:
    """
    Refuse what is not a whole number of some size.

    Parameters
    ----------
    name : str
        Of the hyper-parameter.
    value : object
        What was given.
    least : int
        Smallest accepted value.

    Raises
    ------
    CampaignError
        With name, accepted range and value.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise CampaignError(f"{name} must be a whole number >= {least}, got {value!r}")
