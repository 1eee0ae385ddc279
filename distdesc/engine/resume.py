"""Whether a store that was begun may be gone on with: same campaign, same versions, same input."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np

from distdesc.campaign import Campaign
from distdesc.engine.events import Announced, Listener
from distdesc.engine.scan import scan, unpacked
from distdesc.engine.workspace import version_differences
from distdesc.errors import SourceError, StoreError
from distdesc.place import Place
from distdesc.store.receipts import is_complete
from distdesc.store.written import WrittenPlan
from distdesc.structures.index import INDEX, SourceIndex
from distdesc.structures.source import FileSource

log = logging.getLogger(__name__)


def check_same_campaign(campaign: Campaign, plan: WrittenPlan) -> None:
    """
    Refuse to mix two campaigns in one store.

    Parameters
    ----------
    campaign : Campaign
        What is asked for now.
    plan : WrittenPlan
        What the store was begun for.

    Raises
    ------
    StoreError
        Naming every key that differs.
    """
    then = Campaign.from_dict(plan.campaign)
    changes = _differences(then.identity(), campaign.identity())
    for name in ("shard_rows", "chunk_rows"):
        old, new = getattr(then.store, name), getattr(campaign.store, name)
        if old != new:
            changes.append(f"store.{name}: {old} → {new}")
    if changes:
        raise StoreError(
            f"{campaign.path} was begun for another campaign; what differs: {'; '.join(changes)}. "
            f"Undo the change to go on with this store, or choose another [store] path"
        )


def check_same_versions(path: Place, plan: WrittenPlan, accept: bool) -> None:
    """
    Refuse to mix results of different versions in one store.

    Parameters
    ----------
    path : Place
        The store.
    plan : WrittenPlan
        What the store was begun for.
    accept : bool
        Log the difference and go on.

    Raises
    ------
    StoreError
        Naming every package that differs.
    """
    changed = version_differences(plan)
    if not changed:
        return
    text = ", ".join(f"{name} {then} → {now}" for name, (then, now) in changed.items())
    if not accept:
        raise StoreError(
            f"{path} was begun with other versions: {text}. Results may differ in the last "
            f"digits: install the former versions, choose another [store] path, or accept it "
            f"with --accept-versions (every receipt records its versions)"
        )
    log.warning("%s: going on with other versions: %s", path, text)


def check_same_input(campaign: Campaign, plan: WrittenPlan, listener: Listener) -> None:
    """
    Refuse to mix two states of the input in one store.

    Files whose size and time have not changed are taken as unchanged; otherwise the content
    decides.

    Parameters
    ----------
    campaign : Campaign
        For its source.
    plan : WrittenPlan
        What the store was begun for.
    listener : callable
        Told what goes on.

    Raises
    ------
    StoreError
        If the content has changed.
    """
    folder = campaign.path / INDEX
    try:
        index = SourceIndex.load(folder)
        damage = index.damage(folder)
        if damage is not None:
            raise SourceError(damage)
    except SourceError as error:
        listener(Announced(f"{error}; indexing again"))
        index = SourceIndex(np.empty(0, np.int32), np.empty((0, 1), np.int64), "")
    change = index.changed_file(ignoring=unpacked(campaign.path)) or _new_file(campaign, index)
    # Unpacked copies are removed when all is done; until then they are needed.
    usable = index.changed_file() is None or is_complete(campaign.path, plan)
    if change is None and index.files and usable:
        return
    listener(Announced(f"{change or 'the source must be read again'}: comparing its content"))
    now = scan(campaign, unpacked(campaign.path), listener)
    if now.digest != plan.source_digest:
        raise StoreError(
            f"the input of {campaign.path} has changed since it was begun: {plan.n_structures} → "
            f"{len(now)} structures, content {plan.source_digest} → {now.digest}"
            f"{f' ({change})' if change else ''}. Restore the input to go on with this store, or "
            f"choose another [store] path"
        )
    now.save(folder)


def _new_file(campaign: Campaign, index: SourceIndex) -> str | None:
    """Say which file the source has now that it had not when it was indexed."""
    if not isinstance(campaign.source, FileSource) or not index.files:
        return None
    known = {stamp.path for stamp in index.files}
    new = (file for file in campaign.source.files() if str(file.absolute()) not in known)
    found = next(new, None)
    return None if found is None else f"{found} was not there when the source was indexed"


def _differences(then: Any, now: Any, name: str = "") -> list[str]:
    if isinstance(then, dict) and isinstance(now, dict):
        keys = list(dict.fromkeys([*then, *now]))
        found = [_differences(then.get(k), now.get(k), f"{name}.{k}".strip(".")) for k in keys]
        return [text for texts in found for text in texts]
    if isinstance(then, list) and isinstance(now, list) and len(then) == len(now):
        found = [
            _differences(a, b, f"{name}[{i}]")
            for i, (a, b) in enumerate(zip(then, now, strict=True))
        ]
        return [text for texts in found for text in texts]
    return [] if then == now else [f"{name}: {then} → {now}"]
