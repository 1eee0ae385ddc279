"""A job file: sections of plain values, with variables, relative paths and changes applied."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from distdesc.errors import CampaignError

_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")


def read_job(file: Path) -> dict[str, Any]:
    """
    Sections of a job file, as they stand in it.

    Parameters
    ----------
    file : pathlib.Path
        The file.

    Raises
    ------
    CampaignError
        If it cannot be read or is not TOML.
    """
    try:
        return tomllib.loads(file.read_text())
    except OSError as error:
        raise CampaignError(f"job {file} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CampaignError(f"job {file} is not valid TOML: {error}") from error


def overridden(data: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """
    Sections of a job with some keys replaced; ``stage.key`` means the first stage.

    Parameters
    ----------
    data : mapping
        Sections as in a job file.
    changes : mapping
        ``{"section.key": value}``.

    Raises
    ------
    CampaignError
        If a section to change is not a table.
    """
    found = {k: _copy(v) for k, v in data.items()}
    for key, value in changes.items():
        section, _, name = key.partition(".")
        table = found.setdefault(section, {})
        if isinstance(table, list) and table:
            table = table[0]
        if not isinstance(table, dict):
            raise CampaignError(f"[{section}] must be a table, got {table!r}")
        table[name] = value
    return found


def _copy(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _copy(v) for k, v in value.items()}
    return [_copy(v) for v in value] if isinstance(value, list) else value


def expanded(value: Any) -> Any:
    """
    Sections with ``${VAR}`` and ``${VAR:-default}`` replaced from the environment.

    Parameters
    ----------
    value : object
        Sections, or any part of them.

    Raises
    ------
    CampaignError
        If a variable is not set and has no default.
    """
    if isinstance(value, Mapping):
        return {k: expanded(v) for k, v in value.items()}
    if isinstance(value, list):
        return [expanded(v) for v in value]
    return _VARIABLE.sub(_variable, value) if isinstance(value, str) else value


def _variable(match: re.Match[str]) -> str:
    name, default = match.groups()
    value = os.environ.get(name, default)
    if value is None:
        raise CampaignError(
            f"${{{name}}} is not set in the environment; set it, or write ${{{name}:-default}}"
        )
    return value


def anchored(source: Any, base: Path) -> dict[str, Any]:
    """
    Section ``[source]`` with absolute paths.

    Parameters
    ----------
    source : mapping
        The section.
    base : pathlib.Path
        Folder that relative paths refer to.

    Raises
    ------
    CampaignError
        If it is not a table.
    """
    if not isinstance(source, Mapping):
        raise CampaignError(f"[source] must be a table, got {source!r}")
    found = dict(source)
    path = found.get("path")
    if isinstance(path, str):
        found["path"] = _absolute(path, base)
    elif isinstance(path, list):
        found["path"] = [_absolute(str(p), base) for p in path]
    return found


def _absolute(path: str, base: Path) -> str:
    if "://" in path:
        if urlsplit(path).password is not None:
            raise CampaignError(
                "[source] path must not hold a password, since it is written into the store; "
                "give it by the environment (PGPASSWORD) or a password file (~/.pgpass)"
            )
        return path
    return os.path.normpath(base.absolute() / Path(path).expanduser())
