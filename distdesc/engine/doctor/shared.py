"""Whether client and workers see what the others write where a store is to be."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass

from distdesc.place import ObjectPath, Place, place
from distdesc.store import storage

PATIENCE = 5.0
"""Seconds in which what was written has to be seen elsewhere."""


@dataclass(frozen=True)
class Trial:
    """
    A folder that client and workers write in and read from.

    Parameters
    ----------
    folder : str
        In the place of the store.
    made : bool
        Whether the place was made for it.
    """

    folder: str
    made: bool


def begin_trial(path: str) -> Trial:
    """
    Make the folder, with an object of the client in it.

    Parameters
    ----------
    path : str
        Place of a store, which need not exist yet.

    Raises
    ------
    OSError
        If nothing can be written there.
    """
    where = place(path)
    made = not isinstance(where, ObjectPath) and not where.exists()
    folder = where / f".doctor-{uuid.uuid4().hex[:12]}"
    storage.create(folder / "client", b"client")
    return Trial(str(folder), made)


def end_trial(path: str, trial: Trial) -> None:
    """
    Remove the folder, and the place if it was made for it.

    Parameters
    ----------
    path : str
        Place of the store.
    trial : Trial
        What `begin_trial` gave.
    """
    storage.delete_folder(place(trial.folder))
    if trial.made:
        storage.delete_folder(place(path))


def write_own(folder: str, name: str) -> str:
    """
    Write an object as a worker, look at that of the client, and try to create it again.

    Parameters
    ----------
    folder : str
        Of the trial.
    name : str
        Of the object.

    Returns
    -------
    str
        What is wrong; empty if nothing is.
    """
    where = place(folder)
    try:
        if not _seen(where / "client", b"client"):
            return "does not see what the client wrote: it is not the same folder"
        if storage.create(where / "client", name.encode()):
            return "could create what the client had created: two may win a race for one receipt"
        storage.create(where / name, name.encode())
    except OSError as error:
        return f"cannot write there: {error.strerror or error}"
    return ""


def read_others(folder: str, names: list[str]) -> str:
    """
    Read objects that others wrote.

    Parameters
    ----------
    folder : str
        Of the trial.
    names : list of str
        Of the objects.

    Returns
    -------
    str
        What is wrong; empty if nothing is.
    """
    where = place(folder)
    try:
        unseen = [name for name in names if not _seen(where / name, name.encode())]
    except OSError as error:
        return f"cannot read there: {error.strerror or error}"
    return f"does not see what was written by {', '.join(unseen)}" if unseen else ""


def _seen(file: Place, content: bytes) -> bool:
    """Whether an object is seen with its content, soon: network file systems take a while."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            if storage.read(file) == content:
                return True
        except FileNotFoundError:
            pass
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
