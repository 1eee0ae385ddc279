"""Registries are literal dicts of ``name: "module:class"``, imported when chosen."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from distdesc.errors import CampaignError


def load(registry: Mapping[str, str], kind: str, name: str, key: str = "name") -> Any:
    """
    Class registered under a name.

    Parameters
    ----------
    registry : mapping of str to str
        Such as ``distdesc.descriptors.DESCRIPTORS``.
    kind : str
        Section of the job file, for the message.
    name : str
        Key of the registry.
    key : str
        Key of the section that gave the name, for the message.

    Raises
    ------
    CampaignError
        If the name is unknown, or an optional dependency of its module is missing.
    """
    if name not in registry:
        known = ", ".join(sorted(registry))
        raise CampaignError(f'[{kind}] {key} "{name}" is unknown; one of: {known}')
    module, _, attribute = registry[name].partition(":")
    try:
        return getattr(import_module(module), attribute)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("distdesc"):
            raise
        raise CampaignError(
            f'[{kind}] name "{name}" needs the package {error.name}, which is not installed'
        ) from error


def build(registry: Mapping[str, str], kind: str, fields: Mapping[str, Any]) -> Any:
    """
    Instance of a registered dataclass, from its serialised form ``{"name": …, **fields}``.

    Lists become tuples, so that what comes out of TOML or JSON is as frozen as what was put in.

    Parameters
    ----------
    registry : mapping of str to str
        Such as ``distdesc.descriptors.DESCRIPTORS``.
    kind : str
        Section of the job file, for messages.
    fields : mapping of str to object
        ``name`` and the dataclass fields.

    Raises
    ------
    CampaignError
        If the name or a field is unknown, a field is missing, or a value is not accepted.
    """
    values = {k: frozen(v) for k, v in fields.items() if k != "name"}
    if "name" not in fields:
        raise CampaignError(f'[{kind}] lacks "name"; one of: {", ".join(sorted(registry))}')
    cls = load(registry, kind, str(fields["name"]))
    known = {f.name: f for f in dataclasses.fields(cls) if f.init}
    for key in values:
        if key not in known:
            raise CampaignError(
                f'[{kind}] key "{key}" is unknown for {fields["name"]}; '
                f"one of: {', '.join(known) or 'none'}"
            )
    for key, f in known.items():
        required = f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
        if required and key not in values:
            raise CampaignError(f'[{kind}] key "{key}" is required for {fields["name"]}')
    try:
        instance = cls(**values)
    except CampaignError as error:
        # The class knows best what it accepts.
        raise CampaignError(f"[{kind}] {error}") from error
    except TypeError as error:
        _check_types(kind, known, values)
        raise CampaignError(f"[{kind}] {error}") from error
    _check_types(kind, known, values)
    return instance


def describe(name: str, instance: Any) -> dict[str, Any]:
    """
    Serialised form of a registered dataclass instance: ``{"name": …, **fields}``.

    Parameters
    ----------
    name : str
        Key of the registry.
    instance : dataclass
        What `build` returned.
    """
    fields = {f.name: getattr(instance, f.name) for f in dataclasses.fields(instance) if f.init}
    return {"name": name, **{k: _thawed(v) for k, v in fields.items()}}


def _check_types(
    kind: str, known: Mapping[str, dataclasses.Field[Any]], values: Mapping[str, Any]
) -> None:
    """Refuse plain values of the wrong type that the class itself did not look at."""
    accepted = {
        "int": (int, "a whole number"),
        "float": (int | float, "a number"),
        "str": (str, "text"),
        "bool": (bool, "true or false"),
    }
    for key, value in values.items():
        annotation = str(known[key].type)
        if annotation in accepted:
            types, words = accepted[annotation]
            flag = isinstance(value, bool) and annotation != "bool"
            if flag or not isinstance(value, types):
                raise CampaignError(f"[{kind}] {key} must be {words}, got {value!r}")


def frozen(value: Any) -> Any:
    """
    Return the same value with tuples for lists, so that it can be hashed.

    Parameters
    ----------
    value : object
        From TOML or JSON.
    """
    return tuple(frozen(v) for v in value) if isinstance(value, list) else value


def _thawed(value: Any) -> Any:
    return [_thawed(v) for v in value] if isinstance(value, tuple) else value
