"""What there is to choose from: registries and job files, with their keys and defaults."""

from __future__ import annotations

import dataclasses
import inspect
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distdesc import registry
from distdesc.descriptors import DESCRIPTORS
from distdesc.errors import CampaignError
from distdesc.options import Execution, StoreOptions
from distdesc.reduction import REDUCTIONS
from distdesc.stages import STAGES
from distdesc.structures import SOURCES
from distdesc.structures.validate import Limits

REGISTRIES = {
    "sources": SOURCES,
    "descriptors": DESCRIPTORS,
    "reductions": REDUCTIONS,
    "stages": STAGES,
}
SECTIONS = {"store": StoreOptions, "execution": Execution, "limits": Limits}
"""Sections of a job file that have no kinds to choose from."""

HAVE_SECTIONS = ("descriptor", "reduction")
"""Fields of stages that are given in sections of their own."""

_PARAMETERS = re.compile(r"^Parameters\n-+\n(.*?)(?=^\w[^\n]*\n-+\n|\Z)", re.MULTILINE | re.DOTALL)
_PARAMETER = re.compile(r"^(\w[\w, ]*) : .*\n((?: +.*\n|\n)+)", re.MULTILINE)


@dataclass(frozen=True)
class Entry:
    """
    One thing to choose.

    Parameters
    ----------
    name : str
        What to write in a job file, or the job file's path.
    about : str
        First sentence of its documentation, or the job's question.
    keys : dict of str to tuple of str
        Default, ``"required"`` where there is none, and meaning of each key.
    """

    name: str
    about: str
    keys: dict[str, tuple[str, str]]


def catalogue(kind: str, jobs: Path, executors: Mapping[str, str]) -> list[Entry]:
    """
    Entries of one kind.

    Parameters
    ----------
    kind : str
        ``"sources"``, ``"descriptors"``, ``"reductions"``, ``"stages"``, ``"sections"`` of a job
        file, ``"executors"`` or ``"jobs"``.
    jobs : pathlib.Path
        Folder of job files.
    executors : mapping of str to str
        Registry of executors, which reading a store back has nothing to do with.
    """
    if kind == "sections":
        return [_described(name, cls) for name, cls in SECTIONS.items()]
    if kind == "jobs":
        return [_job(file) for file in sorted(jobs.glob("*.toml"))]
    table = executors if kind == "executors" else REGISTRIES[kind]
    return [_entry(table, kind, name) for name in sorted(table)]


def _entry(table: Mapping[str, str], kind: str, name: str) -> Entry:
    try:
        cls = registry.load(table, kind.removesuffix("s"), name)
    except CampaignError as error:
        return Entry(name, str(error), {})
    return _described(name, cls)


def _described(name: str, cls: type) -> Entry:
    fields = dataclasses.fields(cls) if dataclasses.is_dataclass(cls) else ()
    meanings = _meanings(cls)
    keys = {
        f.name: (_default(f), meanings.get(f.name, ""))
        for f in fields
        if f.name not in HAVE_SECTIONS
    }
    return Entry(name, _first_sentence(cls), keys)


def _meanings(cls: type) -> dict[str, str]:
    """What a docstring, or that of a base class, says of each parameter."""
    found: dict[str, str] = {}
    for base in cls.__mro__:
        section = _PARAMETERS.search(inspect.cleandoc(base.__doc__ or "") + "\n")
        for names, text in _PARAMETER.findall(section[1] if section else ""):
            for name in names.split(", "):
                found.setdefault(name, _plain(text))
    return found


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default is not dataclasses.MISSING:
        return repr(field.default)
    if field.default_factory is not dataclasses.MISSING:
        return repr(field.default_factory())
    return "required"


def _first_sentence(cls: type) -> str:
    """What a class is, without the marks and references of a docstring."""
    return _plain((inspect.getdoc(cls) or "").split("\n\n")[0])


def _plain(text: str) -> str:
    return " ".join(re.sub(r"`| \[\d+\]_", "", text).split())


def _job(file: Path) -> Entry:
    try:
        data = tomllib.loads(file.read_text())
    except (OSError, tomllib.TOMLDecodeError) as error:
        return Entry(str(file), f"cannot be read: {error}", {})
    return Entry(str(file), str(data.get("question", "")), {})
