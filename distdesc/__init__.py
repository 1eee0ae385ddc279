"""Distributed, resumable featurisation of atomistic databases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from distdesc.campaign import Campaign
    from distdesc.descriptors.make import descriptor
    from distdesc.descriptors.moment_invariants import MomentInvariants
    from distdesc.engine.run import run
    from distdesc.engine.verify import verify
    from distdesc.errors import (
        CampaignError,
        DistdescError,
        RunError,
        SourceError,
        StoreError,
        StructureError,
    )
    from distdesc.report.reader import Run, open_run
    from distdesc.structures.atoms import environments

__all__ = [
    "Campaign",
    "CampaignError",
    "DistdescError",
    "MomentInvariants",
    "Run",
    "RunError",
    "SourceError",
    "StoreError",
    "StructureError",
    "descriptor",
    "environments",
    "open_run",
    "run",
    "verify",
]

_HOMES = {
    "Campaign": "distdesc.campaign",
    "MomentInvariants": "distdesc.descriptors.moment_invariants",
    "Run": "distdesc.report.reader",
    "descriptor": "distdesc.descriptors.make",
    "environments": "distdesc.structures.atoms",
    "open_run": "distdesc.report.reader",
    "run": "distdesc.engine.run",
    "verify": "distdesc.engine.verify",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that ``import distdesc`` is quick."""
    from importlib import import_module

    if name not in __all__:
        raise AttributeError(f"module distdesc has no attribute {name}")
    return getattr(import_module(_HOMES.get(name, "distdesc.errors")), name)


def __dir__() -> list[str]:
    """Public names, imported or not yet."""
    return [*__all__, "__version__"]
