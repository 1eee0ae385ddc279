"""Checks of single values that many configurations share."""

from __future__ import annotations

from collections.abc import Collection

from distdesc.errors import CampaignError


def check_choice(name: str, value: object, accepted: Collection[str]) -> None:
    """
    Refuse what is not among some words.

    Parameters
    ----------
    name : str
        Of the parameter.
    value : object
        Its value.
    accepted : collection of str
        The words.

    Raises
    ------
    CampaignError
        If it is not accepted.
    """
    if value not in accepted:
        raise CampaignError(f'{name} must be one of {", ".join(accepted)}, got "{value}"')


def check_count(name: str, value: object, least: int = 0) -> None:
    """
    Refuse what is not a whole number, or too small.

    Parameters
    ----------
    name : str
        Of the parameter.
    value : object
        Its value.
    least : int
        The smallest that is accepted.

    Raises
    ------
    CampaignError
        If it is not accepted; also true and false, which Python takes for numbers.
    """
    if type(value) is not int or value < least:
        raise CampaignError(f"{name} must be a whole number >= {least}, got {value!r}")


def check_flag(name: str, value: object) -> None:
    """
    Refuse what is neither true nor false.

    Parameters
    ----------
    name : str
        Of the parameter.
    value : object
        Its value.

    Raises
    ------
    CampaignError
        If it is not accepted.
    """
    if not isinstance(value, bool):
        raise CampaignError(f"{name} must be true or false, got {value!r}")
