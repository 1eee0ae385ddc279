"""A campaign: one question, spelled out in TOML, frozen, identified by its digest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

import tomli_w

from distdesc import registry
from distdesc.descriptors import DESCRIPTORS
from distdesc.descriptors.descriptor import Descriptor
from distdesc.errors import CampaignError
from distdesc.job import anchored, expanded, overridden, read_job
from distdesc.options import Execution, StoreOptions
from distdesc.place import Place, place
from distdesc.reduction import REDUCTIONS
from distdesc.reduction.reduction import Reduction
from distdesc.stages import STAGES
from distdesc.stages.stage import Stage
from distdesc.structures import SOURCES
from distdesc.structures.source import Source
from distdesc.structures.validate import Limits

T = TypeVar("T")
_SECTIONS = (
    "question", "source", "descriptor", "reduction", "stage", "store", "execution", "limits",
)  # fmt: skip
_HOW_NOT_WHAT = ("attempts", "quarantined_fraction", "structure_seconds")


@dataclass(frozen=True)
class Campaign:
    """
    One question: source, descriptor, stages, store and limits.

    Build it with `Campaign.from_toml` or `Campaign.from_dict`.

    Parameters
    ----------
    source : Source
        Where the structures come from.
    stages : tuple of Stage
        What is computed of them.
    store : StoreOptions
        Where the rows go.
    sections : dict
        The serialised form, complete with defaults.
    execution : Execution
        How it is run.
    limits : Limits
        What is accepted, and when to stop.
    question : str
        The question in words.
    descriptor : Descriptor, optional
        The descriptor of the stages that need one.
    reduction : Reduction, optional
        The reduction of the stages that can use one.
    """

    source: Source
    stages: tuple[Stage, ...]
    store: StoreOptions
    sections: dict[str, Any] = field(repr=False)
    execution: Execution = field(default_factory=Execution)
    limits: Limits = field(default_factory=Limits)
    question: str = ""
    descriptor: Descriptor | None = None
    reduction: Reduction | None = None

    @property
    def stage_names(self) -> tuple[str, ...]:
        """Registry names of the stages."""
        return tuple(s["name"] for s in self.sections["stage"])

    @property
    def path(self) -> Place:
        """The store; if it is a folder, absolute."""
        found = place(self.store.path)
        return found.absolute() if isinstance(found, Path) else found

    @classmethod
    def from_toml(cls, file: Path | str, overrides: Mapping[str, Any] | None = None) -> Campaign:
        """
        Campaign of a job file.

        Parameters
        ----------
        file : path
            The file. Relative paths in ``[source]`` are relative to its folder; ``${VAR}`` and
            ``${VAR:-default}`` are replaced from the environment.
        overrides : mapping, optional
            ``{"section.key": value}`` that replace what the file says.

        Raises
        ------
        CampaignError
            If the file cannot be read or is not a campaign; the message names section and key.
        """
        file = Path(file)
        data = read_job(file)
        try:
            return cls.from_dict(overridden(data, overrides or {}), base=file.parent)
        except CampaignError as error:
            raise CampaignError(f"job {file}: {error}") from error

    @classmethod
    def from_dict(
        cls, data: Mapping[str, Any], base: Path | None = None, literal: bool = False
    ) -> Campaign:
        """
        Campaign of its serialised form.

        Parameters
        ----------
        data : mapping
            Sections as in a job file.
        base : pathlib.Path, optional
            Folder that relative source paths refer to; the current directory if None.
        literal : bool
            Leave ``${VAR}`` as it is, in what was not written by the user but found in a store.

        Raises
        ------
        CampaignError
            If it is not a campaign; the message names section and key.
        """
        _check_sections(data)
        data = data if literal else expanded(data)
        where = anchored(data["source"], base or Path.cwd())
        source = registry.build(SOURCES, "source", where)
        descriptor = reduction = None
        if "descriptor" in data:
            descriptor = registry.build(DESCRIPTORS, "descriptor", data["descriptor"])
        if "reduction" in data:
            reduction = _reduction(data["reduction"], descriptor)
        tables = _tables(data["stage"], "stage")
        stages = tuple(_stage(table, descriptor, reduction) for table in tables)
        names = [table["name"] for table in tables]
        if len(set(names)) < len(names):
            raise CampaignError(f"[[stage]] names must differ, got {', '.join(names)}")
        if reduction is not None and not any(hasattr(s, "reduction") for s in stages):
            raise CampaignError(f"[reduction] is of no use to stage {', '.join(names)}")
        store = _options(StoreOptions, "store", data["store"])
        execution = _options(Execution, "execution", data.get("execution", {}))
        limits = _options(Limits, "limits", data.get("limits", {}))
        question = str(data.get("question", ""))
        maps = {"descriptor": descriptor, "reduction": reduction}
        sections = {
            "question": question,
            "source": registry.describe(where["name"], source),
            **{
                key: registry.describe(data[key]["name"], found)
                for key, found in maps.items()
                if found is not None
            },
            "stage": [described(name, s) for name, s in zip(names, stages, strict=True)],
            "store": asdict(store),
            "execution": asdict(execution),
            "limits": asdict(limits),
        }
        return cls(
            source, stages, store, sections, execution, limits, question, descriptor, reduction
        )

    def to_dict(self) -> dict[str, Any]:
        """Serialised form, complete with defaults; `from_dict` takes it back."""
        copy: dict[str, Any] = json.loads(json.dumps(self.sections))
        return copy

    def to_toml(self) -> str:
        """Text of the job file that spells this campaign."""
        return tomli_w.dumps(self.to_dict())

    def identity(self) -> dict[str, Any]:
        """Everything that decides the stored bytes, besides the content of the source."""
        data = self.to_dict()
        limits = {k: v for k, v in data["limits"].items() if k not in _HOW_NOT_WHAT}
        return {
            "source": data["source"],
            "descriptor": data.get("descriptor"),
            **({"reduction": data["reduction"]} if "reduction" in data else {}),
            "stage": data["stage"],
            "limits": limits,
        }


def digest(data: Any) -> str:
    """
    First 12 hex digits of the SHA-256 of canonical JSON.

    Parameters
    ----------
    data : object
        JSON-compatible.
    """
    text = json.dumps(data, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _check_sections(data: Mapping[str, Any]) -> None:
    """Refuse sections that are unknown, and those that are missing."""
    unknown = [k for k in data if k not in _SECTIONS]
    if unknown:
        raise CampaignError(f"[{unknown[0]}] is unknown; sections: {', '.join(_SECTIONS)}")
    for section in ("source", "stage", "store"):
        if section not in data:
            raise CampaignError(f"[{section}] is missing")


def _reduction(data: Any, descriptor: Descriptor | None) -> Reduction:
    if descriptor is None:
        raise CampaignError("[descriptor] is missing; [reduction] reduces its fingerprints")
    if not isinstance(data, Mapping):
        raise CampaignError(f"[reduction] must be a table, got {data!r}")
    reduction: Reduction = registry.build(REDUCTIONS, "reduction", data)
    if reduction.n_components > descriptor.n_features:
        raise CampaignError(
            f"[reduction] n_components must be from 1 to {descriptor.n_features}, the features "
            f"of the descriptor, got {reduction.n_components}"
        )
    return reduction


def _stage(
    data: Mapping[str, Any], descriptor: Descriptor | None, reduction: Reduction | None
) -> Stage:
    cls = registry.load(STAGES, "stage", str(data.get("name", "")))
    parts = {"descriptor": descriptor, "reduction": reduction}
    taken = {f.name for f in fields(cls)} & parts.keys()
    for key in sorted(taken & data.keys()):
        raise CampaignError(f"[[stage]] key {key} is not accepted; use [{key}]")
    if "descriptor" in taken and descriptor is None:
        raise CampaignError(
            f"[descriptor] is missing; stage {data['name']} needs one of: "
            f"{', '.join(sorted(DESCRIPTORS))}"
        )
    given = {key: parts[key] for key in sorted(taken)}
    stage: Stage = registry.build(STAGES, "stage", {**data, **given})
    return stage


def described(name: str, stage: Stage) -> dict[str, Any]:
    """
    Serialised form of a stage: its own keys, without what has a section of its own.

    Parameters
    ----------
    name : str
        Key of the registry.
    stage : Stage
        The stage.
    """
    found = registry.describe(name, stage)
    return {k: v for k, v in found.items() if k not in ("descriptor", "reduction")}


def _tables(value: Any, section: str) -> list[dict[str, Any]]:
    tables = value if isinstance(value, list) else [value]
    if not tables or not all(isinstance(t, Mapping) for t in tables):
        raise CampaignError(f"[[{section}]] must be one or more tables")
    return [dict(t) for t in tables]


def _options(cls: type[T], section: str, data: Any) -> T:
    if not isinstance(data, Mapping):
        raise CampaignError(f"[{section}] must be a table, got {data!r}")
    return registry.build(  # type: ignore[no-any-return]
        {section: f"{cls.__module__}:{cls.__name__}"}, section, {**data, "name": section}
    )
